/** Text in bytes: as strings, compared and searched four bytes at a time, and as the same string for the same bytes (StringInterner). */

import { areWordsOf, hashWords, putWords } from '../../base/hash.ts'
import type { Message } from './message.ts'

const decoder = new TextDecoder('utf-8', { ignoreBOM: true })

const latin1Slice = Buffer.prototype.latin1Slice

/** `bytes[start, end)` as text; what is not UTF-8 becomes U+FFFD. */
export function textOf(bytes: Uint8Array, start: number, end: number): string {
  if (end - start > SHORT) return decoder.decode(bytes.subarray(start, end))
  for (let i = start; i < end; i++) if (bytes[i]! > 0x7e) return decoder.decode(bytes.subarray(start, end))
  // ASCII is the same in Latin-1, which needs no decoder.
  return latin1Slice.call(bytes, start, end)
}

/** A text of a message; its offsets count from `textStart`. */
export function textIn(message: Pick<Message, 'text' | 'textStart'>, start: number, end: number): string {
  return textOf(message.text, message.textStart + start, message.textStart + end)
}

/** Longer texts are rare, and the decoder looks through them faster. */
const SHORT = 256

/** The start of a text that is kept for people: at most `bytesMax` of UTF-8, cut between characters. */
export function headOf(bytes: Uint8Array, start: number, end: number, bytesMax = HEAD_BYTES_MAX): string {
  let stop = Math.min(end, start + bytesMax)
  if (stop < end) while (stop > start && (bytes[stop]! & 0xc0) === 0x80) stop -= 1
  return textOf(bytes, start, stop)
}

export const HEAD_BYTES_MAX = 64 * 1024

/** The same, with the length of the whole where it was cut. */
export function headWithLength(
  bytes: Uint8Array,
  start: number,
  end: number,
  bytesMax = HEAD_BYTES_MAX,
): { readonly text: string; readonly bytes?: number } {
  const text = headOf(bytes, start, end, bytesMax)
  return end - start > bytesMax ? { text, bytes: end - start } : { text }
}

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

/** Short texts that come again and again, such as the ids of nodes: each is made once. Making a string takes longer than finding it, and one that was
 * used as a key of a Map before is found there faster. Bounded: a text takes the place of another one. */

const PLACES = 16_384
/** Longer texts are made each time. */
const WORDS = 8
const BYTES_MAX = WORDS * 4 - 1

export class StringInterner {
  private readonly texts: string[] = new Array<string>(PLACES).fill('')
  /** The bytes of each text, with zeros behind. */
  private readonly words = new Int32Array(PLACES * WORDS)
  private misses = 0

  /** The text from `start` to `end`, plain ASCII. `view`: of the same bytes; up to three behind `end` are read. */
  of(bytes: Uint8Array, view: DataView, start: number, end: number): string {
    const length = end - start
    if (length > BYTES_MAX) return textOf(bytes, start, end)
    const first = (hashWords(view, start, end) >>> 3) & (PLACES - 1)
    if (this.isAt(first, view, start, length)) return this.texts[first]!
    // Two places each: with one, thousands of texts keep driving each other out, and what was driven out is garbage of the old generation.
    if (this.isAt(first ^ 1, view, start, length)) return this.texts[first ^ 1]!
    const text = textOf(bytes, start, end)
    const isFirst = this.texts[first] === '' || (this.texts[first ^ 1] !== '' && isItsTurn(this.misses++))
    const place = isFirst ? first : first ^ 1
    putWords(this.words, place * WORDS, view, start, length)
    this.texts[place] = text
    return text
  }

  private isAt(place: number, view: DataView, start: number, length: number): boolean {
    return this.texts[place]!.length === length && areWordsOf(this.words, place * WORDS, view, start, length)
  }
}

/** Whether what is new takes the first of two places that are both taken. Seldom: nodes report in turn, and if each drove out the one before, none would
 * ever be found. But now and then, so that what is no longer used goes. */
export function isItsTurn(misses: number): boolean {
  return (misses & 7) === 0
}
