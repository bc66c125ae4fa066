/** Writes numbers as digits, four at a time from a table. Digit by digit, the processor would mispredict the length of most numbers. */
import { highOf, lowOf } from '../../base/int64.ts'
import { wordOf } from '../../source/parse/text.ts'

const CHUNK = 10_000
/** The digits of 0 to 9999 as a little-endian word: from the first one on, and with zeros before it. */
const LEFT = new Int32Array(CHUNK)
const FULL = new Int32Array(CHUNK)
const LENGTHS = new Uint8Array(CHUNK)
for (let value = 0; value < CHUNK; value++) {
  const digits = String(value)
  LEFT[value] = wordOf(digits.padEnd(4, '0'))
  FULL[value] = wordOf(digits.padStart(4, '0'))
  LENGTHS[value] = digits.length
}

/** Writes a whole number from 0 to 2^53 at `p` and returns the position after it; up to three bytes after that are written too. */
export function writeNumber(view: DataView, p: number, value: number): number {
  if (value < CHUNK) {
    view.setInt32(p, LEFT[value]!, true)
    return p + LENGTHS[value]!
  }
  if (value < 100_000_000) {
    const high = ((value | 0) / CHUNK) | 0
    view.setInt32(p, LEFT[high]!, true)
    p += LENGTHS[high]!
    view.setInt32(p, FULL[(value | 0) - high * CHUNK]!, true)
    return p + 4
  }
  const high = Math.floor(value / 100_000_000)
  return writePadded8(view, writeNumber(view, p, high), (value - high * 100_000_000) | 0)
}

/** Eight digits, with leading zeros. */
function writePadded8(view: DataView, p: number, value: number): number {
  const high = (value / CHUNK) | 0
  view.setInt32(p, FULL[high]!, true)
  view.setInt32(p + 4, FULL[value - high * CHUNK]!, true)
  return p + 8
}

/** Nine digits, with leading zeros. */
function writePadded9(view: DataView, p: number, value: number): number {
  const high = (value / 100_000_000) | 0
  view.setInt32(p, LEFT[high]!, true)
  return writePadded8(view, p + 1, value - high * 100_000_000)
}

/** Writes an int64. Negative ones (times before 1970) are rare and written digit by digit. */
export function writeInt64(view: DataView, p: number, value: bigint): number {
  const high = highOf(value)
  if (high < 0) {
    for (const digit of String(value)) view.setInt8(p++, digit.charCodeAt(0))
    return p
  }
  const low = lowOf(value)
  // Long division by 10^9, 16 bits at a time, in doubles that stay exact.
  let rest = high % 1e9
  let quotient = Math.floor(high / 1e9)
  for (const part of [low >>> 16, low & 0xffff]) {
    const value = rest * 65_536 + part
    const times = Math.floor(value / 1e9)
    quotient = quotient * 65_536 + times
    rest = value - times * 1e9
  }
  if (quotient === 0) return writeNumber(view, p, rest)
  return writePadded9(view, writeNumber(view, p, quotient), rest)
}
