/** Text four bytes at a time, as little-endian words: where something ends is computed instead of found by a loop that leaves at the first byte
 * that does not fit, whose length the processor would have to guess. Masks have the top bit of a byte set; they are right up to the first one,
 * which is all that `firstByte` asks for. */

/** Four letters as a word. */
export function wordOf(letters: string): number {
  return new DataView(new TextEncoder().encode(letters).buffer).getInt32(0, true)
}

/** Bytes above 9. */
export function overNine(word: number): number {
  return ((word + 0x76767676) | word) & 0x80808080
}

/** Bytes that are none of `./0123456789`. */
export function overDots(word: number): number {
  return ((word + 0x46464646) | ~(word + 0x52525252)) & 0x80808080
}

/** Bytes that are none of `./0123456789:abcdef`. */
export function overHex(word: number): number {
  const inDots = (word + 0x52525252) & ~(word + 0x45454545)
  const inLetters = (word + 0x1f1f1f1f) & ~(word + 0x19191919)
  return ~(inDots | inLetters) & 0x80808080
}

/** Which byte is the first one of a mask; there must be one. */
export function firstByte(mask: number): number {
  return (31 - Math.clz32(mask & -mask)) >> 3
}

/** The first position from `p` on that is not printable ASCII, or is `"` or `\`. There must be one; up to three bytes behind it are read. */
export function plainTextEnd(view: DataView, p: number): number {
  for (;;) {
    const word = view.getInt32(p, true)
    const quotes = word ^ 0x22222222
    const backslashes = word ^ 0x5c5c5c5c
    const marks = ((quotes - 0x01010101) & ~quotes) | ((backslashes - 0x01010101) & ~backslashes)
    const over = ((word + 0x01010101) | word | ~(word + 0x60606060) | marks) & 0x80808080
    if (over !== 0) return p + firstByte(over)
    p += 4
  }
}

/** The value of four digits, the first one in the lowest byte. */
export function fourDigits(digits: number): number {
  const pairs = (Math.imul(digits, 10) + (digits >>> 8)) & 0xff00ff
  return (pairs & 0xff) * 100 + (pairs >>> 16)
}

/** The value of the first 0 to 3 digits. */
export function leadingDigits(digits: number, count: number): number {
  return fourDigits((digits << (24 - count * 8)) << 8)
}

/** The first position from `p` on that is none of JSON's white space. */
export function spaceEnd(bytes: Uint8Array, p: number): number {
  let c = bytes[p]!
  while (c === 0x20 || c === 0x0a || c === 0x0d || c === 0x09) c = bytes[++p]!
  return p
}
