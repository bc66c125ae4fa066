/** Which messages have been counted. A message is known by its digest (flatten/points): 64 bits over its node, start and counters, the same
 * for every copy of it, whenever and however often it is read. Kept in chunks of ten minutes of start time, so that the old ones can go. */
import { MINUTE } from '../base/clock.ts'
import { hashNumbers, spreadHash } from '../base/hash.ts'

export const CHUNK_NS = 10n * MINUTE
const CHUNK_SECONDS = 600

/** The chunk of a message that began so many seconds after the epoch. */
export function chunkOf(seconds: number): number {
  return Math.floor(seconds / CHUNK_SECONDS)
}

/** Digests come in halves of 32 bits: a bigint costs more than all the rest of a look-up. */
export interface Identities {
  has(high: number, low: number, chunk: number): boolean
  /** Takes it in; false when it was known. */
  add(high: number, low: number, chunk: number): boolean
  /** Forgets chunks that end at or before `ns`. Returns how many messages they had. */
  forgetBefore(ns: bigint): number
  /** Makes component: forgets the oldest chunks until at most `max` messages are known. Returns the time from which on all are, if it had to. */
  shrinkTo(max: number): bigint | undefined
  readonly count: number
  readonly bytes: number
  /** Takes back what `fresh` gave to an earlier process. */
  restore(chunk: number, digests: BigUint64Array): void
  /** Digests added since the last `saved`, by chunk, for the state file. */
  fresh(): Map<number, BigUint64Array>
  saved(): void
}

interface Chunk {
  /** Open addressing: two halves of a digest per slot, both 0 where free. */
  slots: Int32Array
  count: number
  /** Low and high halves in turn: in memory that is a BigUint64Array. */
  fresh: number[]
}

const SLOTS_MIN = 256

export function createIdentities(): Identities {
  const chunks = new Map<number, Chunk>()
  let count = 0

  /** Index of the digest's slot, or of the free one where it would go (as -1 - index). */
  function find(slots: Int32Array, high: number, low: number): number {
    const mask = slots.length / 2 - 1
    let slot = spreadHash(hashNumbers(high, low, 0)) & mask
    while (true) {
      const one = slots[slot * 2]!
      const other = slots[slot * 2 + 1]!
      if (one === high && other === low) return slot
      if (one === 0 && other === 0) return -1 - slot
      slot = (slot + 1) & mask
    }
  }

  function grow(chunk: Chunk): void {
    const old = chunk.slots
    chunk.slots = new Int32Array(old.length * 2)
    for (let i = 0; i < old.length; i += 2) {
      if (old[i] === 0 && old[i + 1] === 0) continue
      const slot = -1 - find(chunk.slots, old[i]!, old[i + 1]!)
      chunk.slots[slot * 2] = old[i]!
      chunk.slots[slot * 2 + 1] = old[i + 1]!
    }
  }

  function drop(key: number): number {
    const gone = chunks.get(key)?.count ?? 0
    chunks.delete(key)
    count -= gone
    return gone
  }

  function put(key: number, high: number, low: number, isFresh: boolean): boolean {
    let chunk = chunks.get(key)
    if (chunk === undefined) {
      chunk = { slots: new Int32Array(SLOTS_MIN * 2), count: 0, fresh: [] }
      chunks.set(key, chunk)
    }
    const found = find(chunk.slots, high, low)
    if (found >= 0) return false
    const slot = -1 - found
    chunk.slots[slot * 2] = high
    chunk.slots[slot * 2 + 1] = low
    chunk.count += 1
    count += 1
    if (isFresh) chunk.fresh.push(low, high)
    if (chunk.count * 3 > chunk.slots.length) grow(chunk)
    return true
  }

  return {
    has(high, low, chunk) {
      const known = chunks.get(chunk)
      return known !== undefined && find(known.slots, high, lowOf(high, low)) >= 0
    },
    add: (high, low, chunk) => put(chunk, high, lowOf(high, low), true),
    restore(chunk, digests) {
      const halves = new Int32Array(digests.buffer, digests.byteOffset, digests.length * 2)
      for (let i = 0; i < halves.length; i += 2) put(chunk, halves[i + 1]!, halves[i]!, false)
    },
    forgetBefore(ns) {
      let gone = 0
      for (const key of [...chunks.keys()]) if (BigInt(key + 1) * CHUNK_NS <= ns) gone += drop(key)
      return gone
    },
    shrinkTo(max) {
      if (count <= max) return undefined
      let end: number | undefined
      for (const key of [...chunks.keys()].sort((one, other) => one - other)) {
        if (count <= max) break
        drop(key)
        end = key + 1
      }
      return end === undefined ? undefined : BigInt(end) * CHUNK_NS
    },
    get count() {
      return count
    },
    get bytes() {
      return [...chunks.values()].reduce((sum, chunk) => sum + chunk.slots.byteLength, 0)
    },
    fresh() {
      const fresh = new Map<number, BigUint64Array>()
      for (const [key, chunk] of chunks)
        if (chunk.fresh.length > 0) fresh.set(key, new BigUint64Array(Int32Array.from(chunk.fresh).buffer))
      return fresh
    },
    saved() {
      for (const chunk of chunks.values()) if (chunk.fresh.length > 0) chunk.fresh = []
    },
  }
}

/** A digest of 0 is taken for 1, because 0 means a free slot. */
function lowOf(high: number, low: number): number {
  return high === 0 && low === 0 ? 1 : low
}
