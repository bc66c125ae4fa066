/** Remembers which hashes were added, with one bit each, as a Bloom filter does. It fits into the cache of the processor, which a Set of 15,000 numbers
 * does not. `has` is always true for an added hash, and wrongly true for at most one in 64 others. */
const BITS_PER_HASH = 64
const BITS_MIN = 1 << 12

export interface HashFilter {
  add(hash: number): void
  /** False: it was never added. */
  has(hash: number): boolean
}

export function createHashFilter(): HashFilter {
  const added = new Set<number>()
  let bits = new Int32Array(BITS_MIN >> 5)
  let mask = BITS_MIN - 1

  function mark(hash: number): void {
    const bit = hash & mask
    bits[bit >> 5] = bits[bit >> 5]! | (1 << bit)
  }

  return {
    add(hash) {
      added.add(hash)
      if (added.size * BITS_PER_HASH <= mask + 1) return mark(hash)
      mask = mask * 2 + 1
      bits = new Int32Array((mask + 1) >> 5)
      for (const one of added) mark(one)
    },
    has(hash) {
      const bit = hash & mask
      return (bits[bit >> 5]! & (1 << bit)) !== 0
    },
  }
}
