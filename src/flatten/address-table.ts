/** The distinct addresses of one message with their names. Later steps compare small numbers instead of texts. The memory is reused for
 * each message. */
import { hashBytes, isSameText } from '../base/hash.ts'
import { RowIndex } from '../base/hash-tables.ts'
import { doubled } from '../base/typed-array.ts'
import { textOf } from '../source/parse/text.ts'
import type { NameCache } from './name-cache.ts'
import {
  ADDRESS_BARE,
  ADDRESS_CELLS,
  ADDRESS_END,
  ADDRESS_HASH,
  ADDRESS_MARKS,
  ADDRESS_NAME_END,
  ADDRESS_NAME_START,
  ADDRESS_START,
  MARK_NAME,
  MARK_TEXT,
  TAG_BYTES_MAX,
} from './points.ts'
import { hasTagMarks, tagValue } from './tag-value.ts'

const ADDRESS_PEER_KINDS = 6
/** The index of `none`, which stands for an absent address. */
export const NONE = 0
const NONE_LENGTH = 4
const NONE_TEXT = new TextEncoder().encode('none'.padEnd(32))
const NONE_HASH = hashBytes(NONE_TEXT, 0, NONE_LENGTH)
/** In place of where a name begins: no point needs a name, or one does and it has not been looked up yet. */
const NAME_UNUSED = -1
const NAME_NEEDED = -2
const encoder = new TextEncoder()
/** Spare bytes after the texts. */
const SPARE = 16
/** Longer texts are encoded by the TextEncoder, which has a cost per call. */
const SHORT_MAX = 80

export class AddressTable {
  cells = new Int32Array(256 * ADDRESS_CELLS)
  texts: Uint8Array = new Uint8Array(8192)
  /** The same memory. */
  view = new DataView(this.texts.buffer)
  count = 0
  private used = 0
  private putStart = 0
  private putEnd = 0
  private putMarks = 0
  private readonly index = new RowIndex()
  private readonly scratch = new Uint8Array(TAG_BYTES_MAX + SPARE)
  private readonly scratchView = new DataView(this.scratch.buffer)

  constructor() {
    this.add(new DataView(NONE_TEXT.buffer), 0, NONE_LENGTH, NONE_HASH)
    this.name(NONE, undefined)
  }

  /** A message begins that has at most `addressesMax` addresses. */
  begin(addressesMax: number): void {
    this.index.clear(addressesMax)
    // `none` is always in the table. An address that is spelled `none` is the same tag value, so it is the same point.
    this.count = 1
    this.used = NONE_LENGTH
    this.index.put(this.index.first(NONE_HASH), NONE)
  }

  /** Index of the text from `start` to `end`, which is added if it is new. `hash`: its `hashBytes`, or any other function of the text. Up to 16
   * bytes after the text are read. */
  intern(from: DataView, start: number, end: number, hash: number): number {
    const found = this.find(from, start, end, hash)
    if (found >= 0) return found
    this.index.put(~found, this.count)
    return this.add(from, start, end, hash)
  }

  /** Index of any text, changed into a valid tag value. */
  internText(text: string): number {
    const { written } = encoder.encodeInto(tagValue(text), this.scratch)
    return this.intern(this.scratchView, 0, written, hashBytes(this.scratch, 0, written))
  }

  /** Index of a text; negative when it is not in the table (`~` of the free place where it belongs). */
  find(from: DataView, start: number, end: number, hash: number): number {
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
    return ~place
  }

