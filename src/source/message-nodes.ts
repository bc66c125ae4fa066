/** What messages tell about devices comes again and again, byte for byte: in each message of a node, and in those of its peers. So the
 * bytes of a device that was read are kept with what they say, and the next time they are compared, eight times as fast as reading them.
 * On answers with device info that is a third of all bytes. Bounded: when the memory is full, everything is forgotten at once. */
import { doubled } from './message-columns.ts'

/** Longer ones are read each time. */
const BYTES_MAX = 1024
/** Bytes that decide where an object is looked for: past `{"nodeId":"n`, where devices differ. */
const KEY_START = 12
const KEY_END = 32
const SLOTS = 16_384
const ATTEMPTS = 4
const TEXTS_MAX = 4 << 20
const CELLS_MAX = 1 << 20

/** Cells of a kept device: length of its bytes, where they lie, hash; then what they say, all offsets from the device's first byte. */
const LENGTH = 0
const TEXT = 1
const KEY = 2
export const ID_START = 3
export const ID_END = 4
export const NAME_START = 5
export const NAME_END = 6
export const ADDRESS_COUNT = 7
/** Three per address: start, end, hash. */
export const ADDRESSES = 8

export class KnownNodes {
  cells = new Int32Array(4096)
  private texts: Uint8Array = new Uint8Array(64 * 1024)
  private words = new DataView(this.texts.buffer)
  /** Index into `cells` of what is kept; 0 where nothing is. */
  private readonly slots = new Int32Array(SLOTS)
  private usedCells = 1
  private usedTexts = 0

  /** Index into `cells` of the device that is written at `p`, or 0. `view`: of the same bytes, `end`: where they end. */
  find(view: DataView, p: number, end: number): number {
    if (p + KEY_END > end) return 0
    const key = keyOf(view, p)
    for (let slot = key & (SLOTS - 1), attempt = 0; attempt < ATTEMPTS; attempt++, slot = (slot + 1) & (SLOTS - 1)) {
      const at = this.slots[slot]!
      if (at === 0) return 0
      if (this.cells[at + KEY] === key && this.isSame(view, p, end, at)) return at
    }
    return 0
  }

  /** Where the device ends that was found at `p`. */
  endOf(at: number, p: number): number {
    return p + this.cells[at + LENGTH]!
  }

  private isSame(view: DataView, p: number, end: number, at: number): boolean {
    const length = this.cells[at + LENGTH]!
    if (p + length > end) return false
    const words = this.words
    const text = this.cells[at + TEXT]!
    const last = length - 4
    for (let i = 0; i < last; i += 4) if (view.getInt32(p + i, true) !== words.getInt32(text + i, true)) return false
    return view.getInt32(p + last, true) === words.getInt32(text + last, true)
  }

  /** Keeps a device of `length` bytes at `p` and returns the index of its cells from ID_START on, to be filled; -1 when there is no room. */
  add(bytes: Uint8Array, view: DataView, p: number, length: number, addressCount: number): number {
    if (length < KEY_END || length > BYTES_MAX) return -1
    const cellCount = ADDRESSES + addressCount * 3
    if (this.usedTexts + length > TEXTS_MAX || this.usedCells + cellCount > CELLS_MAX) this.forget()
    const key = keyOf(view, p)
    let slot = key & (SLOTS - 1)
    for (let attempt = 0; this.slots[slot] !== 0; attempt++, slot = (slot + 1) & (SLOTS - 1))
      if (attempt === ATTEMPTS - 1) return -1
    while (this.usedCells + cellCount > this.cells.length) this.cells = doubled(this.cells, Int32Array)
    if (this.usedTexts + length > this.texts.length) {
      this.texts = doubled(this.texts, Uint8Array)
      this.words = new DataView(this.texts.buffer)
    }
    const at = this.usedCells
    this.slots[slot] = at
    this.cells[at + LENGTH] = length
    this.cells[at + TEXT] = this.usedTexts
    this.cells[at + KEY] = key
    this.texts.set(bytes.subarray(p, p + length), this.usedTexts)
    this.usedCells += cellCount
    this.usedTexts += length
    return at
  }

  private forget(): void {
    this.slots.fill(0)
    this.usedCells = 1
    this.usedTexts = 0
  }
}

function keyOf(view: DataView, p: number): number {
  let key = 0
  for (let i = p + KEY_START; i < p + KEY_END; i += 4)
    key = Math.imul(key ^ view.getInt32(i, true), 0x9e3779b1) ^ (key >>> 15)
  return key ^ (key >>> 13)
}
