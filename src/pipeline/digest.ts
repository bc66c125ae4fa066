/** The digest of a window: equal when the window held the same messages, in any order and any number of copies. */
import { createHashSet } from '../base/hash-set.ts'

/** Beyond this many messages copies are no longer recognised. A window with re-delivered copies is then written once more than needed. */
const DISTINCT_MAX = 50_000

export interface Digest {
  /** `hash`: the 64-bit digest of one message. */
  add(hash: bigint): void
  /** `<count of distinct messages>:<sum of their hashes, hexadecimal>`. */
  text(): string
}

export function createDigest(): Digest {
  const seen = createHashSet(DISTINCT_MAX)
  let count = 0
  /** One cell, which wraps at 64 bits. */
  const sum = new BigUint64Array(1)
  return {
    add(hash) {
      if (!seen.add(hash)) return
      count += 1
      sum[0] = sum[0]! + hash
    },
    text: () => `${count}:${sum[0]!.toString(16).padStart(16, '0')}`,
  }
}
