/** The distinct addresses of one message with their names: every later step compares small numbers instead of texts. Memory is
 * kept from message to message and never cleared: a slot counts only when it carries the number of the present message. */
import { hashBytes } from '../base/hash.ts'
import { RowIndex } from '../base/row-index.ts'
import { isSameText } from '../base/text-words.ts'
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
} from './points.ts'
import { hasTagMarks, tagValue } from './tag-value.ts'

const ADDRESS_FAR_KINDS = 6
/** The index of what is absent. */
export const NONE = 0
const NONE_LENGTH = 4
const NONE_TEXT = new TextEncoder().encode('none'.padEnd(32))
const NONE_HASH = hashBytes(NONE_TEXT, 0, NONE_LENGTH)
/** In place of where a name begins: nobody asked for it, or nobody has looked for it yet. */
const UNASKED = -1
const WANTED = -2
const encoder = new TextEncoder()
/** Bytes to spare behind the texts. */
const SPARE = 16
const SHORT = 80
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

  constructor() {
    this.add(new DataView(NONE_TEXT.buffer), 0, NONE_LENGTH, NONE_HASH)
    this.name(NONE, undefined)
  }

  /** A message begins that has at most `addressesMax` addresses. */
  begin(addressesMax: number): void {
    this.index.clear(addressesMax)
    // What is absent is there from the start. An address that is spelled `none` is the same tag value, so it is the same point.
    this.count = 1
    this.used = NONE_LENGTH
    this.index.put(this.index.first(NONE_HASH), NONE)
  }

  /** Index of the text from `start` to `end`, whose `hashBytes` is `hash` (or any other function of it). Up to 16 bytes behind it are read. */
  intern(from: DataView, start: number, end: number, hash: number): number {
    const found = this.find(from, start, end, hash)
    if (found >= 0) return found
    this.index.put(~found, this.count)
    return this.add(from, start, end, hash)
  }

  /** The same for a text that need not be there; negative when it is not (`~` the free place where it belongs). */
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
    cells[cell + ADDRESS_NAME_START] = UNASKED
    cells[cell + ADDRESS_NAME_END] = UNASKED
    cells[cell + ADDRESS_BARE] = index
    cells[cell + ADDRESS_HASH] = hash
    cells[cell + ADDRESS_FAR_KINDS] = 0
    return index
  }

  /** Appends to the texts. */
  private copy(from: DataView, start: number, end: number): void {
    this.makeRoom(end - start)
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

  /** Somebody will ask for the name of this address. */
  wantName(index: number): void {
    const cell = index * ADDRESS_CELLS + ADDRESS_NAME_START
    if (this.cells[cell] === UNASKED) this.cells[cell] = WANTED
  }

  /** True until it has a name. */
  wantsName(index: number): boolean {
    return this.cells[index * ADDRESS_CELLS + ADDRESS_NAME_START] === WANTED
  }

  /** Gives an address its name; undefined: the address itself. Any text will do, it is made fit to be a tag value. */
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

  /** Appends a name for `nameAsPut`: bytes that are fit to be a tag value, up to 16 bytes behind which can be read. */
  put(from: DataView, start: number, end: number): void {
    this.putStart = this.used
    this.copy(from, start, end)
    this.wasPut()
  }

  /** The same for a name that is known already. */
  putKnown(known: NameCache, place: number): void {
    this.putStart = this.used
    this.copy(known.names, known.start(place), known.end(place))
    this.putEnd = this.used
    this.putMarks = known.hasMarks(place) ? MARK_NAME : 0
  }

  /** Place of the name that an address had at `atNs`; negative when it is not known. */
  findKnown(known: NameCache, index: number, atNs: bigint): number {
    const cell = index * ADDRESS_CELLS
    const { cells } = this
    return known.find(this.view, cells[cell]!, cells[cell + ADDRESS_END]!, cells[cell + ADDRESS_HASH]!, atNs)
  }

  /** Lets the name that was put last be known for an address. */
  keepPut(known: NameCache, index: number, range: { readonly fromNs: bigint; readonly toNs: bigint }): void {
    const { cells, putStart, putEnd, putMarks } = this
    const cell = index * ADDRESS_CELLS
    const address = [cells[cell]!, cells[cell + ADDRESS_END]!] as const
    known.keep(this.view, address, cells[cell + ADDRESS_HASH]!, [putStart, putEnd], putMarks !== 0, range)
  }

  /** The same for any text. */
  putText(text: string): void {
    const fit = tagValue(text)
    this.makeRoom(fit.length * 3)
    this.putStart = this.used
    if (isShortAscii(fit)) for (let i = 0; i < fit.length; i++) this.texts[this.used++] = fit.charCodeAt(i)
    else this.used += encoder.encodeInto(fit, this.texts.subarray(this.used)).written
    this.wasPut()
  }

  private wasPut(): void {
    this.putEnd = this.used
    this.putMarks = hasTagMarks(this.view, this.putStart, this.putEnd) ? MARK_NAME : 0
  }

  /** Gives an address the name that was put last. */
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

  /** Gives every address with a port the name of the same without. */
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

  /** True the first time that an address is a far end of this kind. */
  isNewFarEnd(index: number, kind: number): boolean {
    const cell = index * ADDRESS_CELLS + ADDRESS_FAR_KINDS
    const bit = 1 << kind
    const kinds = this.cells[cell]!
    if ((kinds & bit) !== 0) return false
    this.cells[cell] = kinds | bit
    return true
  }

  text(index: number): string {
    return textOf(this.texts, this.cells[index * ADDRESS_CELLS]!, this.cells[index * ADDRESS_CELLS + ADDRESS_END]!)
  }

  private makeRoom(bytes: number): void {
    if (this.texts.length - this.used >= bytes + SPARE) return
    while (this.texts.length - this.used < bytes + SPARE) this.texts = doubled(this.texts, Uint8Array)
    this.view = new DataView(this.texts.buffer)
  }
}

function isShortAscii(text: string): boolean {
  if (text.length > SHORT) return false
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 0x7e) return false
  return true
}
