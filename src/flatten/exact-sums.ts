/** The sums of a message as int64, for messages whose counters together exceed 2^53. They are kept in addition to the doubles that every message
 * has. Few messages need them, so each gets new ones. */
import { KINDS, type Kind } from '../source/parse/message.ts'
import { type ExactCounters, FLOW_CELLS, FLOW_KIND, FLOW_PATH, TOTALS } from './points.ts'

const SUM_MAX = (1n << 63n) - 1n

export class ExactSums implements ExactCounters {
  readonly flows: BigInt64Array
  readonly totals = new BigInt64Array(KINDS.length * TOTALS)

  constructor(entryCount: number) {
    this.flows = new BigInt64Array(entryCount * 4)
  }

  /** False when a sum of the kind would exceed 2^63-1 with these four counters. */
  fits(kind: number, counters: BigInt64Array): boolean {
    return counters.every((value, k) => this.totals[kind * TOTALS + k]! + value <= SUM_MAX)
  }

  /** Adds the counters of an entry to its flow point. */
  add(flowCells: Int32Array, point: number, counters: BigInt64Array): void {
    for (let k = 0; k < 4; k++) this.flows[point * 4 + k]! += counters[k]!
    addTo(this.totals, flowCells, point, counters)
  }

  /** The first kind whose flow points do not add up to its total, if there is one. */
  firstImbalance(flowCells: Int32Array, count: number): Kind | undefined {
    const sums = new BigInt64Array(KINDS.length * TOTALS)
    for (let i = 0; i < count; i++) addTo(sums, flowCells, i, this.flows.subarray(i * 4, i * 4 + 4))
    return KINDS[Math.floor(sums.findIndex((sum, at) => sum !== this.totals[at]) / TOTALS)]
  }
}

function addTo(totals: BigInt64Array, flowCells: Int32Array, point: number, counters: BigInt64Array): void {
  const at = flowCells[point * FLOW_CELLS + FLOW_KIND]! * TOTALS
  for (let k = 0; k < 4; k++) totals[at + k]! += counters[k]!
  if (flowCells[point * FLOW_CELLS + FLOW_PATH]! < 0) return
  totals[at + 4]! += counters[0]!
  totals[at + 5]! += counters[2]!
}
