/** `ip:port` texts on bytes. An address that cannot be parsed is kept whole, as if without port: nothing is dropped for its spelling. */
import { hashBytes } from '../../base/hash.ts'
import { END_ADDRESS_END, END_ADDRESS_START, END_HASH, END_PORT, END_TEXT_END, END_TEXT_START } from './message.ts'

/** A longer one is no usual message. */
export const ADDRESS_BYTES_MAX = 256

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
