/** Addresses as small numbers, found by their bytes with one look-up. */
import { hashWords, isSameText, spreadHash } from '../base/hash.ts'
import { doubled } from '../base/typed-array.ts'

const ENDS_MIN = 1024
/** Words are read four bytes at a time, past the end of a text. */
const SPARE = 16
/** Cells of an address: its hash, where it begins and ends. */
const CELLS = 3

export class EndTable {
  count = 0
  private bytes: Uint8Array = new Uint8Array(ENDS_MIN * 16)
  private view = new DataView(this.bytes.buffer)
  private used = 0
  private cells = new Int32Array(ENDS_MIN * CELLS)
  /** Number + 1 by place, 0 where it is free. At most half are taken. */
  private slots = new Int32Array(ENDS_MIN * 2)

  /** The number of an address; `count` is one more afterwards when it is new. Up to 16 bytes behind it are read. */
  numberOf(view: DataView, start: number, end: number): number {
    const hash = hashWords(view, start, end)
    const { slots, cells } = this
    const mask = slots.length - 1
    let slot = spreadHash(hash) & mask
    for (let number = slots[slot]! - 1; number >= 0; number = slots[slot]! - 1) {
      const cell = number * CELLS
      const own = cells[cell + 1]!
      const isAlike = cells[cell] === hash && cells[cell + 2]! - own === end - start
      if (isAlike && isSameText(this.view, own, view, start, end - start)) return number
      slot = (slot + 1) & mask
    }
    return this.add(slot, hash, view, start, end)
  }

  /** Numbers given before mean nothing any more. */
  clear(): void {
    this.count = 0
    this.used = 0
    this.slots.fill(0)
  }

  get memoryBytes(): number {
    return this.bytes.byteLength + this.cells.byteLength + this.slots.byteLength
  }

  private add(slot: number, hash: number, view: DataView, start: number, end: number): number {
    const number = this.count++
    const cell = number * CELLS
    if (cell === this.cells.length) this.cells = doubled(this.cells, Int32Array)
    this.cells[cell] = hash
    this.cells[cell + 1] = this.used
    this.copy(view, start, end)
    this.cells[cell + 2] = this.used
    this.slots[slot] = number + 1
    if (this.count * 2 > this.slots.length) this.spread()
    return number
  }

  private copy(view: DataView, start: number, end: number): void {
    while (this.bytes.length < this.used + end - start + SPARE) {
      this.bytes = doubled(this.bytes, Uint8Array)
      this.view = new DataView(this.bytes.buffer)
    }
    for (let i = start; i < end; i += 4) this.view.setInt32(this.used + i - start, view.getInt32(i))
    this.used += end - start
  }

  private spread(): void {
    const slots = new Int32Array(this.slots.length * 2)
    const mask = slots.length - 1
    for (let number = 0; number < this.count; number++) {
      const hash = this.cells[number * CELLS]!
      let slot = spreadHash(hash) & mask
      while (slots[slot] !== 0) slot = (slot + 1) & mask
      slots[slot] = number + 1
    }
    this.slots = slots
  }
}
