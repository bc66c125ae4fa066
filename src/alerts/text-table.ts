/** Texts as small numbers: each text has one, found by its bytes, and becomes a string only when somebody asks for it. */
import { hashWords, TAILS } from '../source/message-address.ts'
import { doubled } from '../source/message-columns.ts'
import { textOf } from '../source/message-text.ts'

const TEXTS_MIN = 1024
/** Words are read four bytes at a time, past the end of a text. */
const SPARE = 16

export class TextTable {
  count = 0
  private bytes: Uint8Array = new Uint8Array(TEXTS_MIN * 16)
  private view = new DataView(this.bytes.buffer)
  private used = 0
  /** Where each begins; it ends where the next begins. */
  private starts = new Int32Array(TEXTS_MIN + 1)
  private hashes = new Int32Array(TEXTS_MIN)
  /** Number + 1 by place, 0 where it is free. At most half are taken. */
  private slots = new Int32Array(TEXTS_MIN * 2)
  private strings: string[] = []

  /** The number of the text of `view` from `start` to `end`. Up to 16 bytes behind it are read. */
  numberOf(view: DataView, start: number, end: number): number {
    const hash = hashWords(view, start, end)
    const { slots, hashes, starts } = this
    const mask = slots.length - 1
    let slot = (hash ^ (hash >>> 15)) & mask
    for (let number = slots[slot]! - 1; number >= 0; number = slots[slot]! - 1) {
      if (hashes[number] === hash && this.isSame(starts[number]!, starts[number + 1]!, view, start, end)) return number
      slot = (slot + 1) & mask
    }
    return this.add(slot, hash, view, start, end)
  }

  textOf(number: number): string {
    let text = this.strings[number]
    if (text === undefined) {
      text = textOf(this.bytes, this.starts[number]!, this.starts[number + 1]!)
      this.strings[number] = text
    }
    return text
  }

  /** Numbers given before mean nothing any more. */
  clear(): void {
    this.count = 0
    this.used = 0
    this.slots.fill(0)
    this.strings = []
  }

  get memoryBytes(): number {
    return this.bytes.byteLength + this.starts.byteLength + this.hashes.byteLength + this.slots.byteLength
  }

  private isSame(own: number, ownEnd: number, view: DataView, start: number, end: number): boolean {
    const length = end - start
    if (ownEnd - own !== length) return false
    let i = 0
    for (; i + 4 <= length; i += 4) if (this.view.getInt32(own + i) !== view.getInt32(start + i)) return false
    return ((this.view.getInt32(own + i, true) ^ view.getInt32(start + i, true)) & TAILS[length - i]!) === 0
  }

  private add(slot: number, hash: number, view: DataView, start: number, end: number): number {
    const number = this.count++
    if (number === this.hashes.length) {
      this.hashes = doubled(this.hashes, Int32Array)
      const starts = new Int32Array(this.hashes.length + 1)
      starts.set(this.starts)
      this.starts = starts
    }
    while (this.bytes.length < this.used + end - start + SPARE) {
      this.bytes = doubled(this.bytes, Uint8Array)
      this.view = new DataView(this.bytes.buffer)
    }
    for (let i = start; i < end; i += 4) this.view.setInt32(this.used + i - start, view.getInt32(i))
    this.starts[number] = this.used
    this.used += end - start
    this.starts[number + 1] = this.used
    this.hashes[number] = hash
    this.slots[slot] = number + 1
    if (this.count * 2 > this.slots.length) this.spread()
    return number
  }

  private spread(): void {
    const slots = new Int32Array(this.slots.length * 2)
    const mask = slots.length - 1
    for (let number = 0; number < this.count; number++) {
      const hash = this.hashes[number]!
      let slot = (hash ^ (hash >>> 15)) & mask
      while (slots[slot] !== 0) slot = (slot + 1) & mask
      slots[slot] = number + 1
    }
    this.slots = slots
  }
}
