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
import { spreadHash } from './hash.ts'

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
