/** Backfill requests in the state file: one range per tailnet, kept until all of it is done, also after restarts and crashes.
 * The ledger knows which part is done; this is only the request. */
import { prepareExact } from '../../base/sqlite.ts'
import type { Interval } from '../ledger.ts'
import type { StateFile } from './state-file.ts'

export interface BackfillRequest extends Interval {
  /** Local clock, ns. */
  readonly askedNs: bigint
}

export interface BackfillRequests {
  range(): BackfillRequest | undefined
  /** Replaces an earlier request. Durable when it returns; throws a CollectorError (stage `ledger`). */
  put(range: BackfillRequest): void
  drop(): void
}

export function createBackfillRequests({ db, transaction }: StateFile, tailnet: string): BackfillRequests {
  transaction(() =>
    db.exec(
      'CREATE TABLE IF NOT EXISTS ledger_backfill_request (tailnet TEXT PRIMARY KEY, from_ns INTEGER NOT NULL, to_ns INTEGER NOT NULL, asked_ns INTEGER NOT NULL) STRICT',
    ),
  )
  const find = prepareExact(
    db,
    'SELECT from_ns AS fromNs, to_ns AS toNs, asked_ns AS askedNs FROM ledger_backfill_request WHERE tailnet = ?',
  )
  const insert = prepareExact(db, 'INSERT OR REPLACE INTO ledger_backfill_request VALUES (?, ?, ?, ?)')
  const remove = prepareExact(db, 'DELETE FROM ledger_backfill_request WHERE tailnet = ?')
  let request = find.get(tailnet) as unknown as BackfillRequest | undefined
  return {
    range: () => request,
    put(range) {
      transaction(() => insert.run(tailnet, range.fromNs, range.toNs, range.askedNs))
      request = { ...range }
    },
    drop() {
      transaction(() => remove.run(tailnet))
      request = undefined
    },
  }
}
