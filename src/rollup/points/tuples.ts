/** A table of distinct tuples of 32-bit numbers: each has an index, from 0 in order of arrival. */
import { HASH_SEED, hashStep } from '../../base/hash.ts'
import { RowIndex } from '../../base/hash-tables.ts'
import { doubled } from '../../base/typed-array.ts'

export interface Tuples {
  readonly count: number
  /** `width` numbers per tuple, by index. */
  readonly cells: Int32Array
  /** Memory that it takes. */
  readonly bytes: number
  /** Index of the tuple that begins at `at`; `count` grows by one when it is new. */
  indexOf(from: Int32Array, at?: number): number
  /** The same without adding it: negative when it is not there. */
  find(from: Int32Array, at?: number): number
}

const COUNT_MIN = 64

/** `sizeHint`: so many are expected. Memory that grows step by step is given up at each step, which makes garbage collections more frequent. */
export function createTuples(width: number, sizeHint = COUNT_MIN): Tuples {
  let count = 0
  let cells = new Int32Array(Math.max(COUNT_MIN, sizeHint) * width)
  const index = new RowIndex(cells.length / width)

  function hashOf(from: Int32Array, at: number): number {
    let hash = HASH_SEED
    for (let i = at; i < at + width; i++) hash = hashStep(hash, from[i]!)
    return hash
  }

  function isAt(row: number, from: Int32Array, at: number): boolean {
    for (let i = 0, own = row * width; i < width; i++) if (cells[own + i] !== from[at + i]) return false
    return true
  }

  /** Where the tuple is, or where the search for it ends. */
  function placeOf(from: Int32Array, at: number): number {
    let place = index.first(hashOf(from, at))
    for (let row = index.rowAt(place); row >= 0 && !isAt(row, from, at); row = index.rowAt(place))
      place = index.next(place)
    return place
  }

  function grow(): void {
    cells = doubled(cells, Int32Array)
    index.clear(cells.length / width)
    for (let row = 0; row < count; row++) index.put(placeOf(cells, row * width), row)
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
    find: (from, at = 0) => index.rowAt(placeOf(from, at)),
    indexOf(from, at = 0) {
      const place = placeOf(from, at)
      const known = index.rowAt(place)
      if (known >= 0) return known
      index.put(place, count)
      for (let i = 0; i < width; i++) cells[count * width + i] = from[at + i]!
      count += 1
      if (count * width === cells.length) grow()
      return count - 1
    },
  }
}
