/** Derived rows as they stand in a database, and as the oracle makes them of the raw points and devices that stand beside them. */
import { exportLines } from '../../src/sink/sqlite/embedded-store.ts'
import { type OraclePoint, type OracleWorld, oracleRows } from '../rollup/oracle.ts'
import { type InfluxPlace, iteratePoints } from '../services/influx-read.ts'
import { MINUTE } from '../simulator/ranges.ts'
import { parseLine } from '../sink/line-protocol/parse-lines.ts'
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

type Rows = ReturnType<typeof oracleRows>
type Devices = Pick<OracleWorld, 'addresses' | 'devices'>

/** Who is who in a minute. */
export type DevicesAt = (minuteNs: bigint) => Devices

/** By minute: its rows as the rules make them. */
export function expectedRows(raw: readonly StoredPoint[], devicesAt: DevicesAt): Map<bigint, Rows> {
  const minutes = Map.groupBy(raw, ({ timestampNs }) => timestampNs - (timestampNs % MINUTE))
  const rows = new Map<bigint, Rows>()
  for (const [minuteNs, points] of minutes) {
    const hour = raw.filter(({ timestampNs: ns }) => ns >= minuteNs - 60n * MINUTE && ns < minuteNs)
    const counting = hour.filter(({ fields: f }) =>
      ['tx_bytes', 'rx_bytes', 'tx_pkts', 'rx_pkts'].some((one) => f[one]),
    )
    const world = {
      ...devicesAt(minuteNs),
      networks: new Map(),
      reportedBefore: new Set(counting.map(({ tags }) => tags['node']!)),
      usedBefore: new Set(
        hour.filter(({ tags }) => tags['kind'] === 'virtual').map(({ tags }) => `${tags['src']} ${tags['node']}`),
      ),
    }
    rows.set(minuteNs, oracleRows(points.map(oraclePoint), world))
  }
  return rows
}

function oraclePoint({ tags, fields, timestampNs }: StoredPoint): OraclePoint {
  const port = (name: string) => (tags[name] === 'none' ? -1 : Number(tags[name]))
  const count = (name: string) => fields[name] as bigint
  return {
    ...{ node: tags['node']!, kind: tags['kind'] as OraclePoint['kind'], proto: tags['proto']!, startNs: timestampNs },
    ...{ src: tags['src']!, dst: tags['dst']!, path: tags['path']! },
    ...{ srcPort: port('src_port'), dstPort: port('dst_port'), flows: Number(fields['flows']) },
    ...{ txBytes: count('tx_bytes'), txPkts: count('tx_pkts'), rxBytes: count('rx_bytes'), rxPkts: count('rx_pkts') },
  }
}

/** By minute: the rows that stand, in the words of the oracle. Ids of nodes end in CNTRL. */
export function standingRows(edges: readonly StoredPoint[], nodes: readonly StoredPoint[]): Map<bigint, Rows> {
  const rows = new Map<bigint, Rows>()
  const at = (ns: bigint) => rows.getOrInsertComputed(ns, () => ({ edges: [], nodes: [] }))
  const isThere = ({ fields }: StoredPoint) =>
    ['tx_bytes', 'rx_bytes', 'tx_pkts', 'rx_pkts'].some((name) => fields[name])
  for (const { tags, fields, timestampNs } of edges.filter(isThere)) {
    const end = (id: string) => `${id.endsWith('CNTRL')} ${id}`
    const key = [tags['kind'], tags['proto'], tags['port'], tags['path'], end(tags['src']!), end(tags['dst']!)].join(
      ' ',
    )
    const names = ['src_name', 'dst_name', 'src_owner', 'dst_owner'].map((name) => tags[name]).join(' ')
    const counts = ['tx_bytes', 'tx_pkts', 'rx_bytes', 'rx_pkts', 'flows', 'reporters'].map((name) => fields[name])
    at(timestampNs).edges.push(`${key} | ${names} | ${counts.join(' ')}`)
  }
  for (const { tags, fields, timestampNs } of nodes.filter(isThere)) {
    const key = ['node', 'node_name', 'owner', 'os', 'kind', 'role'].map((name) => tags[name]).join(' ')
    const names = ['tx_bytes', 'tx_pkts', 'rx_bytes', 'rx_pkts', 'flows', 'derp_tx_bytes', 'derp_rx_bytes', 'peers']
    at(timestampNs).nodes.push(`${key} | ${names.map((name) => fields[name]).join(' ')}`)
  }
  for (const one of rows.values()) {
    one.edges.sort()
    one.nodes.sort()
  }
  return rows
}

/** The devices of a minute, from `tailnet_device` alone: per node its newest point at or before the minute, else its first one after. */
export function devicesIn(points: readonly StoredPoint[]): DevicesAt {
  const byNode = Map.groupBy(
    points.toSorted((one, other) => Number(one.timestampNs - other.timestampNs)),
    ({ tags }) => tags['node']!,
  )
  return (minuteNs) => {
    const valid: { id: string; point: StoredPoint; isBefore: boolean }[] = []
    for (const [id, all] of byNode) {
      const before = all.findLast(({ timestampNs }) => timestampNs <= minuteNs)
      valid.push({ id, point: before ?? all[0]!, isBefore: before !== undefined })
    }
    // An address that two nodes have is that of the one whose entry is valid then, of two such the later one; of two that count backwards the earlier.
    const rank = ({ isBefore, point }: (typeof valid)[number]) =>
      isBefore ? -Number(point.timestampNs / MINUTE) : Number(point.timestampNs / MINUTE)
    const addresses = new Map<string, string>()
    for (const one of valid.toSorted((a, b) => Number(b.isBefore) - Number(a.isBefore) || rank(a) - rank(b)))
      for (const address of String(one.point.fields['addresses'] ?? '').split(' '))
        if (address !== '' && address !== 'none' && !addresses.has(address)) addresses.set(address, one.id)
    const devices = new Map(
      valid.map(({ id, point: { fields } }) => {
        const text = (name: string) => String(fields[name] || 'none')
        return [id, { name: fields['name'] ? text('name') : id, owner: text('owner'), os: text('os') }]
      }),
    )
    return { addresses, devices }
  }
}

/** Sums of both directions by kind, of rows in the words of the oracle. Which of them is `tx` depends on which end is the source. */
export function edgeSums(rows: Iterable<Rows>): Record<string, bigint> {
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
