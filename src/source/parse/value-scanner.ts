/** Finds where a JSON value ends, and whether it is JSON at all, while its bytes come in; keeps none of them. Its end is found by brackets and texts
 * alone, so damage inside a value does not hide it. Brackets must match (the outermost 31 are watched): after one that does not, it is not known
 * where the value ends. */
import { plainTextEnd, textOf } from './text.ts'

export interface ValueScanner {
  /** A value begins at the next byte. */
  begin(): void
  /** Reads on. Returns the position after the value, or -1 when all of `bytes[start, end)` belongs to it. A number or word ends before the first
   * byte that cannot be part of it. `view`: of the same bytes; `bytes[end]` must be 0, and three bytes behind it must exist. */
  run(bytes: Uint8Array, view: DataView, start: number, end: number): number
  /** After the end: the deepest nesting; 0 for a text, number or word. */
  deepest(): number
  /** After the end: false when it was no value at all, such as `<html>` or `nope`, or when a bracket did not match. */
  isValue(): boolean
  /** Before the end, too: what came so far is no JSON. Not known of what is nested deeper than 31. */
  isDamaged(): boolean
  /** After the end: JSON.parse would take it. False also for what is nested too deep or too long to be sure. */
  isJson(): boolean
  /** The position after the value that begins at `start`; -1 when it is not whole, no JSON, or nested deeper than `depthMax`. */
  endOf(bytes: Uint8Array, view: DataView, start: number, end: number, depthMax: number): number
}

const SCALAR = /^(?:true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?)$/
/** Longer numbers are taken for numbers by their first letters. */
const SCALAR_KEPT = 64
const WATCHED = 31

const QUOTE = 0x22
const COMMA = 0x2c
const COLON = 0x3a
const OPEN_LIST = 0x5b
const BACKSLASH = 0x5c
const CLOSE_LIST = 0x5d
const OPEN_OBJECT = 0x7b
const CLOSE_OBJECT = 0x7d

// What may come next, a bit each.
const A_VALUE = 1
const A_KEY = 2
const A_COLON = 4
const A_COMMA = 8
const A_CLOSE = 16

const letters = (text: string) =>
  Uint8Array.from({ length: 256 }, (_, c) => Number(text.includes(String.fromCharCode(c))))
const LETTERS = 'abcdefghijklmnopqrstuvwxyz'
/** What numbers and words are made of. */
const IN_SCALAR = letters(`+-.0123456789${LETTERS}${LETTERS.toUpperCase()}`)
const IN_HEX = letters('0123456789abcdefABCDEF')
const ESCAPES = letters('"\\/bfnrtu')
const SPACES = letters(' \n\r\t')

export function createValueScanner(): ValueScanner {
  let next = A_VALUE
  let depth = 0
  let deepest = 0
  /** Bit n: the bracket at depth n is `[`. */
  let lists = 0
  let inText = false
  let isEscaped = false
  /** Digits of an escape `\u` that are still to come. */
  let hexLeft = 0
  /** Of a number or word, as far as it goes. */
  let scalar = ''
  let isValue = true
  let isJson = true

  function begin(): void {
    next = A_VALUE
    depth = deepest = hexLeft = 0
    inText = isEscaped = false
    scalar = ''
    isValue = isJson = true
  }

  function run(bytes: Uint8Array, view: DataView, start: number, end: number): number {
    let p = start
    while (p < end) {
      if (inText) {
        p = runText(bytes, view, p, end)
        if (inText) return -1
        if (depth === 0) return p
        continue
      }
      const c = bytes[p]!
      if (IN_SCALAR[c] === 1 || scalar !== '') {
        p = runScalar(bytes, p, end)
        if (p === end) return -1
        endScalar()
        if (depth === 0) return p
        continue
      }
      p += 1
      if (c === QUOTE) {
        if ((next & A_KEY) !== 0) next = A_COLON
        else take(A_VALUE, A_COMMA | A_CLOSE)
        inText = true
      } else if (c === OPEN_OBJECT || c === OPEN_LIST) {
        take(A_VALUE, A_CLOSE | (c === OPEN_LIST ? A_VALUE : A_KEY))
        depth += 1
        if (depth > deepest) deepest = depth
        if (depth <= WATCHED) lists = c === OPEN_LIST ? lists | (1 << depth) : lists & ~(1 << depth)
      } else if (depth === 0) {
        isValue = isJson = false
        return p - 1
      } else if (c === CLOSE_OBJECT || c === CLOSE_LIST) {
        take(A_CLOSE, A_COMMA | A_CLOSE)
        isValue = depth > WATCHED || isInList() === (c === CLOSE_LIST)
        depth -= 1
        if (depth === 0 || !isValue) return p
      } else if (c === COMMA) take(A_COMMA, isInList() ? A_VALUE : A_KEY)
      else if (c === COLON) take(A_COLON, A_VALUE)
      else if (SPACES[c] === 0) isJson = false
    }
    return -1
  }

  function take(what: number, after: number): void {
    if ((next & what) === 0) isJson = false
    next = after
  }

  function isInList(): boolean {
    return ((lists >> depth) & 1) === 1
  }

  function runText(bytes: Uint8Array, view: DataView, p: number, end: number): number {
    while (p < end) {
      if (isEscaped) {
        isEscaped = false
        const c = bytes[p++]!
        if (ESCAPES[c] === 0) isJson = false
        if (c === 0x75) hexLeft = 4
      } else if (hexLeft > 0) {
        hexLeft -= 1
        if (IN_HEX[bytes[p]!] === 1) p += 1
        else {
          isJson = false
          hexLeft = 0
        }
      } else {
        p = plainTextEnd(view, p)
        if (p >= end) return end
        const c = bytes[p++]!
        if (c === QUOTE) {
          inText = false
          return p
        }
        if (c === BACKSLASH) isEscaped = true
        else if (c < 0x20) isJson = false
      }
    }
    return p
  }

  function runScalar(bytes: Uint8Array, start: number, end: number): number {
    let p = start
    while (p < end && IN_SCALAR[bytes[p]!] === 1) p += 1
    if (scalar.length < SCALAR_KEPT) scalar += textOf(bytes, start, Math.min(p, start + SCALAR_KEPT))
    return p
  }

  function endScalar(): void {
    take(A_VALUE, A_COMMA | A_CLOSE)
    const isKnown = scalar.length < SCALAR_KEPT && SCALAR.test(scalar)
    if (!isKnown) isJson = false
    if (depth === 0) isValue = isKnown || (scalar.length >= SCALAR_KEPT && /^-?\d/.test(scalar))
    scalar = ''
  }

  return {
    begin,
    run,
    deepest: () => deepest,
    isValue: () => isValue,
    isDamaged: () => deepest <= WATCHED && !(isJson && isValue),
    isJson: () => isJson && isValue && deepest <= WATCHED,
    endOf(bytes, view, start, end, depthMax) {
      begin()
      const stop = run(bytes, view, start, end)
      return stop >= 0 && isJson && isValue && deepest <= Math.min(depthMax, WATCHED) ? stop : -1
    },
  }
}
