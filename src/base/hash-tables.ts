/** Hash tables without an object per key: a set of 64-bit numbers, and an index of rows.
 *
 * A set of 64-bit numbers in plain memory. A Set of bigints or of numbers would be most of what the garbage collector has to visit while a
 * window is read. */

import { spreadHash } from './hash.ts'
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

/** Finds rows by a hash of their keys: open addressing with linear probing. The rows and their keys lie in columns of the owner, who compares them:
 *
 *     let place = index.first(hash)
 *     for (let row = index.rowAt(place); row >= 0; row = index.rowAt(place)) {
 *       if (hasTheseKeys(row)) return row
 *       place = index.next(place)
 *     }
 *     index.put(place, newRow)
 *
 * Nothing is allocated for a row. Clearing writes nothing either: a place is taken only when it has the number of the current round. */

const PLACES_MIN = 64
const ROUND_MAX = 0x7fffffff

export class RowIndex {
  /** Pairs: round, row. At most half of the places are taken. */
  private places = new Int32Array(0)
  private mask = 0
  private round = 0

  constructor(rowsMax = PLACES_MIN / 2) {
    this.clear(rowsMax)
  }

  /** Forgets all rows. At most `rowsMax` may be put until it is cleared again. */
  clear(rowsMax: number): void {
    let size = PLACES_MIN
    while (size < rowsMax * 2) size *= 2
    if (size * 2 > this.places.length) {
      this.places = new Int32Array(size * 2)
      this.round = 0
    } else if (this.round === ROUND_MAX) {
      this.places.fill(0)
      this.round = 0
    }
    this.mask = size - 1
    this.round += 1
  }

  /** Where the search for a hash begins. */
  first(hash: number): number {
    return spreadHash(hash) & this.mask
  }

  /** Where it continues. */
  next(place: number): number {
    return (place + 1) & this.mask
  }

  /** The row at a place; negative where the place is free and the search ends. */
  rowAt(place: number): number {
    return this.places[place * 2] === this.round ? this.places[place * 2 + 1]! : -1
  }

  /** Puts a row into a free place. */
  put(place: number, row: number): void {
    this.places[place * 2] = this.round
    this.places[place * 2 + 1] = row
  }

  get bytes(): number {
    return this.places.byteLength
  }
}
