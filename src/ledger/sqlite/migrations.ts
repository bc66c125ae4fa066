/** The layouts of the state file, one after the other.
 *
 * The number of a file's layout is `schema` in its table `meta`. A file of an older layout is brought to the newest one when it is opened, step by step; each
 * step and its number are one transaction, so after a crash the file has one of the layouts, complete. A file of a newer layout is refused.
 *
 * Tables belong to the modules that use them, which create them if they are missing. So a step may find a table as it was at the layout before,
 * or not at all: the module has never run with this file, or the file is new. A step that has been released is never changed; what was wrong
 * with it is corrected by the next one. */
import type { DatabaseSync } from 'node:sqlite'

export interface Migration {
  /** The layout that it leads to: its place in the list, from 1. */
  readonly layout: number
  /** What it does, for the log. */
  readonly what: string
  /** Runs inside a transaction. */
  up(db: DatabaseSync): void
}

export const MIGRATIONS: readonly Migration[] = [
  {
    layout: 1,
    what: 'table meta',
    up: (db) => db.exec('CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT'),
  },
  {
    layout: 2,
    what: 'ledger_wanted is called ledger_backfill_request',
    up(db) {
      if (hasTable(db, 'ledger_wanted')) db.exec('ALTER TABLE ledger_wanted RENAME TO ledger_backfill_request')
    },
  },
]

export function newestLayout(migrations: readonly Migration[]): number {
  return migrations.at(-1)?.layout ?? 0
}

/** Makes the steps that lie behind `layout` (0: a new database), each by means of `transaction`. */
export function migrate(
  db: DatabaseSync,
  layout: number,
  migrations: readonly Migration[],
  transaction: (work: () => void) => void,
): void {
  for (const migration of migrations.filter((one) => one.layout > layout)) {
    transaction(() => {
      migration.up(db)
      db.prepare("INSERT INTO meta VALUES ('schema', ?) ON CONFLICT DO UPDATE SET value = excluded.value").run(
        String(migration.layout),
      )
    })
  }
}

function hasTable(db: DatabaseSync, name: string): boolean {
  return db.prepare("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?").get(name) !== undefined
}
