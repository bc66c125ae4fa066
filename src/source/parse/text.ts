/** Text out of bytes. */

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

/** Whether two texts in the same bytes are the same. */
export function isSame(bytes: Uint8Array, start: number, end: number, otherStart: number, otherEnd: number): boolean {
  let length = end - start
  if (length !== otherEnd - otherStart) return false
  while (length > 0 && bytes[start + length - 1] === bytes[otherStart + length - 1]) length -= 1
  return length === 0
}
