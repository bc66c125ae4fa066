/** Flows of windows. What a flow is about (its node, ends, port, protocol and kind) is a number, its tuple: the same from minute to minute. While a window
 * is read its flows are written down one behind the other; when it is done they are added up by minute and tuple. Nodes talk to the same
 * others every few seconds, so of many flows few rows remain for rules to look at. */
import { doubled } from '../base/typed-array.ts'

/** Per flow. */
export const COUNTERS = 4
const ROWS_MIN = 1024

export class FlowLog {
  count = 0
  minutes = new Int32Array(ROWS_MIN)
  tuples = new Int32Array(ROWS_MIN)
  counters = new Float64Array(ROWS_MIN * COUNTERS)

  /** The number of a row for one more flow; its counters have to be set. */
  add(minute: number, tuple: number): number {
    const row = this.count++
    if (row === this.tuples.length) {
      this.minutes = doubled(this.minutes, Int32Array)
      this.tuples = doubled(this.tuples, Int32Array)
      this.counters = doubled(this.counters, Float64Array)
    }
    this.minutes[row] = minute
    this.tuples[row] = tuple
    return row
  }

  get bytes(): number {
    return this.minutes.byteLength * 2 + this.counters.byteLength
  }
}

export class FlowTally {
  count = 0
  /** By row. */
  minutes = new Int32Array(ROWS_MIN)
  tuples = new Int32Array(ROWS_MIN)
  times = new Float64Array(ROWS_MIN)
  counters = new Float64Array(ROWS_MIN * COUNTERS)
  /** By tuple: its newest row + 1; by row: the one before of the same tuple, + 1. 0 for none. */
  private newest = new Int32Array(ROWS_MIN)
  private before = new Int32Array(ROWS_MIN)

  add({ count, minutes, tuples, counters }: FlowLog): void {
    for (let i = 0; i < count; i++) {
      const row = this.rowOf(minutes[i]!, tuples[i]!)
      this.times[row] = this.times[row]! + 1
      const sums = this.counters
      const at = row * COUNTERS
      const from = i * COUNTERS
      sums[at] = sums[at]! + counters[from]!
      sums[at + 1] = sums[at + 1]! + counters[from + 1]!
      sums[at + 2] = sums[at + 2]! + counters[from + 2]!
      sums[at + 3] = sums[at + 3]! + counters[from + 3]!
    }
  }

  private rowOf(minute: number, tuple: number): number {
    while (tuple >= this.newest.length) this.newest = doubled(this.newest, Int32Array)
    const newest = this.newest[tuple]!
    for (let row = newest - 1; row >= 0; row = this.before[row]! - 1) if (this.minutes[row] === minute) return row
    const row = this.count++
    if (row === this.tuples.length) {
      this.minutes = doubled(this.minutes, Int32Array)
      this.tuples = doubled(this.tuples, Int32Array)
      this.before = doubled(this.before, Int32Array)
      this.times = doubled(this.times, Float64Array)
      this.counters = doubled(this.counters, Float64Array)
    }
    this.minutes[row] = minute
    this.tuples[row] = tuple
    this.before[row] = newest
    this.newest[tuple] = row + 1
    this.times[row] = 0
    this.counters.fill(0, row * COUNTERS, (row + 1) * COUNTERS)
    return row
  }

  clear(): void {
    for (let row = 0; row < this.count; row++) this.newest[this.tuples[row]!] = 0
    this.count = 0
  }

  get bytes(): number {
    const { minutes, times, counters, newest } = this
    return minutes.byteLength * 3 + times.byteLength + counters.byteLength + newest.byteLength
  }
}
