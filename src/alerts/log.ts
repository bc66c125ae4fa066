/** What the messages of a window in flight tell, row after row, in the order in which it came. Nothing is looked up while the window is read:
 * rows are numbers, written one behind the other, and what they mean to which rule is found out when the window is done. */
import { doubled } from '../source/message-columns.ts'

/** Of a row of totals: one for each message and kind. Its values are the six of `Points.totals`. */
export const TOTAL_CELLS = 3
export const TOTAL_VALUES = 6
/** Of a row of flows: one for each flow. Its values are the four counters. */
export const FLOW_CELLS = 7
export const FLOW_VALUES = 4
/** Minutes since the epoch in which the message began. */
export const LOG_MINUTE = 0
/** The number of the reporting node. */
export const LOG_NODE = 1
export const LOG_KIND = 2
/** Only in flows: numbers of ends, the port (-1 for none), the protocol. */
export const LOG_SRC = 3
export const LOG_DST = 4
export const LOG_PORT = 5
export const LOG_PROTO = 6

/** A window as large as the line asks for has a fifth of it. */
const ROWS_MAX = 65_536
const ROWS_MIN = 1024

export class Log {
  count = 0
  cells: Int32Array
  values: Float64Array
  readonly rowsMax: number
  private readonly cellsPerRow: number

  constructor(cellsPerRow: number, valuesPerRow: number, rowsMax = ROWS_MAX) {
    this.rowsMax = rowsMax
    this.cellsPerRow = cellsPerRow
    this.cells = new Int32Array(ROWS_MIN * cellsPerRow)
    this.values = new Float64Array(ROWS_MIN * valuesPerRow)
  }

  get isFull(): boolean {
    return this.count >= this.rowsMax
  }

  /** The number of one more row, which has what was there before. */
  next(): number {
    const row = this.count++
    if (row * this.cellsPerRow === this.cells.length) {
      this.cells = doubled(this.cells, Int32Array)
      this.values = doubled(this.values, Float64Array)
    }
    return row
  }

  get bytes(): number {
    return this.cells.byteLength + this.values.byteLength
  }
}
