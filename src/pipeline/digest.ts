/** What a window held, in a few bytes: equal when the same messages were in it, in whatever order and however often each. */

/** Beyond this many messages copies are no longer told apart; a window with re-delivered copies is then written once too often, no more. */
const DISTINCT_MAX = 50_000

export interface Digest {
  /** `hash`: the 64-bit digest of one message. */
  add(hash: bigint): void
  /** `<count of distinct messages>:<sum of their hashes, hexadecimal>`. */
  text(): string
}

export function createDigest(): Digest {
  const seen = createSet()
  let count = 0
  /** One cell, which wraps at 64 bits. */
  const sum = new BigUint64Array(1)
  return {
    add(hash) {
      if (seen.has(hash)) return
      count += 1
      sum[0] = sum[0]! + hash
    },
    text: () => `${count}:${sum[0]!.toString(16).padStart(16, '0')}`,
  }
}

/** A set of at most DISTINCT_MAX numbers of 64 bits, in plain memory: as a Set of BigInts they were most of what the garbage collector had to
 * carry about while a window is read. */
function createSet() {
  let places = new BigUint64Array(1024)
  let size = 0
  let hasZero = false

  /** Where the hash lies or would lie; 0 stands for an empty place. */
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
    /** True when the hash was asked for before. */
    has(hash: bigint): boolean {
      if (hash === 0n) {
        const had = hasZero
        hasZero = true
        return had
      }
      const place = placeOf(hash)
      if (places[place] === hash) return true
      if (size >= DISTINCT_MAX) return false
      places[place] = hash
      size += 1
      if (size * 2 > places.length) grow()
      return false
    },
  }
}
