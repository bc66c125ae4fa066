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
  {
    layout: 3,
    what: 'points of version 0.1.0 stay as they are, the name history is gone',
    up(db) {
      // Points have other tags from here on, so a window of before is never written again: not by a late pass (pass 0), and not on request.
      if (hasTable(db, 'ledger_done'))
        db.exec(`CREATE TABLE ledger_old_points (tailnet TEXT PRIMARY KEY, to_ns INTEGER NOT NULL) STRICT;
INSERT INTO ledger_old_points SELECT tailnet, max(to_ns) FROM ledger_done GROUP BY tailnet;
UPDATE ledger_window SET pass = 0;`)
      // The key of hashes is a setting now. Where there is one in the file it stays: \`tailflux ledger privacy-key\` prints it.
      db.exec('DROP TABLE IF EXISTS names_history; DROP TABLE IF EXISTS names_reading')
    },
  },
  {
    layout: 4,
    what: 'alerts read rows of minutes: their sums are gone',
    up(db) {
      for (const name of ['seen', 'identity', 'series', 'part', 'column', 'node'])
        db.exec(`DROP TABLE IF EXISTS alerts_${name}`)
      // How far rules were evaluated has another meaning: they begin anew, and what was notified as firing is resolved.
      if (hasTable(db, 'alerts_rule'))
        db.exec(`DELETE FROM alerts_rule; DELETE FROM alerts_sighting;
ALTER TABLE alerts_rule RENAME COLUMN dirty TO since;`)
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
