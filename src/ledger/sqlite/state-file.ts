/** The state file: one SQLite database that only one process has open.
 *
 * Layout: `meta` (key, value) with kind, schema (the number of the layout, see migrations.ts) and created; the tables of ledger, names and others,
 * each created by its component.
 * Invariants: a file without its meta row belongs to another program or is incomplete (SQLite opens a file of zero length as an empty database,
 * without an error).
 * `locking_mode=EXCLUSIVE` holds a lock of the kernel from the first read to the end of the process, however it ends. `synchronous=EXTRA`
 * with a rollback journal survives a power cut at any moment, also before the directory entry of the journal is written. WAL would be faster, but a
 * few commits per window do not need it, and one file is easier to copy than three.
 * Recovery: a damaged file is renamed to `<name>.corrupt-<time>` and an empty one takes its place; what it knew comes back from the checkpoint
 * in the database (pipeline/recovery/reconcile.ts). A file of a newer version of tailflux is not changed. */
import { existsSync, renameSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type { Logger } from 'pino'
import type { Clock } from '../../base/clock.ts'
import { CollectorError, messageOf } from '../../base/errors.ts'
import { isoOf } from '../../base/format.ts'
import { makePrivateFile, makePrivateFolder, tightenDatabase } from '../../base/private-file.ts'
import { isDamageCode, SQLITE, sqliteCode } from '../../base/sqlite.ts'
import { MIGRATIONS, type Migration, migrate, newestLayout } from './migrations.ts'
import { inUse, stateError } from './state-errors.ts'

export interface StateFile {
  readonly path: string
  readonly db: DatabaseSync
  /** Set when a damaged file was found and moved away. */
  readonly recovered: { readonly asidePath: string; readonly reason: string } | undefined
  /** Runs `work` in one transaction: durable when it returns, undone when it throws. SQLite's errors become CollectorErrors. */
  transaction<T>(work: () => T): T
  /** Idempotent. */
  close(): void
}

const KIND = 'tailflux state'

interface OpenDeps {
  readonly clock: Pick<Clock, 'now'>
  readonly log: Pick<Logger, 'info' | 'error'>
  /** The layouts; those of this version by default. */
  readonly migrations?: readonly Migration[]
}

/** Opens or creates the file and takes its lock. Throws a CollectorError: `state_locked` (another process uses it), `state_damaged` (a newer
 * version wrote it, or it cannot be renamed), `state_full`, `state_failed`. With `mustBeWhole` nothing is created or renamed, and `close()` undoes
 * what was written: for commands that only read, also a file of an older layout. */
export function openStateFile(options: { path: string; mustBeWhole?: boolean }, deps: OpenDeps): StateFile {
  const { path } = options
  if (options.mustBeWhole && !existsSync(path)) {
    throw new CollectorError(`there is no state file ${path}: check TAILFLUX_DATA_DIR, or start tailflux first`, {
      stage: 'ledger',
      code: 'state_failed',
      reaction: 'hold',
    })
  }
  if (path !== ':memory:') {
    try {
      makePrivateFolder(dirname(path))
    } catch (error) {
      throw new CollectorError(
        `cannot create ${dirname(path)} for the state file: make it writable, or set TAILFLUX_DATA_DIR`,
        {
          stage: 'ledger',
          code: 'state_failed',
          reaction: 'hold',
          cause: error,
        },
      )
    }
  }
  const found = tryOpen(path, deps, options.mustBeWhole)
  if ('db' in found) return stateFile(path, found.db, undefined, options.mustBeWhole)
  if (options.mustBeWhole) {
    throw new CollectorError(
      `the state file ${path} is damaged (${found.damage}): \`tailflux run\` moves it away and resumes from the watermark stored in the database`,
      { stage: 'ledger', code: 'state_damaged', reaction: 'hold' },
    )
  }
  const time = isoOf(deps.clock.now()).replaceAll(':', '')
  const asidePath = `${path}.corrupt-${time}`
  try {
    renameSync(path, asidePath)
    if (existsSync(`${path}-journal`)) renameSync(`${path}-journal`, `${asidePath}-journal`)
  } catch (error) {
    throw new CollectorError(
      `the state file ${path} is damaged (${found.damage}) and cannot be renamed: move it away by hand`,
      {
        stage: 'ledger',
        code: 'state_damaged',
        reaction: 'hold',
        cause: error,
      },
    )
  }
  deps.log.error(
    { path, asidePath, reason: found.damage },
    'state file was damaged and moved away, a new one is created',
  )
  const fresh = tryOpen(path, deps)
  if ('damage' in fresh) {
    throw new CollectorError(`a new state file ${path} cannot be used (${fresh.damage}): check the disk`, {
      stage: 'ledger',
      code: 'state_damaged',
      reaction: 'hold',
    })
  }
  return stateFile(path, fresh.db, { asidePath, reason: found.damage })
}

/** The open database, or what is wrong with the file. Throws when the file is in use, or of a newer tailflux, or cannot be reached. */
function tryOpen(path: string, deps: OpenDeps, mustBeWhole = false): { db: DatabaseSync } | { damage: string } {
  let db: DatabaseSync | undefined
  try {
    const isNew = path === ':memory:' || (!mustBeWhole && makePrivateFile(path))
    const isInPlace = inPlace(path)
    // A read-only caller changes nothing.
    if (!mustBeWhole) tightenDatabase(path)
    db = new DatabaseSync(path)
    db.exec(
      'PRAGMA busy_timeout=0; PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=DELETE; PRAGMA synchronous=EXTRA',
    )
    // The first write takes the lock; the transaction is what proves that this file can be written.
    db.exec('BEGIN EXCLUSIVE')
    // Another process may have renamed the file just before: the lock on it would then be useless.
    if (!isInPlace()) throw inUse(path)
    const { migrations = MIGRATIONS } = deps
    const found = isNew ? { layout: 0 } : examine(db, path, newestLayout(migrations))
    if ('damage' in found) {
      db.exec('ROLLBACK')
      db.close()
      return found
    }
    if (isNew) {
      migrate(db, 0, migrations, (work) => work())
      const insert = db.prepare('INSERT INTO meta VALUES (?, ?)')
      insert.run('kind', KIND)
      insert.run('created', isoOf(deps.clock.now()))
    }
    // A read-only caller stays in this transaction.
    if (!mustBeWhole) db.exec('COMMIT')
    if (!isNew) upgrade(db, { path, layout: found.layout, migrations, mustBeWhole, log: deps.log })
    return { db }
  } catch (error) {
    try {
      db?.close()
    } catch {
      // It was never open; the first error is the one to report.
    }
    if (error instanceof CollectorError) throw error
    if (isDamageCode(sqliteCode(error))) return { damage: messageOf(error) }
    throw stateError(error, path, 'start tailflux again then')
  }
}

/** Returns a function that is true while the path leads to the same file as now. Throws a CollectorError when it is not a file. */
function inPlace(path: string): () => boolean {
  if (path === ':memory:') return () => true
  const stat = statSync(path)
  if (!stat.isFile()) {
    throw new CollectorError(`${path} is not a file: remove it, or set TAILFLUX_DATA_DIR to another folder`, {
      stage: 'ledger',
      code: 'state_failed',
      reaction: 'hold',
    })
  }
  return () => statSync(path, { throwIfNoEntry: false })?.ino === stat.ino
}

/** Brings an existing file to the newest layout. */
function upgrade(
  db: DatabaseSync,
  options: {
    path: string
    layout: number
    migrations: readonly Migration[]
    mustBeWhole: boolean
    log: OpenDeps['log']
  },
): void {
  const { path, layout, migrations } = options
  const newest = newestLayout(migrations)
  if (layout === newest) return
  let reached = layout
  try {
    migrate(db, layout, migrations, (work) => {
      if (!options.mustBeWhole) db.exec('BEGIN IMMEDIATE')
      work()
      if (!options.mustBeWhole) db.exec('COMMIT')
      reached += 1
    })
  } catch (error) {
    // Errors of the disk have texts of their own.
    if (sqliteCode(error) !== SQLITE.error && sqliteCode(error) !== undefined) throw error
    throw new CollectorError(
      `the state file ${path} cannot be brought from layout ${reached} to ${reached + 1} (${messageOf(error)}): run the version of tailflux that wrote it, or move the file away, then tailflux resumes from the watermark stored in the database`,
      { stage: 'ledger', code: 'state_failed', reaction: 'hold', cause: error },
    )
  }
  if (options.mustBeWhole) return
  const steps = migrations.filter((one) => one.layout > layout).map(({ what }) => what)
  options.log.info({ path, fromLayout: layout, toLayout: newest, steps }, 'state file migrated')
}

/** The layout of an existing file, or what is wrong with it. */
function examine(db: DatabaseSync, path: string, newest: number): { layout: number } | { damage: string } {
  const damaged = (damage: string) => ({ damage })
  if (statSync(path).size === 0) return damaged('the file is empty')
  const check = db.prepare('PRAGMA integrity_check(1)').get() as { integrity_check?: string } | undefined
  if (check?.integrity_check !== 'ok') return damaged(`integrity check: ${check?.integrity_check ?? 'no answer'}`)
  const hasMeta = db.prepare("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'meta'").get()
  if (!hasMeta) return damaged('it has no meta table')
  let rows: Map<string, string>
  try {
    rows = new Map(
      (db.prepare('SELECT key, value FROM meta').all() as { key: string; value: string }[]).map((row) => [
        row.key,
        row.value,
      ]),
    )
  } catch (error) {
    return damaged(`its meta table is foreign: ${messageOf(error)}`)
  }
  if (rows.get('kind') !== KIND) return damaged('it belongs to another application')
  const layout = Number(rows.get('schema'))
  if (layout > newest) {
    throw new CollectorError(
      `the state file ${path} was written by a newer tailflux (layout ${layout}, this version knows ${newest}): run that version, or move the file away`,
      { stage: 'ledger', code: 'state_damaged', reaction: 'hold' },
    )
  }
  return layout >= 1 && Number.isInteger(layout) ? { layout } : damaged(`its layout ${rows.get('schema')} is unknown`)
}

function stateFile(path: string, db: DatabaseSync, recovered: StateFile['recovered'], isReadOnly = false): StateFile {
  let isOpen = true
  return {
    path,
    db,
    recovered,
    transaction(work) {
      try {
        // A read-only caller is in one transaction from beginning to end.
        if (isReadOnly) return work()
        db.exec('BEGIN IMMEDIATE')
        const value = work()
        db.exec('COMMIT')
        return value
      } catch (error) {
        // With a full disk SQLite may have rolled back already.
        if (db.isTransaction && !isReadOnly) db.exec('ROLLBACK')
        throw sqliteCode(error) === undefined ? error : stateError(error, path, 'reading resumes automatically then')
      }
    },
    close() {
      if (isOpen && isReadOnly && db.isTransaction) db.exec('ROLLBACK')
      if (isOpen) db.close()
      isOpen = false
    },
  }
}
