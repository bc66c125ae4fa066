/** A 64-bit digest of a message: two independent 32-bit sums over its entries, so that their order does not matter. It shows that a message
 * has changed. It is not safe against a node that wants to hide a change, but a node could only do that to its own messages. */
import { hashStep, secondHashStep } from '../base/hash.ts'
import { highOf, int64Of, lowOf } from '../source/parse/int64.ts'
import { DST, END_HASH, END_PORT, END_TEXT_END, END_TEXT_START, KIND, SRC } from '../source/parse/message.ts'

export interface MessageDigest {
  begin(): void
  /** Adds an entry: its cells from `cell` on, a number that stands for its protocol, its four counters from `c` on. */
  add(cells: Int32Array, cell: number, proto: number, counters: Float64Array, c: number): void
  /** Adds the exact counters of the entry that was added last, where doubles are rounded. */
  addExact(counters: BigInt64Array): void
  of(nodeId: string, startNs: bigint): bigint
}

/** Each step takes a hash and returns the next one, so that the hashes of an entry are local variables. As variables of the closure they would be
 * loaded and stored nine times per entry. */
export function createDigest(): MessageDigest {
  let sumA = 0
  let sumB = 0
  let lastA = 0
  let lastB = 0

  return {
    begin() {
      sumA = 0
      sumB = 0
    },
    add(cells, cell, proto, counters, c) {
      const first = cells[cell + KIND]! * 0x1000000 + proto
      let a = hashStep(0x2545f491, first)
      let b = secondHashStep(0x6c8e9cf5, first)
      for (let at = cell + SRC; at <= cell + DST; at += DST - SRC) {
        const hash = cells[at + END_HASH]!
        const rest = cells[at + END_PORT]! * 0x10000 + cells[at + END_TEXT_END]! - cells[at + END_TEXT_START]!
        a = hashStep(hashStep(a, hash), rest)
        b = secondHashStep(secondHashStep(b, hash), rest)
      }
      for (let i = c; i < c + 4; i++) {
        const value = counters[i]!
        const high = upper(value)
        a = hashStep(a, value | 0)
        b = secondHashStep(b, value | 0)
        if (high === 0) continue
        a = hashStep(a, high)
        b = secondHashStep(b, high)
      }
      lastA = a
      lastB = b
      sumA = (sumA + a) | 0
      sumB = (sumB + b) | 0
    },
    addExact(counters) {
      for (const value of counters) {
        for (const half of [lowOf(value), highOf(value)]) {
          lastA = hashStep(lastA, half)
          lastB = secondHashStep(lastB, half)
        }
      }
      sumA = (sumA + lastA) | 0
      sumB = (sumB + lastB) | 0
    },
    of(nodeId, startNs) {
      let a = sumA
      let b = sumB
      for (let i = 0; i < nodeId.length; i += 2) {
        const letters = nodeId.charCodeAt(i) * 65_536 + (i + 1 < nodeId.length ? nodeId.charCodeAt(i + 1) : 0)
        a = hashStep(a, letters)
        b = secondHashStep(b, letters)
      }
      const low = lowOf(startNs)
      const high = highOf(startNs)
      return BigInt.asUintN(64, int64Of(hashStep(hashStep(a, low), high), secondHashStep(secondHashStep(b, low), high)))
    },
  }
}

/** The part above the lower 32 bits. */
function upper(value: number): number {
  return value < 4294967296 ? 0 : (value / 4294967296) | 0
}
