/** Names that were looked up before, as bytes that are only copied. When messages do not contain the names of devices, each address is looked up in
 * the name history: a string is made and hashed and found in a Map of 15,000, which waits for memory several times. Here one cache line of the
 * processor has the address and the next one its name. With 5,000 nodes this makes the whole way of a message a third cheaper.
 *
 * The size is fixed: a new address replaces another one. All workers share one cache. */

import { areWordsOf, putWords, spreadHash } from '../base/hash.ts'
import { isItsTurn } from '../source/parse/text.ts'

const PLACES = 16_384
/** 64 bytes per place: the address filled up with zeros, lengths and marks, the range of time as two 64-bit numbers. */
const CELLS = 16
const ADDRESS_WORDS = 10
const ADDRESS_BYTES_MAX = ADDRESS_WORDS * 4 - 1
const SIZES = 10
const RANGE = 6
const NAME_BYTES = 64
/** Less than NAME_BYTES, because names are copied in words of four bytes. */
const NAME_BYTES_MAX = NAME_BYTES - 4

export class NameCache {
  private readonly cells = new Int32Array(PLACES * CELLS)
  /** The same memory: from when and until when (exclusive) the name is valid, ns. */
  private readonly ranges = new BigInt64Array(this.cells.buffer)
  private version = 0
  private misses = 0
  readonly names = new DataView(new ArrayBuffer(PLACES * NAME_BYTES))

  /** Forgets everything when the name history has another version than before. */
  useVersion(version: number): void {
    if (version === this.version) return
    this.version = version
    this.cells.fill(0)
  }

  /** The place of the name that the address `view[start, end)` with this hash had at `atNs`; negative when it is not in the cache. */
  find(view: DataView, start: number, end: number, hash: number, atNs: bigint): number {
    const length = end - start
    if (length > ADDRESS_BYTES_MAX) return -1
    const { cells, ranges } = this
    let place = spreadHash(hash) & (PLACES - 1)
    for (let way = 0; way < 2; way++, place ^= 1) {
      const cell = place * CELLS
      if ((cells[cell + SIZES]! & 0xff) !== length) continue
      if (!areWordsOf(cells, cell, view, start, length)) continue
      const range = (cell >> 1) + RANGE
      if (atNs >= ranges[range]! && atNs < ranges[range + 1]!) return place
    }
    return -1
  }

  /** Where the name of a place begins in `names`. */
  start(place: number): number {
    return place * NAME_BYTES
  }

  /** Where it ends. */
  end(place: number): number {
    return place * NAME_BYTES + ((this.cells[place * CELLS + SIZES]! >> 8) & 0xff)
  }

  /** True when it holds a space, comma or `=`. */
  hasMarks(place: number): boolean {
    return this.cells[place * CELLS + SIZES]! >> 16 !== 0
  }

  /** Remembers the name `view[nameStart, nameEnd)` of the address `view[start, end)`, valid from `fromNs` until `toNs` (exclusive). */
  put(
    view: DataView,
    [start, end]: readonly [number, number],
    hash: number,
    [nameStart, nameEnd]: readonly [number, number],
    hasMarks: boolean,
    { fromNs, toNs }: { readonly fromNs: bigint; readonly toNs: bigint },
  ): void {
    const length = end - start
    const nameLength = nameEnd - nameStart
    if (length > ADDRESS_BYTES_MAX || nameLength > NAME_BYTES_MAX) return
    const { cells, ranges, names } = this
    const first = spreadHash(hash) & (PLACES - 1)
    const isTaken = (place: number) => cells[place * CELLS + SIZES] !== 0
    const place = !isTaken(first) || (isTaken(first ^ 1) && isItsTurn(this.misses++)) ? first : first ^ 1
    const cell = place * CELLS
    putWords(cells, cell, view, start, length)
    cells[cell + SIZES] = length | (nameLength << 8) | (hasMarks ? 1 << 16 : 0)
    ranges[(cell >> 1) + RANGE] = fromNs
    ranges[(cell >> 1) + RANGE + 1] = toNs
    for (let k = 0; k < nameLength; k += 4)
      names.setInt32(place * NAME_BYTES + k, view.getInt32(nameStart + k, true), true)
  }
}
