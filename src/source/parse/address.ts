/** `ip:port` texts on bytes. An address that cannot be parsed is kept whole, as if without port: nothing is dropped for its spelling. */
import { END_ADDRESS_END, END_ADDRESS_START, END_HASH, END_PORT, END_TEXT_END, END_TEXT_START } from './message.ts'

/** A longer one is no usual message. */
export const ADDRESS_BYTES_MAX = 256

/** A hash over 32 bits that takes four bytes at a step, the first one lowest, so that a parser can hash while it reads. The last step takes
 * what is left, none to three bytes. */
export const HASH_SEED = 0x811c9dc5 | 0

export function hashStep(hash: number, word: number): number {
  const mixed = Math.imul(hash ^ word, 0x9e3779b1)
  return mixed ^ (mixed >>> 15)
}

export function hashBytes(bytes: Uint8Array, start: number, end: number): number {
  let hash = HASH_SEED
  let i = start
  for (; i + 4 <= end; i += 4) {
    hash = hashStep(hash, bytes[i]! | (bytes[i + 1]! << 8) | (bytes[i + 2]! << 16) | (bytes[i + 3]! << 24))
  }
  let rest = 0
  for (let shift = 0; i < end; i++, shift += 8) rest |= bytes[i]! << shift
  return hashStep(hash, rest)
}

/** The same hash, words at a time. Up to three bytes behind `end` are read. */
export function hashWords(view: DataView, start: number, end: number): number {
  let hash = HASH_SEED
  let i = start
  for (; i + 4 <= end; i += 4) hash = hashStep(hash, view.getInt32(i, true))
  return hashStep(hash, view.getInt32(i, true) & TAILS[end - i]!)
}

/** Masks of the first n bytes of a word. */
export const TAILS = Int32Array.of(0, 0xff, 0xffff, 0xffffff)

/** Splits `bytes[start, end)` and fills the six cells from `at`, offsets less `base`. `[v6]:port` and `ip:port` with a port of 1 to 5
 * digits up to 65535 lose it; `[v6]` loses its brackets; a bare v6 address, an empty address and everything else stay whole. */
export function splitAddress(
  bytes: Uint8Array,
  start: number,
  end: number,
  base: number,
  cells: Int32Array,
  at: number,
): void {
  let from = start
  let to = end
  let port = -1
  if (bytes[start] === 0x5b) {
    const close = bytes.subarray(start, end).indexOf(0x5d) + start
    if (close > start + 1) {
      port = close + 1 < end && bytes[close + 1] === 0x3a ? portOf(bytes, close + 2, end) : -1
      if (port >= 0 || close + 1 === end) {
        from = start + 1
        to = close
      }
    }
  } else {
    const colon = bytes.subarray(start, end).indexOf(0x3a) + start
    // A second colon makes the port unreadable, so the first colon is the last one too when this succeeds.
    if (colon > start) port = portOf(bytes, colon + 1, end)
    if (port >= 0) to = colon
  }
  cells[at + END_TEXT_START] = start - base
  cells[at + END_TEXT_END] = end - base
  cells[at + END_ADDRESS_START] = from - base
  cells[at + END_ADDRESS_END] = to - base
  cells[at + END_PORT] = port
  cells[at + END_HASH] = hashBytes(bytes, from, to)
}

/** 1 to 5 digits up to 65535, otherwise -1. */
function portOf(bytes: Uint8Array, start: number, end: number): number {
  if (end - start < 1 || end - start > 5) return -1
  let port = 0
  for (let i = start; i < end; i++) {
    const digit = bytes[i]! - 0x30
    if (digit < 0 || digit > 9) return -1
    port = port * 10 + digit
  }
  return port <= 65535 ? port : -1
}
