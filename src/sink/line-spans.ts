/** Where lines begin and end in the bytes of a batch. Our lines hold no newline but the one at their end. */

export interface LineSpan {
  readonly start: number
  /** Behind the line's newline. */
  readonly end: number
  readonly timestampNs: bigint
}

const NEWLINE = 10

export function linesOf(bytes: Uint8Array): LineSpan[] {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  const spans: LineSpan[] = []
  for (let start = 0; start < bytes.length; ) {
    const found = buffer.indexOf(NEWLINE, start)
    const end = found < 0 ? bytes.length : found + 1
    const text = found < 0 ? end : found
    spans.push({
      start,
      end,
      timestampNs: BigInt(buffer.toString('latin1', buffer.lastIndexOf(32, text - 1) + 1, text)),
    })
    start = end
  }
  return spans
}

export function lineCountOf(bytes: Uint8Array): number {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  let count = 0
  for (let at = buffer.indexOf(NEWLINE); at >= 0; at = buffer.indexOf(NEWLINE, at + 1)) count += 1
  return bytes.at(-1) === NEWLINE || bytes.length === 0 ? count : count + 1
}

/** The text of one line, without its newline. */
export function textOf(line: Uint8Array): string {
  return Buffer.from(line).toString().replace(/\n$/, '')
}
