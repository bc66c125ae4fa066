/** RFC 3339 to nanoseconds, on bytes and by hand: `Date` knows only milliseconds. */
import { int64Of } from '../../base/int64.ts'

const MAX_NS = (1n << 63n) - 1n
const MIN_NS = -(1n << 63n)
/** Well below the largest int64, so that the rest of a minute is no matter. */
const CACHED_MAX_NS = 9_000_000_000_000_000_000n
const DAYS_BEFORE_MONTH = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334] as const

/** Nanoseconds since the epoch of `2025-10-28T22:39:51.890385065Z` in `bytes[start, end)`: any number of fraction digits (those after
 * the ninth are cut), `Z` or an offset. Undefined when it is not RFC 3339, a leap second, or outside int64 (Go's zero time is). */
export function parseTime(bytes: Uint8Array, start: number, end: number): bigint | undefined {
  if (end - start < 20) return undefined
  const year = digits(bytes, start, 4)
  const month = digits(bytes, start + 5, 2)
  const day = digits(bytes, start + 8, 2)
  const hour = digits(bytes, start + 11, 2)
  const minute = digits(bytes, start + 14, 2)
  const second = digits(bytes, start + 17, 2)
  const t = bytes[start + 10]
  if (bytes[start + 4] !== 0x2d || bytes[start + 7] !== 0x2d || (t !== 0x54 && t !== 0x74)) return undefined
  if (bytes[start + 13] !== 0x3a || bytes[start + 16] !== 0x3a) return undefined
  // A field that is not digits is -1.
  if (year < 0 || month < 1 || month > 12 || day < 1 || day > daysIn(year, month)) return undefined
  if (hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 59) return undefined

  let at = start + 19
  let nanos = 0
  if (bytes[at] === 0x2e) {
    const first = ++at
    for (let scale = 100_000_000; at < end && isDigit(bytes[at]!); at++, scale = Math.floor(scale / 10)) {
      nanos += (bytes[at]! - 0x30) * scale
    }
    if (at === first) return undefined
  }
  const offset = offsetSeconds(bytes, at, end)
  if (offset === undefined) return undefined

  const seconds = daysFromEpoch(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second - offset
  const ns = BigInt(seconds) * 1_000_000_000n + BigInt(nanos)
  return ns >= MIN_NS && ns <= MAX_NS ? ns : undefined
}

/** The same as `parseTime`, for many times of one day: the day is parsed only when it is another than the last time, and nothing is
 * computed with BigInt. Several times cheaper, and there are two times in each message. */
export function createTimeParser(): typeof parseTime {
  /** `2025-10-28T` */
  const day = new Uint8Array(11)
  /** Seconds from the epoch to its begin. */
  let daySeconds = 0

  function isSameDay(bytes: Uint8Array, start: number): boolean {
    for (let i = 10; i >= 0; i--) if (bytes[start + i] !== day[i]) return false
    return true
  }

  return (bytes, start, end) => {
    const length = end - start
    const isUsual =
      bytes[end - 1] === 0x5a && (length === 20 || (length > 21 && length <= 30 && bytes[start + 19] === 0x2e))
    if (!isUsual || !isSameDay(bytes, start)) {
      const ns = parseTime(bytes, start, end)
      if (isUsual && ns !== undefined && ns >= 0n && ns < CACHED_MAX_NS) {
        day.set(bytes.subarray(start, start + 11))
        daySeconds = Number(ns / 86_400_000_000_000n) * 86_400
      }
      return ns
    }
    const hour = digits(bytes, start + 11, 2)
    const minute = digits(bytes, start + 14, 2)
    const second = digits(bytes, start + 17, 2)
    if (bytes[start + 13] !== 0x3a || bytes[start + 16] !== 0x3a) return undefined
    if (hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 59) return undefined
    let nanos = 0
    if (length > 20) {
      nanos = digits(bytes, start + 20, length - 21)
      if (nanos < 0) return undefined
      nanos *= SCALES[length - 21]!
    }
    return nsOf(daySeconds + hour * 3_600 + minute * 60 + second, nanos)
  }
}

/** What a fraction of n digits is multiplied by to be nanoseconds. */
const SCALES = Int32Array.from({ length: 10 }, (_, count) => 10 ** (9 - count))

/** `seconds * 10^9 + nanos`, in doubles that stay exact: `seconds` from 0 to 2^33. */
function nsOf(seconds: number, nanos: number): bigint {
  const highSeconds = Math.floor(seconds / 65_536)
  const upper = highSeconds * 1e9
  const highUpper = Math.floor(upper / 65_536)
  const lower = (upper - highUpper * 65_536) * 65_536 + (seconds - highSeconds * 65_536) * 1e9 + nanos
  const carry = Math.floor(lower / 4_294_967_296)
  return int64Of(highUpper + carry, lower - carry * 4_294_967_296)
}

function offsetSeconds(bytes: Uint8Array, at: number, end: number): number | undefined {
  const sign = bytes[at]
  if (sign === 0x5a || sign === 0x7a) return at + 1 === end ? 0 : undefined
  if ((sign !== 0x2b && sign !== 0x2d) || at + 6 !== end || bytes[at + 3] !== 0x3a) return undefined
  const hours = digits(bytes, at + 1, 2)
  const minutes = digits(bytes, at + 4, 2)
  if (hours < 0 || hours > 23 || minutes < 0 || minutes > 59) return undefined
  return (sign === 0x2b ? 1 : -1) * (hours * 3_600 + minutes * 60)
}

function daysFromEpoch(year: number, month: number, day: number): number {
  const past = year - 1
  const leapDays = Math.floor(past / 4) - Math.floor(past / 100) + Math.floor(past / 400) - 477
  const leapDay = month > 2 && isLeap(year) ? 1 : 0
  return (year - 1970) * 365 + leapDays + DAYS_BEFORE_MONTH[month - 1]! + leapDay + day - 1
}

function daysIn(year: number, month: number): number {
  if (month === 2) return isLeap(year) ? 29 : 28
  return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31
}

function isLeap(year: number): boolean {
  return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0)
}

function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39
}

function digits(bytes: Uint8Array, start: number, count: number): number {
  let value = 0
  for (let i = start; i < start + count; i++) {
    if (!isDigit(bytes[i]!)) return -1
    value = value * 10 + bytes[i]! - 0x30
  }
  return value
}
