/** Turns any text into a valid tag value. Escaping for line protocol is done later, in sink/. */

import { firstByte } from '../source/parse/text.ts'
import { TAG_BYTES_MAX } from './points.ts'

const encoder = new TextEncoder()
const decoder = new TextDecoder()

/** Control characters, line separators and `\` become `_`, lone surrogates U+FFFD; then at most 256 bytes of UTF-8, ending
 * after a whole character; `none` when nothing is left. Two texts that become equal are the same tag value, so entries are summed after this. */
export function tagValue(text: string): string {
  if (isPlain(text)) return text
  // The rest is dropped anyway, and a text may have megabytes.
  const start = text.length > TAG_BYTES_MAX ? wholeCharacters(text) : text
  return shortened(printable(start)) || 'none'
}

/** Control characters, line separators and `\` become `_`, lone surrogates U+FFFD. */
export function printable(text: string): string {
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029\\]/g, '_').toWellFormed()
}

/** A short text of printable ASCII, as nearly all are. */
function isPlain(text: string): boolean {
  if (text.length === 0 || text.length > 80) return false
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i)
    if (c < 0x20 || c > 0x7e || c === 0x5c) return false
  }
  return true
}

function wholeCharacters(text: string): string {
  const last = text.charCodeAt(TAG_BYTES_MAX - 1)
  return text.slice(0, last >= 0xd800 && last <= 0xdbff ? TAG_BYTES_MAX + 1 : TAG_BYTES_MAX)
}

function shortened(text: string): string {
  if (text.length * 3 <= TAG_BYTES_MAX) return text
  const bytes = encoder.encode(text)
  if (bytes.length <= TAG_BYTES_MAX) return text
  let end = TAG_BYTES_MAX
  while ((bytes[end]! & 0xc0) === 0x80) end -= 1
  return decoder.decode(bytes.subarray(0, end))
}

/** The short name of a device: its FQDN up to the first dot. Undefined when there is none. */
export function shortName(fqdn: string): string | undefined {
  const dot = fqdn.indexOf('.')
  return (dot < 0 ? fqdn : fqdn.slice(0, dot)) || undefined
}

/** True when the text contains a space, comma or `=`, which line protocol escapes. Up to three bytes after it are read. */
export function hasTagMarks(view: DataView, start: number, end: number): boolean {
  for (let i = start; i < end; i += 4) {
    const word = view.getInt32(i, true)
    const marks = (zeros(word ^ 0x20202020) | zeros(word ^ 0x2c2c2c2c) | zeros(word ^ 0x3d3d3d3d)) & 0x80808080
    if (marks !== 0 && i + firstByte(marks) < end) return true
  }
  return false
}

/** Sets the top bit of each byte that is 0. Only correct up to the first such byte. */
function zeros(word: number): number {
  return (word - 0x01010101) & ~word
}
