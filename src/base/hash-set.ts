/** A set of 64-bit numbers in plain memory: as a Set of BigInts, or of doubles, they were most of what the garbage collector had to carry about
 * while a window is read. */

export interface HashSet {
  readonly size: number
  has(hash: bigint): boolean
  /** False when it was there already. True when it is new; beyond the most that it holds nothing is added, and everything unknown is new. */
  add(hash: bigint): boolean
  values(): Iterable<bigint>
}

const PLACES_MIN = 1024

/** Holds at most `sizeMax`. */
export function createHashSet(sizeMax: number): HashSet {
  /** 0 stands for an empty place. */
  let places = new BigUint64Array(PLACES_MIN)
  let used = 0
  let hasZero = false

  /** Where the hash lies or would lie. */
  function placeOf(hash: bigint): number {
    const mask = places.length - 1
    let place = Number(hash & 0xffffffffn) & mask
    while (places[place] !== 0n && places[place] !== hash) place = (place + 1) & mask
    return place
  }

  function grow(): void {
    const old = places
    places = new BigUint64Array(old.length * 2)
    for (const hash of old) if (hash !== 0n) places[placeOf(hash)] = hash
  }

  return {
    get size() {
      return used + (hasZero ? 1 : 0)
    },
    has: (hash) => (hash === 0n ? hasZero : places[placeOf(hash)] === hash),
    add(hash) {
      if (hash === 0n) {
        const isNew = !hasZero
        hasZero = true
        return isNew
      }
      const place = placeOf(hash)
      if (places[place] === hash) return false
      if (used >= sizeMax) return true
      places[place] = hash
      used += 1
      if (used * 2 > places.length) grow()
      return true
    },
    *values() {
      if (hasZero) yield 0n
      for (const hash of places) if (hash !== 0n) yield hash
    },
  }
}
