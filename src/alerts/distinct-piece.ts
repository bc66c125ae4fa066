/** The different items of every group in one piece of time: rows of group and item, found by both, and chained by group. */
import { hashNumbers, spreadHash } from '../base/hash.ts'
import { doubled } from '../base/typed-array.ts'

const ROWS_MIN = 64

export class DistinctPiece {
  count = 0
  /** Rows that the state file has, and in how many parts. */
  savedRows = 0
  savedParts = 0
  private ids = new Int32Array(ROWS_MIN)
  private items = new Int32Array(ROWS_MIN)
  /** The row before of the same group, + 1; 0 for none. */
  private before = new Int32Array(ROWS_MIN)
  /** Row + 1 by place, 0 where it is free. At most half are taken. */
  private slots = new Int32Array(ROWS_MIN * 2)
  /** By group: its newest row + 1, and how many rows it has. */
  private heads = new Int32Array(ROWS_MIN)
  private counts = new Int32Array(ROWS_MIN)

  has(id: number, item: number): boolean {
    return this.slots[this.slotOf(id, item)] !== 0
  }

  /** False when it was there. */
  add(id: number, item: number): boolean {
    const slot = this.slotOf(id, item)
    if (this.slots[slot] !== 0) return false
    const row = this.count++
    if (row === this.ids.length) {
      this.ids = doubled(this.ids, Int32Array)
      this.items = doubled(this.items, Int32Array)
      this.before = doubled(this.before, Int32Array)
    }
    while (id >= this.heads.length) {
      this.heads = doubled(this.heads, Int32Array)
      this.counts = doubled(this.counts, Int32Array)
    }
    this.ids[row] = id
    this.items[row] = item
    this.before[row] = this.heads[id]!
    this.heads[id] = row + 1
    this.counts[id] = this.counts[id]! + 1
    this.slots[slot] = row + 1
    if (this.count * 2 > this.slots.length) this.spread()
    return true
  }

  countOf(id: number): number {
    return this.counts[id] ?? 0
  }

  /** One above the highest group that may have an item. */
  get groups(): number {
    return this.heads.length
  }

  /** Each item of a group. */
  each(id: number, take: (item: number) => void): void {
    for (let row = (this.heads[id] ?? 0) - 1; row >= 0; row = this.before[row]! - 1) take(this.items[row]!)
  }

  /** Groups and items, in the order in which they came. */
  eachRow(from: number, take: (id: number, item: number) => void): void {
    for (let row = from; row < this.count; row++) take(this.ids[row]!, this.items[row]!)
  }

  get bytes(): number {
    return this.ids.byteLength * 3 + this.slots.byteLength + this.heads.byteLength * 2
  }

  /** Where it is, or would go. */
  private slotOf(id: number, item: number): number {
    const { slots, ids, items } = this
    const mask = slots.length - 1
    let slot = spreadHash(hashNumbers(id, item, 0)) & mask
    for (let row = slots[slot]! - 1; row >= 0; row = slots[slot]! - 1) {
      if (ids[row] === id && items[row] === item) return slot
      slot = (slot + 1) & mask
    }
    return slot
  }

  private spread(): void {
    this.slots = new Int32Array(this.slots.length * 2)
    for (let row = 0; row < this.count; row++) this.slots[this.slotOf(this.ids[row]!, this.items[row]!)] = row + 1
  }
}
