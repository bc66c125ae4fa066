/** Rows that are found by five whole numbers: open addressing over plain arrays, so that nothing is allocated for a row and a look-up touches two
 * places of memory. Rows are numbered from 0 in the order in which they came. */
import { hashNumbers, hashStep, spreadHash } from '../base/hash.ts'
import { doubled } from '../base/typed-array.ts'

export const KEYS = 5
const ROWS_MIN = 64

export class IntTable {
  /** Rows that there are. */
  count = 0
  /** Five per row. */
  keys = new Int32Array(ROWS_MIN * KEYS)
  /** Row + 1 by place, 0 where it is free. At most half are taken. */
  private slots = new Int32Array(ROWS_MIN * 2)
  private mask = ROWS_MIN * 2 - 1

  /** The number of the row with these keys; `count` is one more afterwards when it is new. */
  rowOf(a: number, b: number, c: number, d: number, e: number): number {
    const found = this.find(a, b, c, d, e)
    return found >= 0 ? found : this.add(~found, a, b, c, d, e)
  }

  /** The same for keys that need not be there; negative when they are not (`~` their free place). */
  find(a: number, b: number, c: number, d: number, e: number): number {
    const { slots, keys, mask } = this
    let slot = placeOf(a, b, c, d, e) & mask
    for (let row = slots[slot]! - 1; row >= 0; row = slots[slot]! - 1) {
      const at = row * KEYS
      if (keys[at] === a && keys[at + 1] === b && keys[at + 2] === c && keys[at + 3] === d && keys[at + 4] === e)
        return row
      slot = (slot + 1) & mask
    }
    return ~slot
  }

  clear(): void {
    if (this.count === 0) return
    this.count = 0
    this.slots.fill(0)
  }

  get bytes(): number {
    return this.keys.byteLength + this.slots.byteLength
  }

  private add(slot: number, a: number, b: number, c: number, d: number, e: number): number {
    const row = this.count++
    const at = row * KEYS
    if (at === this.keys.length) this.keys = doubled(this.keys, Int32Array)
    const { keys } = this
    keys[at] = a
    keys[at + 1] = b
    keys[at + 2] = c
    keys[at + 3] = d
    keys[at + 4] = e
    this.slots[slot] = row + 1
    if (this.count * 2 > this.slots.length) this.spread()
    return row
  }

  private spread(): void {
    const slots = new Int32Array(this.slots.length * 2)
    const mask = slots.length - 1
    for (let row = 0; row < this.count; row++) {
      const [a, b, c, d, e] = this.keys.subarray(row * KEYS, row * KEYS + KEYS) as unknown as [
        number,
        number,
        number,
        number,
        number,
      ]
      let slot = placeOf(a, b, c, d, e) & mask
      while (slots[slot] !== 0) slot = (slot + 1) & mask
      slots[slot] = row + 1
    }
    this.slots = slots
    this.mask = mask
  }
}

function placeOf(a: number, b: number, c: number, d: number, e: number): number {
  return spreadHash(hashStep(hashNumbers(a, b, c), hashNumbers(d, e, 0)))
}
