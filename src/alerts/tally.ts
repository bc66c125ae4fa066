/** Messages added up by minute and node: totals per kind, and flows by what they are about. Everything is a number, and a row costs the memory of
 * its numbers. Nodes talk to the same others every few seconds, so of many flows few rows remain for rules to look at. */

import { KINDS } from '../source/message.ts'
import { doubled } from '../source/message-columns.ts'
import { IntTable, KEYS } from './int-table.ts'

export const KIND_COUNT = KINDS.length
/** Per kind: the six of `Points.totals`. */
export const TOTALS = 6
export const COUNTERS = 4
/** Keys of a flow: its head, numbers of ends, the port (-1 for none), and protocol * KIND_COUNT + kind. */
export const FLOW_HEAD = 0
export const FLOW_SRC = 1
export const FLOW_DST = 2
export const FLOW_PORT = 3
export const FLOW_PROTO_KIND = 4

const HEADS_MIN = 256
const FLOWS_MIN = 1024

export class Tally {
  /** Minutes since the epoch in which messages began, and the number of the node. */
  readonly heads = new IntTable()
  /** By head: the newest second in which a message began. */
  newest = new Float64Array(HEADS_MIN)
  /** By head and kind. */
  totals = new Float64Array(HEADS_MIN * KIND_COUNT * TOTALS)
  messages = new Float64Array(HEADS_MIN * KIND_COUNT)
  readonly flows = new IntTable()
  /** By flow. */
  counters = new Float64Array(FLOWS_MIN * COUNTERS)
  times = new Float64Array(FLOWS_MIN)

  /** The number of a minute of a node. */
  headOf(minute: number, node: number, seconds: number): number {
    const before = this.heads.count
    const head = this.heads.rowOf(minute, node, 0, 0, 0)
    if (head === before) {
      if (head === this.newest.length) {
        this.newest = doubled(this.newest, Float64Array)
        this.totals = doubled(this.totals, Float64Array)
        this.messages = doubled(this.messages, Float64Array)
      }
      this.newest[head] = seconds
      this.totals.fill(0, head * KIND_COUNT * TOTALS, (head + 1) * KIND_COUNT * TOTALS)
      this.messages.fill(0, head * KIND_COUNT, (head + 1) * KIND_COUNT)
    } else if (seconds > this.newest[head]!) this.newest[head] = seconds
    return head
  }

  /** The number of a flow; a new one has zeros. */
  flowOf(head: number, src: number, dst: number, port: number, protoKind: number): number {
    const before = this.flows.count
    const flow = this.flows.rowOf(head, src, dst, port, protoKind)
    if (flow === before) {
      if (flow === this.times.length) {
        this.counters = doubled(this.counters, Float64Array)
        this.times = doubled(this.times, Float64Array)
      }
      this.times[flow] = 0
      const at = flow * COUNTERS
      this.counters[at] = 0
      this.counters[at + 1] = 0
      this.counters[at + 2] = 0
      this.counters[at + 3] = 0
    }
    return flow
  }

  /** Takes in all of another one. */
  add(other: Tally): void {
    const heads = new Int32Array(other.heads.count)
    for (let head = 0; head < heads.length; head++) {
      const { keys } = other.heads
      const own = this.headOf(keys[head * KEYS]!, keys[head * KEYS + 1]!, other.newest[head]!)
      heads[head] = own
      addAll(this.totals, own * KIND_COUNT * TOTALS, other.totals, head * KIND_COUNT * TOTALS, KIND_COUNT * TOTALS)
      addAll(this.messages, own * KIND_COUNT, other.messages, head * KIND_COUNT, KIND_COUNT)
    }
    const { keys, count } = other.flows
    for (let flow = 0; flow < count; flow++) {
      const at = flow * KEYS
      const own = this.flowOf(heads[keys[at]!]!, keys[at + 1]!, keys[at + 2]!, keys[at + 3]!, keys[at + 4]!)
      this.times[own] = this.times[own]! + other.times[flow]!
      addAll(this.counters, own * COUNTERS, other.counters, flow * COUNTERS, COUNTERS)
    }
  }

  get rows(): number {
    return this.heads.count + this.flows.count
  }

  clear(): void {
    this.heads.clear()
    this.flows.clear()
  }

  get bytes(): number {
    const { heads, newest, totals, messages, flows, counters, times } = this
    const columns = [newest, totals, messages, counters, times]
    return heads.bytes + flows.bytes + columns.reduce((sum, { byteLength }) => sum + byteLength, 0)
  }
}

function addAll(sums: Float64Array, at: number, values: Float64Array, from: number, count: number): void {
  for (let k = 0; k < count; k++) sums[at + k] = sums[at + k]! + values[from + k]!
}
