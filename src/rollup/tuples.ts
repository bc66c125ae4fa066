/** A table of distinct tuples of 32-bit numbers: each has an index, from 0 in order of arrival. */
import { HASH_SEED, hashStep } from '../base/hash.ts'
import { RowIndex } from '../base/hash-tables.ts'
import { doubled } from '../base/typed-array.ts'

export interface Tuples {
  readonly count: number
  /** `width` numbers per tuple, by index. */
  readonly cells: Int32Array
  /** Memory that it takes. */
  readonly bytes: number
  /** Index of the tuple; `count` grows by one when it is new. */
  indexOf(tuple: Int32Array): number
}

const COUNT_MIN = 64

export function createTuples(width: number): Tuples {
  let count = 0
  let cells = new Int32Array(COUNT_MIN * width)
  const index = new RowIndex(COUNT_MIN)

  function hashOf(from: Int32Array, at: number): number {
    let hash = HASH_SEED
    for (let i = at; i < at + width; i++) hash = hashStep(hash, from[i]!)
    return hash
  }

  function isAt(row: number, tuple: Int32Array): boolean {
    const at = row * width
    for (let i = 0; i < width; i++) if (cells[at + i] !== tuple[i]) return false
    return true
  }

  /** Where the tuple is, or where the search for it ends. */
  function placeOf(tuple: Int32Array): number {
    let place = index.first(hashOf(tuple, 0))
    for (let row = index.rowAt(place); row >= 0 && !isAt(row, tuple); row = index.rowAt(place))
      place = index.next(place)
    return place
  }

  function grow(): void {
    cells = doubled(cells, Int32Array)
    index.clear(cells.length / width)
    for (let row = 0; row < count; row++) index.put(placeOf(cells.subarray(row * width, (row + 1) * width)), row)
  }

  return {
    get count() {
      return count
    },
    get cells() {
      return cells
    },
    get bytes() {
      return cells.byteLength + index.bytes
    },
    indexOf(tuple) {
      const place = placeOf(tuple)
      const known = index.rowAt(place)
      if (known >= 0) return known
      index.put(place, count)
      cells.set(tuple, count * width)
      count += 1
      if (count * width === cells.length) grow()
      return count - 1
    },
  }
}
