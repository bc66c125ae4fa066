/** Where lines begin and end in the bytes of a batch, and which node and tailnet they are about. A line has no newline except the one at its end. */
import { compare } from '../../base/order.ts'
import { unescapeTag } from './escape.ts'

export interface LineSpan {
  readonly start: number
  /** After the newline. */
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

/** The lines one after the other: a view of `bytes` if they are adjacent there, otherwise a copy. */
export function bytesOf(bytes: Uint8Array, lines: readonly LineSpan[]): Uint8Array {
  const isWhole = lines.every(({ start }, index) => index === 0 || start === lines[index - 1]?.end)
  if (isWhole) return bytes.subarray(lines[0]?.start ?? 0, lines.at(-1)?.end ?? 0)
  return Buffer.concat(lines.map(({ start, end }) => bytes.subarray(start, end)))
}

/** The same lines in order of time. */
export function oldestFirst(lines: readonly LineSpan[]): LineSpan[] {
  return lines.toSorted((one, other) => compare(one.timestampNs, other.timestampNs))
}

/** The reporting node of a line: its tag `node`, still escaped; undefined when it has none. */
export function nodeOf(text: string): string | undefined {
  return NODE.exec(text)?.[1]
}

/** The tailnet that the first of these lines is about, from its tag `tailnet`. */
export function tailnetOf(bytes: Uint8Array): string | undefined {
  const end = bytes.indexOf(NEWLINE)
  const escaped = TAILNET.exec(textOf(end < 0 ? bytes : bytes.subarray(0, end)))?.[1]
  return escaped === undefined ? undefined : unescapeTag(escaped)
}

/** Backslashes and the escaped character are skipped in pairs, so that a part of a value is never taken for a tag. */
const NODE = /^(?:\\.|[^\\ ])*?,node=((?:\\.|[^\\, ])*)/
const TAILNET = /^(?:\\.|[^\\ ])*?,tailnet=((?:\\.|[^\\, ])*)/
