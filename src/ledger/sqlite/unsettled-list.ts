/** The list of what is not settled, in the state file: table `ledger_unsettled` (tailnet, tier, start_ns, read_no, must_no, since_ns). It is small enough to
 * be kept in memory beside the file; memory changes only after the commit. */
import { prepareExact } from '../../base/sqlite.ts'
import type { Causes, Listed, Tier, Unsettled, UnsettledList } from '../unsettled.ts'
import type { StateFile } from './state-file.ts'

export interface SqliteUnsettledList extends UnsettledList {
  /** For a transaction of the ledger: writes that these minutes were read. Call what it returns after the commit. */
  writeRead(minutes: readonly bigint[], nowNs: bigint): () => void
}

export function createUnsettledList({ db, transaction }: StateFile, tailnet: string): SqliteUnsettledList {
  transaction(() =>
    db.exec(`CREATE TABLE IF NOT EXISTS ledger_unsettled (
  tailnet TEXT, tier TEXT, start_ns INTEGER, read_no INTEGER NOT NULL, must_no INTEGER NOT NULL, since_ns INTEGER NOT NULL,
  PRIMARY KEY (tailnet, tier, start_ns)) STRICT;
CREATE TABLE IF NOT EXISTS ledger_unsettled_number (tailnet TEXT PRIMARY KEY, number INTEGER NOT NULL) STRICT;`),
  )
  const put = prepareExact(db, 'INSERT OR REPLACE INTO ledger_unsettled VALUES (?, ?, ?, ?, ?, ?)')
  const drop = prepareExact(db, 'DELETE FROM ledger_unsettled WHERE tailnet = ? AND tier = ? AND start_ns = ?')
  const putNumber = prepareExact(db, 'INSERT OR REPLACE INTO ledger_unsettled_number VALUES (?, ?)')

  const lists: Record<Tier, Map<bigint, Unsettled>> = { minute: new Map(), hour: new Map(), day: new Map() }
  for (const row of prepareExact(db, 'SELECT * FROM ledger_unsettled WHERE tailnet = ?').all(tailnet)) {
    const startNs = row['start_ns'] as bigint
    lists[row['tier'] as Tier].set(startNs, {
      startNs,
      read: Number(row['read_no']),
      must: Number(row['must_no']),
      sinceNs: row['since_ns'] as bigint,
    })
  }
  let number =
    (db.prepare('SELECT number FROM ledger_unsettled_number WHERE tailnet = ?').get(tailnet) as { number: number })
      ?.number ?? 0

  /** Writes the changes; call what it returns after the commit. */
  function write(changes: readonly { readonly tier: Tier; readonly entry: Unsettled }[], next: number): () => void {
    for (const { tier, entry } of changes) {
      if (isOff(entry)) drop.run(tailnet, tier, entry.startNs)
      else put.run(tailnet, tier, entry.startNs, entry.read, entry.must, entry.sinceNs)
    }
    putNumber.run(tailnet, next)
    return () => {
      number = next
      for (const { tier, entry } of changes) {
        if (isOff(entry)) lists[tier].delete(entry.startNs)
        else lists[tier].set(entry.startNs, entry)
      }
    }
  }

  /** The entry with one more cause; several of the same in one transaction have the same number. */
  function listed({ tier, startNs }: Listed, cause: keyof Causes, next: number, nowNs: bigint) {
    const known = lists[tier].get(startNs) ?? { startNs, read: 0, must: 0, sinceNs: nowNs }
    return { tier, entry: { ...known, [cause]: next } }
  }

  return {
    all: (tier) => [...lists[tier].values()].toSorted((one, other) => (one.startNs < other.startNs ? -1 : 1)),
    find: (tier, startNs) => lists[tier].get(startNs),
    writeRead(minutes, nowNs) {
      const next = number + 1
      return write(
        minutes.map((startNs) => listed({ tier: 'minute', startNs }, 'read', next, nowNs)),
        next,
      )
    },
    must(some, nowNs) {
      if (some.length === 0) return
      const next = number + 1
      const commit = transaction(() =>
        write(
          some.map((one) => listed(one, 'must', next, nowNs)),
          next,
        ),
      )
      commit()
    },
    strikeOff(one, upTo, follow, nowNs) {
      const next = number + 1
      const commit = transaction(() => {
        const known = lists[one.tier].get(one.startNs)

        const changes = follow.map((other) => listed(other, 'must', next, nowNs))
        if (known === undefined) return write(changes, next)
        const read = known.read <= upTo.read ? 0 : known.read
        const must = known.must <= upTo.must ? 0 : known.must
        return write([{ tier: one.tier, entry: { ...known, read, must } }, ...changes], next)
      })
      commit()
    },
  }
}

function isOff({ read, must }: Causes): boolean {
  return read === 0 && must === 0
}
