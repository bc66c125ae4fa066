/** Name history in the state file: `names_history` (tailnet, key, valid_from_ns, name). The key is an address or a stable node id; a row says
 * what the key is called from then on, as far as was known then.
 *
 * The name for a past time never changes: rows are only added for the current time, and lookups are about the past (when a message was recorded).
 * There is one safe exception: before anything has been read, no name has been used yet, so the first observation is valid from the beginning of
 * time. This gives names to the history that a first start reads. */

import { hashBytes } from '../base/hash.ts'
import { prepareExact } from '../base/sqlite.ts'
import type { StateFile } from '../ledger/sqlite/state-file.ts'
import { deviceByKey } from '../source/devices.ts'
import type { NameRecord, Names } from './names.ts'

const BEGINNING = -(1n << 63n)

const END = (1n << 63n) - 1n

interface Entry {
  readonly fromNs: bigint
  readonly name: string
  /** Where the next entry begins. */
  toNs: bigint
}

/** Opens the names of one tailnet. Throws a CollectorError (stage `ledger`). */
export function createNames({ db, transaction }: StateFile, tailnet: string): Names {
  transaction(() =>
    db.exec(`
CREATE TABLE IF NOT EXISTS names_history (
  tailnet TEXT, key TEXT, valid_from_ns INTEGER, name TEXT NOT NULL, PRIMARY KEY (tailnet, key, valid_from_ns)) STRICT;
CREATE TABLE IF NOT EXISTS names_reading (tailnet TEXT PRIMARY KEY, since_ns INTEGER NOT NULL) STRICT;`),
  )
  const all = prepareExact(
    db,
    'SELECT key, valid_from_ns, name FROM names_history WHERE tailnet = ? ORDER BY key, valid_from_ns',
  )
  const put = db.prepare('INSERT OR REPLACE INTO names_history VALUES (?, ?, ?, ?)')
  const putReading = db.prepare('INSERT OR IGNORE INTO names_reading VALUES (?, ?)')

  const histories = new Map<string, Entry[]>()
  // Most addresses of exit and physical traffic belong to no device. Their hash shows this, without a string being made.
  const hashes = createHashFilter()
  for (const row of all.all(tailnet)) add(row['key'] as string, row['valid_from_ns'] as bigint, row['name'] as string)
  let isReading = db.prepare('SELECT 1 FROM names_reading WHERE tailnet = ?').get(tailnet) !== undefined
  let known = 0
  let version = 0

  function add(key: string, fromNs: bigint, name: string): void {
    const entry = { fromNs, name, toNs: END }
    const history = histories.get(key)
    const last = history?.at(-1)
    if (last) last.toNs = fromNs
    if (history) return void history.push(entry)
    histories.set(key, [entry])
    const bytes = Buffer.from(key)
    hashes.add(hashBytes(bytes, 0, bytes.length))
  }

  function recordOf(addressOrId: string, atNs: bigint): NameRecord | undefined {
    const history = histories.get(addressOrId)
    // Newest first: nearly all lookups are about the last minutes.
    for (let index = (history?.length ?? 0) - 1; index >= 0; index -= 1) {
      const entry = history?.[index]
      if (entry && entry.fromNs <= atNs) return entry
    }
    return undefined
  }

  return {
    nameOf: (addressOrId, atNs) => recordOf(addressOrId, atNs)?.name,
    recordOf,

    mayKnow: (hash) => hashes.has(hash),

    observe(devices, atNs) {
      const changes = new Map<string, { fromNs: bigint; name: string }>()
      for (const [key, { name }] of deviceByKey(devices)) {
        const last = histories.get(key)?.at(-1)
        if (last?.name === name) continue
        // Never before an earlier observation, in case the clock went back.
        const fromNs = isReading ? later(atNs, last?.fromNs) : BEGINNING
        changes.set(key, { fromNs, name })
      }
      known = devices.length
      if (changes.size === 0) return
      transaction(() => {
        for (const [key, entry] of changes) put.run(tailnet, key, entry.fromNs, entry.name)
      })
      for (const [key, { fromNs, name }] of changes) {
        const history = histories.get(key)
        if (history?.at(-1)?.fromNs === fromNs) history.pop()
        add(key, fromNs, name)
      }
      version += 1
    },

    hasBegun: () => isReading,

    readingBegins(atNs) {
      if (isReading) return
      transaction(() => putReading.run(tailnet, atNs))
      isReading = true
    },

    count: () => known,
    version: () => version,
  }
}

function later(atNs: bigint, lastNs: bigint | undefined): bigint {
  return lastNs !== undefined && lastNs >= atNs ? lastNs + 1n : atNs
}

const BITS_PER_HASH = 64
const BITS_MIN = 1 << 12

/** Remembers which hashes were added, with one bit each, as a Bloom filter does. It fits into the cache of the processor, which a Set of 15,000 numbers
 * does not. `has` is always true for an added hash, and wrongly true for at most one in 64 others. */
interface HashFilter {
  add(hash: number): void
  /** False: it was never added. */
  has(hash: number): boolean
}

function createHashFilter(): HashFilter {
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