  private add(from: DataView, start: number, end: number, hash: number): number {
    const index = this.count++
    const cell = index * ADDRESS_CELLS
    if (cell + ADDRESS_CELLS > this.cells.length) this.cells = doubled(this.cells, Int32Array)
    const cells = this.cells
    const own = this.used
    this.copy(from, start, end)
    cells[cell + ADDRESS_MARKS] = hasTagMarks(this.view, own, this.used) ? MARK_TEXT : 0
    cells[cell + ADDRESS_START] = own
    cells[cell + ADDRESS_END] = this.used
    cells[cell + ADDRESS_NAME_START] = NAME_UNUSED
    cells[cell + ADDRESS_NAME_END] = NAME_UNUSED
    cells[cell + ADDRESS_BARE] = index
    cells[cell + ADDRESS_HASH] = hash
    cells[cell + ADDRESS_PEER_KINDS] = 0
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

  bare(index: number): number {
    return this.cells[index * ADDRESS_CELLS + ADDRESS_BARE]!
  }

  hash(index: number): number {
    return this.cells[index * ADDRESS_CELLS + ADDRESS_HASH]!
  }

  /** A point needs the name of this address. */
  needName(index: number): void {
    const cell = index * ADDRESS_CELLS + ADDRESS_NAME_START
    if (this.cells[cell] === NAME_UNUSED) this.cells[cell] = NAME_NEEDED
  }

  /** True while a name is needed and missing. */
  lacksName(index: number): boolean {
    return this.cells[index * ADDRESS_CELLS + ADDRESS_NAME_START] === NAME_NEEDED
  }

  /** Sets the name of an address; undefined: the address itself is the name. The text is changed into a valid tag value. */
  name(index: number, name: string | undefined): void {
    if (name !== undefined) {
      this.putText(name)
      return this.nameAsPut(index)
    }
    const cell = index * ADDRESS_CELLS
    const cells = this.cells
    const marks = (cells[cell + ADDRESS_MARKS]! & MARK_TEXT) !== 0 ? MARK_NAME : 0
    this.nameRange(index, cells[cell + ADDRESS_START]!, cells[cell + ADDRESS_END]!, marks)
  }

  /** Appends a name for `nameAsPut`: a valid tag value as bytes. Up to 16 bytes after it are read. */
  put(from: DataView, start: number, end: number): void {
    this.putStart = this.used
    this.copy(from, start, end)
    this.wasPut()
  }

  /** The same for a name in the cache. */
  putCached(cache: NameCache, place: number): void {
    this.putStart = this.used
    this.copy(cache.names, cache.start(place), cache.end(place))
    this.putEnd = this.used
    this.putMarks = cache.hasMarks(place) ? MARK_NAME : 0
  }

  /** Place in the cache of the name that an address had at `atNs`; negative when it is not there. */
  findCached(cache: NameCache, index: number, atNs: bigint): number {
    const cell = index * ADDRESS_CELLS
    const { cells } = this
    return cache.find(this.view, cells[cell]!, cells[cell + ADDRESS_END]!, cells[cell + ADDRESS_HASH]!, atNs)
  }

  /** Puts the name that was put last into the cache, as the name of an address in a range of time. */
  cachePut(cache: NameCache, index: number, range: { readonly fromNs: bigint; readonly toNs: bigint }): void {
    const { cells, putStart, putEnd, putMarks } = this
    const cell = index * ADDRESS_CELLS
    const address = [cells[cell]!, cells[cell + ADDRESS_END]!] as const
    cache.put(this.view, address, cells[cell + ADDRESS_HASH]!, [putStart, putEnd], putMarks !== 0, range)
  }

  /** Appends any text as a name, changed into a valid tag value. */
  putText(text: string): void {
    const fit = tagValue(text)
    this.reserve(fit.length * 3)
    this.putStart = this.used
    if (isShortAscii(fit)) for (let i = 0; i < fit.length; i++) this.texts[this.used++] = fit.charCodeAt(i)
    else this.used += encoder.encodeInto(fit, this.texts.subarray(this.used)).written
    this.wasPut()
  }

  private wasPut(): void {
    this.putEnd = this.used
    this.putMarks = hasTagMarks(this.view, this.putStart, this.putEnd) ? MARK_NAME : 0
  }

  /** Sets the name of an address to the one that was put last. */
  nameAsPut(index: number): void {
    this.nameRange(index, this.putStart, this.putEnd, this.putMarks)
  }

  private nameRange(index: number, start: number, end: number, marks: number): void {
    const cell = index * ADDRESS_CELLS
    const cells = this.cells
    cells[cell + ADDRESS_NAME_START] = start
    cells[cell + ADDRESS_NAME_END] = end
    cells[cell + ADDRESS_MARKS] = (cells[cell + ADDRESS_MARKS]! & MARK_TEXT) | marks
  }

  /** `index` is the same address as `bare`, with a port. */
  setBare(index: number, bare: number): void {
    this.cells[index * ADDRESS_CELLS + ADDRESS_BARE] = bare
  }

  /** Each address with a port gets the name of the same address without it. */
  shareNames(): void {
    const cells = this.cells
    for (let index = 0; index < this.count; index++) {
      const bare = cells[index * ADDRESS_CELLS + ADDRESS_BARE]!
      if (bare === index) continue
      const cell = bare * ADDRESS_CELLS
      const marks = cells[cell + ADDRESS_MARKS]! & MARK_NAME
      this.nameRange(index, cells[cell + ADDRESS_NAME_START]!, cells[cell + ADDRESS_NAME_END]!, marks)
    }
  }

  /** True the first time that an address is a peer in traffic of this kind. */
  isNewPeer(index: number, kind: number): boolean {
    const cell = index * ADDRESS_CELLS + ADDRESS_PEER_KINDS
    const bit = 1 << kind
    const kinds = this.cells[cell]!
    if ((kinds & bit) !== 0) return false
    this.cells[cell] = kinds | bit
    return true
  }

  text(index: number): string {
    return textOf(this.texts, this.cells[index * ADDRESS_CELLS]!, this.cells[index * ADDRESS_CELLS + ADDRESS_END]!)
  }

  private reserve(bytes: number): void {
    if (this.texts.length - this.used >= bytes + SPARE) return
    while (this.texts.length - this.used < bytes + SPARE) this.texts = doubled(this.texts, Uint8Array)
    this.view = new DataView(this.texts.buffer)
  }
}

function isShortAscii(text: string): boolean {
  if (text.length > SHORT_MAX) return false
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 0x7e) return false
  return true
}
