/** A 64-bit digest of a message: two independent 32-bit sums over its entries, so that their order does not matter. It tells whether
 * a message was changed, not who changed it: it resists accidents, no attacker (who could only hide changes of a node's own messages). */
import { DST, END_HASH, END_PORT, END_TEXT_END, END_TEXT_START, KIND, SRC } from '../source/message.ts'

export interface MessageDigest {
  begin(): void
  /** An entry: its cells from `cell` on, its protocol as any number that stands for it, its four counters from `c` on. */
  add(cells: Int32Array, cell: number, proto: number, counters: Float64Array, c: number): void
  /** The upper parts of the counters of the entry just added. */
  addMore(highs: Float64Array, c: number): void
  of(nodeId: string, startNs: bigint): bigint
}

export function createDigest(): MessageDigest {
  let sumA = 0
  let sumB = 0
  let a = 0
  let b = 0

  function mix(value: number): void {
    a = Math.imul(a ^ value, 0x9e3779b1)
    a ^= a >>> 15
    b = Math.imul((b << 5) ^ (b >>> 27) ^ value, 0x85ebca6b)
    b ^= b >>> 13
  }

  function mixCounters(values: Float64Array, c: number): void {
    for (let i = c; i < c + 4; i++) {
      const value = values[i]!
      mix(value | 0)
      if (value >= 4294967296) mix((value / 4294967296) | 0)
    }
  }

  return {
    begin() {
      sumA = 0
      sumB = 0
    },
    add(cells, cell, proto, counters, c) {
      a = 0x2545f491
      b = 0x6c8e9cf5
      mix(cells[cell + KIND]! * 0x1000000 + proto)
      for (let at = cell + SRC; at <= cell + DST; at += DST - SRC) {
        mix(cells[at + END_HASH]!)
        mix(cells[at + END_PORT]! * 0x10000 + cells[at + END_TEXT_END]! - cells[at + END_TEXT_START]!)
      }
      mixCounters(counters, c)
      sumA = (sumA + a) | 0
      sumB = (sumB + b) | 0
    },
    addMore(highs, c) {
      mixCounters(highs, c)
      sumA = (sumA + a) | 0
      sumB = (sumB + b) | 0
    },
    of(nodeId, startNs) {
      a = sumA
      b = sumB
      for (let i = 0; i < nodeId.length; i++) mix(nodeId.charCodeAt(i))
      mix(Number(BigInt.asIntN(32, startNs)))
      mix(Number(BigInt.asIntN(32, startNs >> 32n)))
      return (BigInt(a >>> 0) << 32n) | BigInt(b >>> 0)
    },
  }
}
