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
