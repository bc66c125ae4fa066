/** Compares the derived rows of a database with what the independent oracle makes of its raw points and its device directory. */
import assert from 'node:assert/strict'
import type { DeviceVersion } from '../../src/directory/device-version.ts'
import type { RowStore } from '../../src/rollup/rows/row-store.ts'
import { exists, type RowTable } from '../../src/rollup/rows/row-table.ts'
import type { Kind } from '../../src/source/parse/message.ts'
import { type OracleDirectory, type OraclePoint, oracleMinute } from '../rollup/oracle.ts'
import { rowTexts } from '../rollup/row-texts.ts'
import type { StoredPoint } from './truth-in.ts'

const MINUTE_NS = 60_000_000_000n
const DAY_NS = 1_440n * MINUTE_NS
const SETTLING_NS = 90_000_000_000n

/** The begin of the minute of a time, ns. */
export function minuteBegin(ns: bigint): bigint {
  return ns - (ns % MINUTE_NS)
}

/** A minute is final when everything that was logged up to 30 s after its end was read. */
export function isFinal(minuteNs: bigint, readToNs: bigint): boolean {
  return minuteNs + SETTLING_NS <= readToNs
}

/** Every minute that is final has exactly the rows of tailnet_edge and tailnet_node that the oracle makes, from the first raw point on to where all is read.
 * Resolves with the number of rows. */
export async function assertRows(
  rows: RowStore,
  stored: Iterable<StoredPoint> | AsyncIterable<StoredPoint>,
  readToNs: bigint,
): Promise<number> {
  const { signal } = new AbortController()
  const minutes = new Map<bigint, OraclePoint[]>()
  for await (const point of stored) {
    const minuteNs = minuteBegin(point.timestampNs)
    const points = minutes.get(minuteNs) ?? []
    minutes.set(minuteNs, points)
    points.push(oraclePoint(point))
  }
  const beginNs = [...minutes.keys()].reduce((least, one) => (one < least ? one : least))
  const versions = await rows.devices(beginNs - 2n * DAY_NS, readToNs + DAY_NS, signal)
  assert.ok(versions.length > 0, 'no devices in the database')
  const standing = async (measurement: 'tailnet_edge' | 'tailnet_node', minuteNs: bigint) =>
    thoseThatCount(await rows.standing(measurement, minuteNs, signal))
  const isNode = (id: string) => id.endsWith('CNTRL')
  let count = 0
  for (let minuteNs = beginNs; isFinal(minuteNs, readToNs); minuteNs += MINUTE_NS) {
    const before = Array.from({ length: 60 }, (_, i) => minutes.get(minuteNs - BigInt(i + 1) * MINUTE_NS) ?? [])
    const found = rowTexts(await standing('tailnet_edge', minuteNs), await standing('tailnet_node', minuteNs), isNode)
    const expected = oracleMinute(minutes.get(minuteNs) ?? [], before.flat(), directoryAt(versions, minuteNs))
    assert.deepEqual(found, expected, `rows of minute ${new Date(Number(minuteNs / 1_000_000n)).toISOString()}`)
    count += found.edges.length + found.nodes.length
  }
  return count
}

function thoseThatCount(table: RowTable): RowTable {
  return new Map([...table].filter(([, fields]) => exists(fields)))
}

/** A raw point that is stored, for the oracle. */
export function oraclePoint({ tags, fields, timestampNs }: StoredPoint): OraclePoint {
  const tag = (name: string) => tags[name] ?? ''
  const count = (name: string) => BigInt(fields[name] as bigint)
  const port = (name: string) => (tag(name) === 'none' ? -1 : Number(tag(name)))
  return {
    ...{ node: tag('node'), kind: tag('kind') as Kind, proto: tag('proto'), src: tag('src'), dst: tag('dst') },
    ...{ srcPort: port('src_port'), dstPort: port('dst_port'), path: tag('path'), startNs: timestampNs },
    ...{ txBytes: count('tx_bytes'), txPkts: count('tx_pkts'), rxBytes: count('rx_bytes'), rxPkts: count('rx_pkts') },
    flows: Number(count('flows')),
  }
}

/** Of each node its newest version of that time, else its first one after. An address that two nodes have is that of the one whose version is valid then, of
 * two such the later one; of two that count backwards the earlier. `isBackwards`: a first version does count backwards. */
export function directoryAt(
  versions: readonly DeviceVersion[],
  minuteNs: bigint,
  isBackwards = (_first: DeviceVersion) => true,
): OracleDirectory {
  const minute = Number(minuteNs / MINUTE_NS)
  const ascending = versions.toSorted((one, other) => one.from - other.from)
  const valid = new Map<string, DeviceVersion>()
  for (const one of ascending) if (one.from <= minute) valid.set(one.node, one)
  const later = new Map<string, DeviceVersion>()
  for (const one of ascending) if (!valid.has(one.node) && !later.has(one.node)) later.set(one.node, one)
  for (const one of later.values()) if (!isBackwards(one)) later.delete(one.node)
  const latestFirst = [...valid.values()].toSorted((one, other) => other.from - one.from)
  const addresses = new Map<string, string>()
  for (const { node, addresses: mine } of [...latestFirst, ...later.values()])
    for (const address of mine) if (!addresses.has(address)) addresses.set(address, node)
  const devices = [...valid.values(), ...later.values()].map(({ node, name, owner, os }) => {
    return [node, { name: name || node, owner: owner || 'none', os: os || 'none' }] as const
  })
  return { addresses, devices: new Map(devices), networks: new Map() }
}
