/** Texts as words of four bytes: compared and copied a word at a time. Up to three bytes after the end of a text are read, whatever they hold. */
import { TAILS } from './hash.ts'

/** True when two texts of the same length are equal. */
export function isSameText(one: DataView, oneStart: number, other: DataView, start: number, length: number): boolean {
  let i = 0
  while (i + 4 <= length && one.getInt32(oneStart + i, true) === other.getInt32(start + i, true)) i += 4
  const rest = length - i
  if (rest >= 4) return false
  return ((one.getInt32(oneStart + i, true) ^ other.getInt32(start + i, true)) & TAILS[rest]!) === 0
}

/** True when the words from `at` on are those of the text, put there by `putWords`. Their lengths must be equal. */
export function areWordsOf(words: Int32Array, at: number, view: DataView, start: number, length: number): boolean {
  let i = 0
  while (i + 4 <= length && view.getInt32(start + i, true) === words[at]) {
    i += 4
    at += 1
  }
  return length - i < 4 && (view.getInt32(start + i, true) & TAILS[length - i]!) === words[at]
}

/** Writes a text as words, the last one filled up with zeros. It takes `(length >> 2) + 1` of them. */
export function putWords(words: Int32Array, at: number, view: DataView, start: number, length: number): void {
  let i = 0
  for (; i + 4 <= length; i += 4) words[at++] = view.getInt32(start + i, true)
  words[at] = view.getInt32(start + i, true) & TAILS[length - i]!
}
