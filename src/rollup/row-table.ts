/** Rows by their series, whatever they count: the form in which rows of one minute, hour or day are compared, summed and written. */
import { escapeTag } from '../sink/line-protocol/escape.ts'
import type { EdgeRow, NodeRow } from './rows.ts'
import { bounded } from './sums.ts'

/** Tags of a series as line protocol, and its fields in the order of the measurement. */
export type RowTable = Map<string, readonly bigint[]>

interface Shape {
  readonly fields: readonly string[]
  /** The field of which a longer tier keeps the largest value; all others are summed. */
  readonly largest: string
}

export const EDGE: Shape = {
  fields: ['tx_bytes', 'rx_bytes', 'tx_pkts', 'rx_pkts', 'flows', 'reporters'],
  largest: 'reporters',
}
export const NODE: Shape = {
  fields: ['tx_bytes', 'rx_bytes', 'tx_pkts', 'rx_pkts', 'flows', 'peers', 'derp_tx_bytes', 'derp_rx_bytes'],
  largest: 'peers',
}
/** Fields that make a row exist: bytes and packets. */
const COUNTED = 4

export function edgeTable(tailnet: string, rows: readonly EdgeRow[]): RowTable {
  return new Map(
    rows.map((row) => [
      series([
        ['dst', row.dst.id],
        ['dst_name', row.dst.name],
        ['dst_owner', row.dst.owner],
        ['kind', row.kind],
        ['path', row.path],
        ['port', row.port],
        ['proto', row.proto],
        ['src', row.src.id],
        ['src_name', row.src.name],
        ['src_owner', row.src.owner],
        ['tailnet', tailnet],
      ]),
      [row.txBytes, row.rxBytes, row.txPkts, row.rxPkts, row.flows, BigInt(row.reporters)],
    ]),
  )
}

export function nodeTable(tailnet: string, rows: readonly NodeRow[]): RowTable {
  return new Map(
    rows.map((row) => [
      series([
        ['kind', row.kind],
        ['node', row.node.id],
        ['node_name', row.node.name],
        ['os', row.os],
        ['owner', row.node.owner],
        ['role', row.role],
        ['tailnet', tailnet],
      ]),
      [
        row.txBytes,
        row.rxBytes,
        row.txPkts,
        row.rxPkts,
        row.flows,
        BigInt(row.peers),
        row.derpTxBytes,
        row.derpRxBytes,
      ],
    ]),
  )
}

/** In the order of their names, which is what InfluxDB wants. */
function series(tags: readonly (readonly [name: string, value: string])[]): string {
  return tags.map(([name, value]) => `${name}=${escapeTag(value)}`).join()
}

/** What must be written so that `standing` becomes `wanted`. A row that is no longer true is overwritten with zeros. */
export function changesOf(standing: RowTable, wanted: RowTable): RowTable {
  const changes: RowTable = new Map()
  for (const [key, fields] of wanted) if (!isEqual(standing.get(key), fields)) changes.set(key, fields)
  for (const [key, fields] of standing)
    if (!wanted.has(key) && exists(fields))
      changes.set(
        key,
        fields.map(() => 0n),
      )
  return changes
}

/** Adds the rows of a shorter stretch of time to those of a longer one. */
export function addTo(sum: RowTable, rows: RowTable, shape: Shape): void {
  const largest = shape.fields.indexOf(shape.largest)
  for (const [key, fields] of rows) {
    if (!exists(fields)) continue
    const known = sum.get(key)
    sum.set(
      key,
      known === undefined
        ? fields
        : known.map((value, i) => {
            const more = fields[i]!
            return i === largest ? (value > more ? value : more) : bounded(value + more)
          }),
    )
  }
}

/** Lines of line protocol, each ended by "\n". `timeNs`: the begin of the minute, hour or day. */
export function linesOf(measurement: string, rows: RowTable, shape: Shape, timeNs: bigint): string {
  let text = ''
  for (const [key, fields] of rows) {
    const values = fields.map((value, i) => `${shape.fields[i]}=${value}i`).join()
    text += `${measurement},${key} ${values} ${timeNs}\n`
  }
  return text
}

function exists(fields: readonly bigint[]): boolean {
  return fields.slice(0, COUNTED).some((value) => value > 0n)
}

function isEqual(one: readonly bigint[] | undefined, other: readonly bigint[]): boolean {
  return one?.every((value, i) => value === other[i]) === true
}
