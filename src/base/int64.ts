/** 64-bit integers taken apart and put together without BigInt arithmetic, each step of which makes an object: times and digests are made for
 * every message. */

const whole = new BigInt64Array(1)
const halves = new Int32Array(whole.buffer)
/** Where the lower half lies: first on nearly every machine. */
const LOW = new Uint8Array(Uint32Array.of(1).buffer)[0] === 1 ? 0 : 1
const HIGH = 1 - LOW

/** The lower 32 bits, as an int32. */
export function lowOf(value: bigint): number {
  whole[0] = value
  return halves[LOW]!
}

/** The upper 32 bits, as an int32 with the sign. */
export function highOf(value: bigint): number {
  whole[0] = value
  return halves[HIGH]!
}

/** `high * 2^32 + low`; of both only the lower 32 bits count. */
export function int64Of(high: number, low: number): bigint {
  halves[HIGH] = high
  halves[LOW] = low
  return whole[0]!
}

const TWO_32 = 0x1_0000_0000

/** A time in ns as ms, to a microsecond. */
export function msOf(ns: bigint): number {
  return highOf(ns) * (TWO_32 / 1e6) + (lowOf(ns) >>> 0) / 1e6
}
/** Mixes the upper half into the lower one. */
const TOP = 0x2c1b3c6d

/** A whole number from 0 to 2^63-1 as 32 bits for a hash, the same whether it is a double or an int64. */
export function wordOf(value: number | bigint): number {
  if (typeof value === 'bigint') return lowOf(value) ^ Math.imul(highOf(value), TOP)
  return value < TWO_32 ? value | 0 : (value | 0) ^ Math.imul(Math.floor(value / TWO_32), TOP)
}
