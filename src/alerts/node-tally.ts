/** Messages added up by minute and node: totals per kind. */

import { doubled } from '../base/typed-array.ts'
import { KINDS } from '../source/parse/message.ts'
import { IntTable, KEYS } from './int-table.ts'

export const KIND_COUNT = KINDS.length
/** Per kind: the six of `Points.totals`. */
export const TOTALS = 6

const ROWS_MIN = 256

export class NodeTally {
  /** Minutes since the epoch in which messages began, and the number of the node. */
  readonly heads = new IntTable()
  /** By head and kind. */
  totals = new Float64Array(ROWS_MIN * KIND_COUNT * TOTALS)
  messages = new Float64Array(ROWS_MIN * KIND_COUNT)

  /** The number of a minute of a node, in which one more message began. */
  headOf(minute: number, node: number): number {
    const before = this.heads.count
    const head = this.heads.rowOf(minute, node, 0, 0, 0)
    if (head === before) {
      if ((head + 1) * KIND_COUNT > this.messages.length) {
        this.totals = doubled(this.totals, Float64Array)
        this.messages = doubled(this.messages, Float64Array)
      }
      this.totals.fill(0, head * KIND_COUNT * TOTALS, (head + 1) * KIND_COUNT * TOTALS)
      this.messages.fill(0, head * KIND_COUNT, (head + 1) * KIND_COUNT)
    }
    return head
  }

  add(other: NodeTally): void {
    const { keys, count } = other.heads
    for (let head = 0; head < count; head++) {
      const own = this.headOf(keys[head * KEYS]!, keys[head * KEYS + 1]!)
      for (let kind = 0; kind < KIND_COUNT; kind++) {
        const cell = head * KIND_COUNT + kind
        if (other.messages[cell] === 0) continue
        const ownCell = own * KIND_COUNT + kind
        this.messages[ownCell] = this.messages[ownCell]! + other.messages[cell]!
        const at = ownCell * TOTALS
        const from = cell * TOTALS
        for (let k = 0; k < TOTALS; k++) this.totals[at + k] = this.totals[at + k]! + other.totals[from + k]!
      }
    }
  }

  clear(): void {
    this.heads.clear()
  }

  get bytes(): number {
    return this.heads.bytes + this.totals.byteLength + this.messages.byteLength
  }
}
