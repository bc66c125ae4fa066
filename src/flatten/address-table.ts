/** The distinct addresses of one message with their names: every later step compares small numbers instead of texts. Memory is
 * kept from message to message and never cleared: a slot counts only when it carries the number of the present message. */
import { hashBytes } from '../source/message-address.ts'
import { doubled } from '../source/message-columns.ts'
import { textOf } from '../source/message-text.ts'
import {
  ADDRESS_BARE,
  ADDRESS_CELLS,
  ADDRESS_END,
  ADDRESS_MARKS,
  ADDRESS_NAME_END,
  ADDRESS_NAME_START,
  ADDRESS_START,
  MARK_NAME,
  MARK_TEXT,
} from './points.ts'
import { tagValue } from './tag-value.ts'

const ADDRESS_HASH = 7
const ADDRESS_FAR_KINDS = 6
/** The index of what is absent. */
export const NONE = 0
const NONE_TEXT = new TextEncoder().encode('none')
const NONE_HASH = hashBytes(NONE_TEXT, 0, NONE_TEXT.length)
/** In place of where a name begins: nobody asked for it, or nobody has looked for it yet. */
const UNASKED = -1
const WANTED = -2
const encoder = new TextEncoder()
/** Bytes to spare behind the texts. */
const SPARE = 16
const SHORT = 80
/** 1 for the letters that MARK_TEXT and MARK_NAME tell about. */
const MARKED = new Uint8Array(256)
for (const letter of ' ,=') MARKED[letter.charCodeAt(0)] = 1

export class AddressTable {
  cells = new Int32Array(256 * ADDRESS_CELLS)
  texts: Uint8Array = new Uint8Array(8192)
  count = 0
  private used = 0
  private putStart = 0
  private putEnd = 0
  private putMarks = 0
  /** Pairs: number of the message, index of the address. */
  private slots = new Int32Array(2 * 1024)
  private mask = 1023
  private round = 0

  constructor() {
    this.add(NONE_TEXT, 0, NONE_TEXT.length, NONE_HASH)
    this.name(NONE, undefined)
  }

  /** A message begins that has at most `addressesMax` addresses. */
  begin(addressesMax: number): void {
    let size = 64
    while (size < addressesMax * 2) size *= 2
    if (size * 2 > this.slots.length) {
      this.slots = new Int32Array(size * 2)
      this.round = 0
    } else if (this.round === 0x7fffffff) {
      this.slots.fill(0)
      this.round = 0
    }
    this.mask = size - 1
    this.round += 1
    // What is absent is there from the start. An address that is spelled `none` is the same tag value, so it is the same point.
    this.count = 1
    this.used = NONE_TEXT.length
    const slot = spread(NONE_HASH) & this.mask
    this.slots[slot * 2] = this.round
    this.slots[slot * 2 + 1] = NONE
  }

  /** Index of the text `bytes[start, end)`, whose `hashBytes` is `hash` (or any other function of it). */
  intern(bytes: Uint8Array, start: number, end: number, hash: number): number {
    const found = this.find(bytes, start, end, hash)
    if (found >= 0) return found
    this.slots[~found * 2] = this.round
    this.slots[~found * 2 + 1] = this.count
    return this.add(bytes, start, end, hash)
  }

  /** The same for a text that need not be there; negative when it is not (`~` its free slot). */
  find(bytes: Uint8Array, start: number, end: number, hash: number): number {
    const slots = this.slots
    const mask = this.mask
    const round = this.round
    const length = end - start
    let slot = spread(hash) & mask
    while (slots[slot * 2] === round) {
      const index = slots[slot * 2 + 1]!
      const cell = index * ADDRESS_CELLS
      const cells = this.cells
      const from = cells[cell]!
      if (cells[cell + ADDRESS_HASH] === hash && cells[cell + ADDRESS_END]! - from === length) {
        const texts = this.texts
        let i = 0
        while (i < length && texts[from + i] === bytes[start + i]) i += 1
        if (i === length) return index
      }
      slot = (slot + 1) & mask
    }
    return ~slot
  }

  private add(bytes: Uint8Array, start: number, end: number, hash: number): number {
    const index = this.count++
    const cell = index * ADDRESS_CELLS
    if (cell + ADDRESS_CELLS > this.cells.length) this.cells = doubled(this.cells, Int32Array)
    const cells = this.cells
    const from = this.used
    this.makeRoom(end - start)
    const texts = this.texts
    let to = from
    let marks = 0
    for (let i = start; i < end; i++) {
      const c = bytes[i]!
      marks |= MARKED[c]!
      texts[to++] = c
    }
    this.used = to
    cells[cell + ADDRESS_MARKS] = marks // MARK_TEXT is 1
    cells[cell + ADDRESS_START] = from
    cells[cell + ADDRESS_END] = to
    cells[cell + ADDRESS_NAME_START] = UNASKED
    cells[cell + ADDRESS_NAME_END] = UNASKED
    cells[cell + ADDRESS_BARE] = index
    cells[cell + ADDRESS_HASH] = hash
    cells[cell + ADDRESS_FAR_KINDS] = 0
    return index
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

  /** Appends a name for `nameAsPut`: bytes that are fit to be a tag value. */
  put(bytes: Uint8Array, start: number, end: number): void {
    this.makeRoom(end - start)
    const texts = this.texts
    let marks = 0
    let to = this.used
    for (let i = start; i < end; i++) {
      const c = bytes[i]!
      marks |= MARKED[c]!
      texts[to++] = c
    }
    this.wasPut(to, marks)
  }

  /** The same for any text. */
  putText(text: string): void {
    const length = text.length
    if (length <= SHORT) {
      // Most names are a few plain letters.
      this.makeRoom(SHORT)
      const texts = this.texts
      let marks = 0
      let i = 0
      for (; i < length; i++) {
        const c = text.charCodeAt(i)
        if (c < 0x20 || c > 0x7e || c === 0x5c) break
        marks |= MARKED[c]!
        texts[this.used + i] = c
      }
      if (i === length && length > 0) return this.wasPut(this.used + length, marks)
    }
    const bytes = encoder.encode(tagValue(text))
    this.put(bytes, 0, bytes.length)
  }

  private wasPut(end: number, marks: number): void {
    this.putStart = this.used
    this.putEnd = end
    this.putMarks = marks === 0 ? 0 : MARK_NAME
    this.used = end
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
    while (this.texts.length - this.used < bytes + SPARE) this.texts = doubled(this.texts, Uint8Array)
  }
}

/** The hash as a place: FNV's lower bits alone are too alike. */
function spread(hash: number): number {
  const mixed = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d)
  return mixed ^ (mixed >>> 13)
}
