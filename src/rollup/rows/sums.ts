/** Sums of counters: doubles while all of them stay exact, else int64, which are several times slower; there a larger sum is kept as 2^63-1, which is all
 * that a field can hold. */
import { COUNTERS, type RawPoints, RX_BYTES, TX_BYTES } from '../points/raw-points.ts'

export type Values = Float64Array | BigInt64Array

/** Sums by index. */
export interface Sums {
  /** Adds the counters of a series: what was sent at `tx` and after it, what was received at `rx` and after it. */
  addCounters(tx: number, rx: number, points: RawPoints, row: number): void
  /** Adds what was sent and received in bytes alone, at `at` and after it. */
  addBytes(at: number, points: RawPoints, row: number): void
  add(at: number, value: number): void
  isAbove0(at: number): boolean
  /** Room for values of this kind. */
  values(length: number): Values
  /** Puts a sum among the values, or two sums together where `other` is another one. */
  put(values: Values, to: number, at: number, other: number): void
  /** Puts a whole number among the values. */
  set(values: Values, to: number, value: number): void
}

const FIELD_MAX = (1n << 63n) - 1n

export function bounded(sum: bigint): bigint {
  return sum > FIELD_MAX ? FIELD_MAX : sum
}

/** Values are never less than a sum they are made of, and sums only grow, so one that was not exact on the way is too large in the end. */
export function isExact(values: Values): boolean {
  if (values instanceof BigInt64Array) return true
  for (const value of values) if (value > Number.MAX_SAFE_INTEGER) return false
  return true
}

export function createSums(length: number): Sums {
  const sums = new Float64Array(length)
  return {
    addCounters(tx, rx, points, row) {
      const counters = points.counters as Float64Array
      const from = row * COUNTERS
      sums[tx] = sums[tx]! + counters[from]!
      sums[tx + 1] = sums[tx + 1]! + counters[from + 1]!
      sums[rx] = sums[rx]! + counters[from + 2]!
      sums[rx + 1] = sums[rx + 1]! + counters[from + 3]!
    },
    addBytes(at, points, row) {
      const counters = points.counters as Float64Array
      sums[at] = sums[at]! + counters[row * COUNTERS + TX_BYTES]!
      sums[at + 1] = sums[at + 1]! + counters[row * COUNTERS + RX_BYTES]!
    },
    add(at, value) {
      sums[at] = sums[at]! + value
    },
    isAbove0: (at) => sums[at]! > 0,
    values: (size) => new Float64Array(size),
    put(values, to, at, other) {
      values[to] = at === other ? sums[at]! : sums[at]! + sums[other]!
    },
    set(values, to, value) {
      values[to] = value
    },
  }
}

export function createBigSums(length: number): Sums {
  const sums = new BigInt64Array(length)
  const add = (at: number, value: number | bigint) => void (sums[at] = bounded(sums[at]! + BigInt(value)))
  return {
    addCounters(tx, rx, { counters }, row) {
      for (const [k, at] of [tx, tx + 1, rx, rx + 1].entries()) add(at, counters[row * COUNTERS + k]!)
    },
    addBytes(at, { counters }, row) {
      add(at, counters[row * COUNTERS + TX_BYTES]!)
      add(at + 1, counters[row * COUNTERS + RX_BYTES]!)
    },
    add,
    isAbove0: (at) => sums[at]! > 0n,
    values: (size) => new BigInt64Array(size),
    put(values, to, at, other) {
      values[to] = at === other ? sums[at]! : bounded(sums[at]! + sums[other]!)
    },
    set(values, to, value) {
      values[to] = BigInt(value)
    },
  }
}

/** A row exists if it has bytes or packets: the four values from `at` on. */
export function hasCounted(values: Values, at: number): boolean {
  return values[at]! > 0 || values[at + 1]! > 0 || values[at + 2]! > 0 || values[at + 3]! > 0
}
