/** What the state file and the embedded store both need of SQLite. */
import type { DatabaseSync, StatementSync } from 'node:sqlite'

/** Primary result codes (https://www.sqlite.org/rescode.html). */
export const SQLITE = { error: 1, busy: 5, locked: 6, corrupt: 11, full: 13, notADatabase: 26 } as const

/** The primary result code of an error of SQLite; undefined for every other error. */
export function sqliteCode(error: unknown): number | undefined {
  const code = (error as { errcode?: unknown } | undefined)?.errcode
  return typeof code === 'number' ? code & 0xff : undefined
}

/** Another process uses the file. */
export function isBusyCode(code: number | undefined): boolean {
  return code === SQLITE.busy || code === SQLITE.locked
}

/** The file is no database any more. */
export function isDamageCode(code: number | undefined): boolean {
  return code === SQLITE.corrupt || code === SQLITE.notADatabase
}

/** A statement that returns integers as bigint: times are ns, beyond 2^53. Statements that write need it too: `run()` returns the rowid that was
 * inserted last on the connection, by any statement, and throws when that is a time. */
export function prepareExact(db: DatabaseSync, sql: string): StatementSync {
  const statement = db.prepare(sql)
  statement.setReadBigInts(true)
  return statement
}
