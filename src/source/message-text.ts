/** Text out of bytes. */

const decoder = new TextDecoder('utf-8', { ignoreBOM: true })

/** `bytes[start, end)` as text; what is not UTF-8 becomes U+FFFD. */
export function textOf(bytes: Uint8Array, start: number, end: number): string {
  if (end - start <= SHORT) {
    let text = ''
    for (let i = start; i < end; i++) {
      const c = bytes[i]!
      if (c > 0x7e) return decoder.decode(bytes.subarray(start, end))
      text += String.fromCharCode(c)
    }
    return text
  }
  return decoder.decode(bytes.subarray(start, end))
}

/** Up to here, ASCII is put together faster letter by letter than by the decoder. */
const SHORT = 40

/** The start of a text that is kept for people: at most 64 KiB of UTF-8, cut between characters. */
export function headOf(bytes: Uint8Array, start: number, end: number): string {
  let stop = Math.min(end, start + HEAD_BYTES_MAX)
  if (stop < end) while (stop > start && (bytes[stop]! & 0xc0) === 0x80) stop -= 1
  return textOf(bytes, start, stop)
}

export const HEAD_BYTES_MAX = 64 * 1024
