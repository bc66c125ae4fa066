/** A set of 64-bit numbers in plain memory. A Set of bigints or of numbers would be most of what the garbage collector has to visit while a
 * window is read. */
import { RowIndex } from './row-index.ts'
import { doubled } from './typed-array.ts'

export interface HashSet {
  readonly size: number
  has(hash: bigint): boolean
  /** False when it was there already. True when it is new. When the set is full, nothing is added and every unknown number is new. */
  add(hash: bigint): boolean
  values(): Iterable<bigint>
}

const SIZE_MIN = 512

/** Holds at most `sizeMax`. */
export function createHashSet(sizeMax: number): HashSet {
  let hashes = new BigUint64Array(SIZE_MIN)
  let size = 0
  const index = new RowIndex(SIZE_MIN)

  /** Where the hash is, or where the search for it ends. */
  function placeOf(hash: bigint): number {
    let place = index.first(Number(hash & 0xffffffffn))
    for (let row = index.rowAt(place); row >= 0 && hashes[row] !== hash; row = index.rowAt(place))
      place = index.next(place)
    return place
  }

  function grow(): void {
    hashes = doubled(hashes, BigUint64Array)
    index.clear(hashes.length)
    for (let row = 0; row < size; row++) index.put(placeOf(hashes[row]!), row)
  }

  return {
    get size() {
      return size
    },
    has: (hash) => index.rowAt(placeOf(hash)) >= 0,
    add(hash) {
      const place = placeOf(hash)
      if (index.rowAt(place) >= 0) return false
      if (size >= sizeMax) return true
      if (size === hashes.length) {
        grow()
        index.put(placeOf(hash), size)
      } else index.put(place, size)
      hashes[size++] = hash
      return true
    },
    values: () => hashes.subarray(0, size),
  }
}
