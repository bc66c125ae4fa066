/** What a window held, in a few bytes: equal when the same messages were in it, in whatever order and however often each. */

/** Beyond this many messages copies are no longer told apart; a window with re-delivered copies is then written once too often, no more. */
const DISTINCT_MAX = 50_000
const MASK = (1n << 64n) - 1n

export interface Digest {
  /** `hash`: the 64-bit digest of one message. */
  add(hash: bigint): void
  /** `<count of distinct messages>:<sum of their hashes, hexadecimal>`. */
  text(): string
}

export function createDigest(): Digest {
  const seen = new Set<bigint>()
  let count = 0
  let sum = 0n
  return {
    add(hash) {
      if (seen.size < DISTINCT_MAX) {
        if (seen.has(hash)) return
        seen.add(hash)
      }
      count += 1
      sum = (sum + hash) & MASK
    },
    text: () => `${count}:${sum.toString(16).padStart(16, '0')}`,
  }
}
