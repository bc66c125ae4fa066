/** Derived rows as they stand in a database, and as the oracle makes them of the raw points and devices that stand beside them. */
import { getOrInsert } from '../../src/base/maps.ts'
import type { DeviceSource } from '../../src/directory/device-version.ts'
import { exists, type RowTable, type Shape, seriesKey, shapeOf } from '../../src/rollup/rows/row-table.ts'
import { exportLines } from '../../src/sink/sqlite/embedded-store.ts'
import { type OracleDirectory, type OracleRows, oracleMinute } from '../rollup/oracle.ts'
import { rowTexts } from '../rollup/row-texts.ts'
import { type InfluxPlace, iteratePoints } from '../services/influx-read.ts'
import { MINUTE } from '../simulator/ranges.ts'
import { parseLine } from '../sink/line-protocol/parse-lines.ts'
import { directoryAt, minuteBegin, oraclePoint } from './rows-in.ts'
import type { StoredPoint } from './truth-in.ts'

/** Reads all points of a measurement. */
export type Stored = (measurement: string) => Promise<StoredPoint[]>

export function inInflux(place: InfluxPlace): Stored {
  return async (measurement) => await Array.fromAsync(iteratePoints(place, measurement))
}

export function inStore(path: string): Stored {
  return async (measurement) =>
    [...exportLines(path, { measurement })].map((line) => {
      const { texts, ...point } = parseLine(line.trimEnd())
      return { ...point, fields: { ...point.fields, ...texts } }
    })
}

/** Who is who in a minute. */
export type DevicesAt = (minuteNs: bigint) => Pick<OracleDirectory, 'addresses' | 'devices'>

/** By minute: its rows as the rules make them. */
export function expectedRows(raw: readonly StoredPoint[], devicesAt: DevicesAt): Map<bigint, OracleRows> {
  const minutes = Map.groupBy(raw.map(oraclePoint), ({ startNs }) => minuteBegin(startNs))
  const rows = new Map<bigint, OracleRows>()
  for (const [minuteNs, points] of minutes) {
    const before = Array.from({ length: 60 }, (_, i) => minutes.get(minuteNs - BigInt(i + 1) * MINUTE) ?? [])
    rows.set(minuteNs, oracleMinute(points, before.flat(), { ...devicesAt(minuteNs), networks: new Map() }))
  }
  return rows
}

/** By minute: the rows that stand, in the words of the oracle. Ids of nodes end in CNTRL. */
export function standingRows(edges: readonly StoredPoint[], nodes: readonly StoredPoint[]): Map<bigint, OracleRows> {
  const [edgesAt, nodesAt] = [tablesOf(edges, shapeOf('tailnet_edge')), tablesOf(nodes, shapeOf('tailnet_node'))]
  const isNode = (id: string) => id.endsWith('CNTRL')
  const times = new Set([...edgesAt.keys(), ...nodesAt.keys()])
  return new Map(
    [...times].map((ns) => [ns, rowTexts(edgesAt.get(ns) ?? new Map(), nodesAt.get(ns) ?? new Map(), isNode)]),
  )
}

/** By time: rows that count anything. */
function tablesOf(points: readonly StoredPoint[], shape: Shape): Map<bigint, RowTable> {
  const tables = new Map<bigint, RowTable>()
  for (const { tags, fields, timestampNs } of points) {
    const values = shape.fields.map((name) => fields[name] as bigint)
    if (!exists(values)) continue
    const key = seriesKey(
      shape,
      shape.tags.map((tag) => tags[tag]!),
    )
    getOrInsert(tables, timestampNs, () => new Map()).set(key, values)
  }
  return tables
}

/** The devices of a minute, from `tailnet_device` alone. */
export function devicesIn(
  points: readonly StoredPoint[],
  isBackwards?: (first: { readonly source: DeviceSource }) => boolean,
): DevicesAt {
  const versions = points.map(({ tags, fields, timestampNs }) => {
    const text = (name: string) => String(fields[name] ?? '')
    const addresses = text('addresses')
      .split(' ')
      .filter((one) => one !== '' && one !== 'none')
    return {
      ...{ node: tags['node']!, name: text('name'), owner: text('owner'), os: text('os'), addresses },
      ...{ source: text('source') as DeviceSource, loggedNs: 0n, from: Number(timestampNs / MINUTE) },
    }
  })
  return (minuteNs) => directoryAt(versions, minuteNs, isBackwards)
}

/** Sums of both directions by kind, of rows in the words of the oracle. Which of them is `tx` depends on which end is the source. */
export function edgeSums(rows: Iterable<OracleRows>): Record<string, bigint> {
  const sums: Record<string, bigint> = { virtual: 0n, subnet: 0n, exit: 0n, physical: 0n }
  for (const { edges } of rows) {
    for (const edge of edges) {
      const kind = edge.slice(0, edge.indexOf(' '))
      const [tx, , rx] = edge.slice(edge.lastIndexOf(' | ') + 3).split(' ')
      sums[kind]! += BigInt(tx!) + BigInt(rx!)
    }
  }
  return sums
}
