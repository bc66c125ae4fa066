/** Finds where a JSON value ends, byte by byte, without keeping any of it: only brackets, strings and their escapes count. Brackets
 * must match (the outermost 31 are watched), because after one that does not nobody knows where the value ends. */

export interface ValueScanner {
  /** A value begins at the next byte. */
  begin(): void
  /** Reads on; the position after the value, or -1 when all of `bytes[start, end)` belongs to it. A number or word ends before the
   * first byte that cannot be part of it. */
  run(bytes: Uint8Array, start: number, end: number): number
  /** After the end: the deepest nesting; 0 for a text, number or word. */
  deepest(): number
  /** After the end: false when it was no value at all, such as `<html>` or `nope`, or when a bracket did not match. */
  isValue(): boolean
}

const SCALAR = /^(?:true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?)$/
/** Longer numbers are taken for numbers by their first letters. */
const SCALAR_KEPT = 64

const WATCHED = 31

const STARTING = 0
const NESTED = 1
const IN_TEXT = 2
const SCALAR_TEXT = 3

export function createValueScanner(): ValueScanner {
  let state = STARTING
  let depth = 0
  let deepest = 0
  let escaped = false
  let scalar = ''
  /** Bit n: the bracket at depth n is `[`. */
  let lists = 0
  let matching = true

  function begin(): void {
    state = STARTING
    depth = 0
    deepest = 0
    escaped = false
    scalar = ''
    matching = true
  }

  function run(b: Uint8Array, start: number, end: number): number {
    let p = start
    if (p >= end) return -1
    if (state === STARTING) {
      const c = b[p]!
      state = c === 0x22 ? IN_TEXT : c === 0x7b || c === 0x5b ? NESTED : SCALAR_TEXT
      if (state === IN_TEXT) p += 1
    }
    if (state === SCALAR_TEXT) return runScalar(b, p, end)
    while (p < end) {
      if (state === IN_TEXT) {
        p = endOfText(b, p, end)
        if (p < 0) return -1
        if (depth === 0) return p
        state = NESTED
        continue
      }
      const c = b[p++]!
      if (c === 0x22) state = IN_TEXT
      else if (c === 0x7b || c === 0x5b) {
        depth += 1
        if (depth > deepest) deepest = depth
        if (depth <= WATCHED) lists = c === 0x5b ? lists | (1 << depth) : lists & ~(1 << depth)
      } else if (c === 0x7d || c === 0x5d) {
        matching = depth > WATCHED || ((lists >> depth) & 1) === (c === 0x5d ? 1 : 0)
        if (!matching) return p
        depth -= 1
        if (depth === 0) return p
      }
    }
    return -1
  }

  function endOfText(b: Uint8Array, p: number, end: number): number {
    if (escaped && p < end) {
      escaped = false
      p += 1
    }
    while (p < end) {
      const c = b[p++]!
      if (c === 0x22) return p
      if (c === 0x5c) {
        if (p === end) escaped = true
        p += 1
      }
    }
    return -1
  }

  function runScalar(b: Uint8Array, p: number, end: number): number {
    for (; p < end; p++) {
      const c = b[p]!
      const digit = c >= 0x30 && c <= 0x39
      const letter = (c >= 0x41 && c <= 0x5a) || (c >= 0x61 && c <= 0x7a)
      if (!digit && !letter && c !== 0x2b && c !== 0x2d && c !== 0x2e) return p
      if (scalar.length < SCALAR_KEPT) scalar += String.fromCharCode(c)
    }
    return -1
  }

  return {
    begin,
    run,
    deepest: () => deepest,
    isValue() {
      if (state !== SCALAR_TEXT) return matching
      return scalar.length < SCALAR_KEPT ? SCALAR.test(scalar) : /^-?\d/.test(scalar)
    },
  }
}
