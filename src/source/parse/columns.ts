/** The memory of one message, filled again for each. It grows to the largest message and stays there. */
import { doubled } from '../../base/typed-array.ts'
import type { Message, NodeInfo, QuarantinedPart } from './message.ts'
import { ENTRY_CELLS } from './message.ts'

export interface Columns extends Message {
  nodeId: string
  startNs: bigint
  loggedNs: bigint
  hasLogged: boolean
  entryCount: number
  quarantined: QuarantinedPart[]
  text: Uint8Array
  textStart: number
  view: DataView
  plain: boolean
  cells: Int32Array
  counters: Float64Array
  exact: BigInt64Array | undefined
  protoNames: string[]
  nodeCount: number
  nodes: NodeInfo[]
  srcNode: number
  json: Uint8Array
  jsonStart: number
  jsonEnd: number
}

const NOTHING = new Uint8Array(0)
const NOTHING_VIEW = new DataView(NOTHING.buffer)

export function createColumns(): Columns {
  return {
    nodeId: '',
    startNs: 0n,
    loggedNs: 0n,
    hasLogged: false,
    entryCount: 0,
    quarantined: [],
    text: NOTHING,
    textStart: 0,
    view: NOTHING_VIEW,
    plain: true,
    cells: new Int32Array(256 * ENTRY_CELLS),
    counters: new Float64Array(256 * 4),
    exact: undefined,
    protoNames: [],
    nodeCount: 0,
    nodes: [],
    srcNode: -1,
    json: NOTHING,
    jsonStart: 0,
    jsonEnd: 0,
  }
}

/** An empty message in the same memory. */
export function clear(columns: Columns): void {
  columns.nodeId = ''
  columns.startNs = 0n
  columns.loggedNs = 0n
  columns.hasLogged = false
  columns.entryCount = 0
  if (columns.quarantined.length > 0) columns.quarantined = []
  columns.text = NOTHING
  columns.textStart = 0
  columns.view = NOTHING_VIEW
  columns.plain = true
  columns.exact = undefined
  if (columns.protoNames.length > 0) columns.protoNames = []
  columns.nodeCount = 0
  columns.srcNode = -1
  columns.json = NOTHING
}

/** Component for one entry more than `count`. */
export function growEntries(columns: Columns, count: number): void {
  if ((count + 1) * ENTRY_CELLS <= columns.cells.length) return
  columns.cells = doubled(columns.cells, Int32Array)
  columns.counters = doubled(columns.counters, Float64Array)
}
