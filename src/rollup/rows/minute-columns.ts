/** Rows of a minute in columns, and the same as objects. */
import { NO_PORT } from '../../flatten/ports.ts'
import { KINDS } from '../../source/parse/message.ts'
import type { TextIds } from '../points/text-ids.ts'
import { type Endpoint, NONE } from './endpoints.ts'
import { type EdgeRow, type MinuteRows, type NodeRow, ROLES } from './row.ts'
import { EDGE, NODE } from './row-table.ts'
import type { Values } from './sums.ts'

export interface Columns {
  readonly count: number
  /** What its tags are made of. */
  readonly cells: Int32Array
  /** Its fields, in the order of the measurement. */
  readonly values: Values
}

/** Cells of an edge: kind, protocol and path as a label of `texts`; the port; the indices of its endpoints. */
export const EDGE_CELLS = 4
export const EDGE_LABEL = 0
export const EDGE_PORT = 1
export const EDGE_SRC = 2
export const EDGE_DST = 3

/** Cells of a node: the index of its endpoint, and those in KINDS and ROLES. */
export const NODE_CELLS = 3
export const NODE_KIND = 1
export const NODE_ROLE = 2

export interface MinuteColumns {
  readonly texts: TextIds
  readonly endpoints: readonly Endpoint[]
  readonly edges: Columns
  readonly nodes: Columns
  /** Of nodes, by id. */
  readonly osOf: (node: string) => string
}

/** Of an edge: kind, protocol, port and path. */
export function labelsOf(
  texts: TextIds,
  cells: Int32Array,
  row: number,
): Pick<EdgeRow, 'kind' | 'proto' | 'port' | 'path'> {
  const label = cells[row * EDGE_CELLS + EDGE_LABEL]! * 3
  const port = cells[row * EDGE_CELLS + EDGE_PORT]!
  return {
    kind: KINDS[texts.labels[label]!]!,
    proto: texts.textOf(texts.labels[label + 1]!),
    port: port === NO_PORT ? NONE : String(port),
    path: texts.textOf(texts.labels[label + 2]!),
  }
}

export function eachEdge({ texts, endpoints, edges }: MinuteColumns, visit: (row: EdgeRow) => void): void {
  for (let row = 0; row < edges.count; row++) {
    const [txBytes, rxBytes, txPkts, rxPkts, flows, reporters] = fieldsOf(edges, row, EDGE.fields.length)
    visit({
      ...labelsOf(texts, edges.cells, row),
      src: endpoints[edges.cells[row * EDGE_CELLS + EDGE_SRC]!]!,
      dst: endpoints[edges.cells[row * EDGE_CELLS + EDGE_DST]!]!,
      ...{ txBytes: txBytes!, rxBytes: rxBytes!, txPkts: txPkts!, rxPkts: rxPkts! },
      ...{ flows: flows!, reporters: Number(reporters) },
    })
  }
}

export function eachNode({ endpoints, nodes, osOf }: MinuteColumns, visit: (row: NodeRow) => void): void {
  for (let row = 0; row < nodes.count; row++) {
    const [txBytes, rxBytes, txPkts, rxPkts, flows, peers, derpTx, derpRx] = fieldsOf(nodes, row, NODE.fields.length)
    const cell = row * NODE_CELLS
    const node = endpoints[nodes.cells[cell]!]!
    visit({
      ...{ node, os: osOf(node.id), kind: KINDS[nodes.cells[cell + NODE_KIND]!]! },
      ...{ role: ROLES[nodes.cells[cell + NODE_ROLE]!]!, peers: Number(peers), flows: flows! },
      ...{ txBytes: txBytes!, rxBytes: rxBytes!, txPkts: txPkts!, rxPkts: rxPkts! },
      ...{ derpTxBytes: derpTx!, derpRxBytes: derpRx! },
    })
  }
}

export function rowsOf(minute: MinuteColumns): MinuteRows {
  const [edges, nodes]: [EdgeRow[], NodeRow[]] = [[], []]
  eachEdge(minute, (row) => edges.push(row))
  eachNode(minute, (row) => nodes.push(row))
  return { edges, nodes }
}

/** The fields of a row. */
export function fieldsOf({ values }: Pick<Columns, 'values'>, row: number, width: number): bigint[] {
  return Array.from(values.subarray(row * width, (row + 1) * width), BigInt)
}
