/** The distinct addresses of one message. Later steps compare small numbers instead of texts. The memory is reused for each message. */
import { hashBytes, isSameText } from '../base/hash.ts'
import { RowIndex } from '../base/hash-tables.ts'
import { doubled } from '../base/typed-array.ts'
import { ADDRESS_CELLS, ADDRESS_END, ADDRESS_HASH, ADDRESS_MARKS, ADDRESS_START, TAG_BYTES_MAX } from './points.ts'
import { hasTagMarks, tagValue } from './tag-value.ts'

/** The index of `none`, which stands for an absent address. */
export const NONE = 0
const NONE_LENGTH = 4
const NONE_TEXT = new TextEncoder().encode('none'.padEnd(32))
const NONE_HASH = hashBytes(NONE_TEXT, 0, NONE_LENGTH)
const encoder = new TextEncoder()
/** Spare bytes after the texts. */
const SPARE = 16

export class AddressTable {
  cells = new Int32Array(256 * ADDRESS_CELLS)
  texts: Uint8Array = new Uint8Array(8192)
  /** The same memory. */
  view = new DataView(this.texts.buffer)
  count = 0
  private used = 0
  private readonly index = new RowIndex()
  private readonly scratch = new Uint8Array(TAG_BYTES_MAX + SPARE)
  private readonly scratchView = new DataView(this.scratch.buffer)

  constructor() {
    this.add(new DataView(NONE_TEXT.buffer), 0, NONE_LENGTH, NONE_HASH)
  }

  /** A message begins that has at most `addressesMax` addresses. */
  begin(addressesMax: number): void {
    this.index.clear(addressesMax)
    // `none` is always in the table. An address that is spelled `none` is the same tag value, so it is the same point.
    this.count = 1
    this.used = NONE_LENGTH
    this.index.put(this.index.first(NONE_HASH), NONE)
  }

  /** Index of the text from `start` to `end`, which is added if it is new. `hash`: its `hashBytes`. Up to 16 bytes after the text are read. */
  intern(from: DataView, start: number, end: number, hash: number): number {
    const { index, cells, view } = this
    const length = end - start
    let place = index.first(hash)
    for (let row = index.rowAt(place); row >= 0; row = index.rowAt(place)) {
      const cell = row * ADDRESS_CELLS
      const own = cells[cell]!
      const isAlike = cells[cell + ADDRESS_HASH] === hash && cells[cell + ADDRESS_END]! - own === length
      if (isAlike && isSameText(view, own, from, start, length)) return row
      place = index.next(place)
    }
    index.put(place, this.count)
    return this.add(from, start, end, hash)
  }

  /** Index of any text, changed into a valid tag value. */
  internText(text: string): number {
    const { written } = encoder.encodeInto(tagValue(text), this.scratch)
    return this.intern(this.scratchView, 0, written, hashBytes(this.scratch, 0, written))
  }

  private add(from: DataView, start: number, end: number, hash: number): number {
    const index = this.count++
    const cell = index * ADDRESS_CELLS
    if (cell + ADDRESS_CELLS > this.cells.length) this.cells = doubled(this.cells, Int32Array)
    const cells = this.cells
    const own = this.used
    this.copy(from, start, end)
    cells[cell + ADDRESS_MARKS] = hasTagMarks(this.view, own, this.used) ? 1 : 0
    cells[cell + ADDRESS_START] = own
    cells[cell + ADDRESS_END] = this.used
    cells[cell + ADDRESS_HASH] = hash
    return index
  }

  /** Appends to the texts. */
  private copy(from: DataView, start: number, end: number): void {
    this.reserve(end - start)
    const { view, used } = this
    const shift = used - start
    for (let i = start; i < end; i += 4) view.setInt32(i + shift, from.getInt32(i))
    this.used = used + end - start
  }

  private reserve(bytes: number): void {
    if (this.texts.length - this.used >= bytes + SPARE) return
    while (this.texts.length - this.used < bytes + SPARE) this.texts = doubled(this.texts, Uint8Array)
    this.view = new DataView(this.texts.buffer)
  }
}
