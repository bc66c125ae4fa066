/** What the parts of the compact parser share, and how they read what does not look as Go writes it. */
import { ADDRESS_BYTES_MAX, splitAddress } from './address.ts'
import type { Columns } from './columns.ts'
import { plainTextEnd, spaceEnd } from './text.ts'
import type { ValueScanner } from './value-scanner.ts'

export interface CompactInput {
  bytes: Uint8Array
  /** Of the same bytes. */
  view: DataView
  /** Where the message begins: texts are given by their distance from it. */
  base: number
  end: number
  /** Where a number or member ends that did not look as usual. */
  at: number
  readonly columns: Columns
  /** For unknown members. */
  readonly scanner: ValueScanner
  /** How deep such a member of an entry or node may be nested. */
  readonly memberDepthMax: number
  /** Of all counters, in its one cell. */
  readonly sum: Float64Array
}

const QUOTE = 0x22
const ZERO = 0x30
const NINE = 0x39
const DIGITS_MAX = 15

/** The number behind the white space at `p`, up to 15 digits, exact in a double; -1 when there is none. */
export function otherNumber(input: CompactInput, p: number): number {
  const { bytes } = input
  const start = spaceEnd(bytes, p)
  let value = 0
  let end = start
  for (; bytes[end]! >= ZERO && bytes[end]! <= NINE; end++) value = value * 10 + bytes[end]! - ZERO
  input.at = end
  return end > start && end - start <= DIGITS_MAX && (bytes[start] !== ZERO || end === start + 1) ? value : -1
}

/** Any text in the place of an address, into the six cells from `to`. Returns its closing quote, or -1. */
export function otherAddress({ bytes, view, base, columns }: CompactInput, p: number, to: number): number {
  const end = plainTextEnd(view, p + 1)
  if (bytes[end] !== QUOTE || end - p - 1 > ADDRESS_BYTES_MAX) return -1
  splitAddress(bytes, p + 1, end, base, columns.cells, to)
  return end
}
