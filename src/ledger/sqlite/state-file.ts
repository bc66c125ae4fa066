/** The state file: one SQLite database that only one process has open.
 *
 * Layout: `meta` (key, value) with kind, schema and created; the ledger's, the names' and others' tables beside it, each made by its component.
 * Invariants: a file without its meta row is not ours or not whole (SQLite opens a file of zero length as an empty database without a word).
 * `locking_mode=EXCLUSIVE` keeps a lock of the kernel from the first read to the end of the process, however it ends. `synchronous=EXTRA`
 * with a rollback journal survives a power cut at every instant, also of the journal's directory entry; WAL would be faster, but a few
 * commits per window do not need it, and one file is easier to carry about than three.
 * Recovery: a damaged file is renamed to `<name>.corrupt-<time>` and an empty one takes its place; what it knew comes back from the mirror
 * in the database (pipeline/reconcile). A file of a newer tailflux is left alone. */
import { existsSync, renameSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type { Logger } from 'pino'
import type { Clock } from '../../base/clock.ts'
import { CollectorError } from '../../base/errors.ts'
import { isoOf } from '../../base/format.ts'
import { makePrivateFile, makePrivateFolder, tightenDatabase } from '../../base/private-file.ts'
import { spaceText } from './disk-space.ts'

export interface StateFile {
  readonly path: string
  readonly db: DatabaseSync
  /** Set when a damaged file was found and set aside. */
  readonly recovered: { readonly asidePath: string; readonly reason: string } | undefined
  /** Runs `work` in one transaction: durable when it returns, undone when it throws. SQLite's errors become CollectorErrors. */
  transaction<T>(work: () => T): T
  /** Idempotent. */
  close(): void
}

const KIND = 'tailflux state'
const SCHEMA = 1

/** Opens or creates the file and takes its lock. Throws a CollectorError: `state_locked` (another process has it), `state_damaged` (a newer
 * tailflux wrote it, or it cannot be set aside), `state_full`, `state_failed`. With `mustBeWhole` nothing is created or set aside: for those
 * who only look. */
export function openStateFile(
  options: { path: string; mustBeWhole?: boolean },
  deps: { clock: Clock; log: Logger },
): StateFile {
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
  const found = tryOpen(path, options.mustBeWhole)
  if ('db' in found) return stateFile(path, found.db, undefined)
  if (options.mustBeWhole) {
    throw new CollectorError(
      `the state file ${path} is damaged (${found.damage}): \`tailflux run\` sets it aside and goes on from the database`,
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
      `the state file ${path} is damaged (${found.damage}) and cannot be set aside: move it away by hand`,
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
    'state file was damaged and set aside, a new one takes its place',
  )
  const fresh = tryOpen(path)
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
function tryOpen(path: string, mustBeWhole = false): { db: DatabaseSync } | { damage: string } {
  let db: DatabaseSync | undefined
  try {
    const isNew = path === ':memory:' || (!mustBeWhole && makePrivateFile(path))
    const isInPlace = inPlace(path)
    // Whoever only looks changes nothing.
    if (!mustBeWhole) tightenDatabase(path)
    db = new DatabaseSync(path)
    db.exec(
      'PRAGMA busy_timeout=0; PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=DELETE; PRAGMA synchronous=EXTRA',
    )
    // The first write takes the lock; the transaction is what proves that this file can be written.
    db.exec('BEGIN EXCLUSIVE')
    // Another process may have set the file aside just before: its lock would then keep nobody out.
    if (!isInPlace()) throw inUse(path)
    const damage = isNew ? undefined : examine(db, path)
    if (damage !== undefined) {
      db.exec('ROLLBACK')
      db.close()
      return { damage }
    }
    if (isNew) {
      db.exec('CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT')
      const insert = db.prepare('INSERT INTO meta VALUES (?, ?)')
      insert.run('kind', KIND)
      insert.run('schema', String(SCHEMA))
      insert.run('created', new Date().toISOString())
    }
    db.exec('COMMIT')
    return { db }
  } catch (error) {
    try {
      db?.close()
    } catch {
      // Closing what never opened: the first error is the one that counts.
    }
    if (error instanceof CollectorError) throw error
    const code = sqliteCode(error)
    if (code === 11 || code === 26) return { damage: messageOf(error) }
    throw stateError(error, path, 'start tailflux again then')
  }
}

/** Tells whether the path still leads to the file that is there now. Throws a CollectorError when that is no file. */
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

/** What is wrong with an existing file, or undefined. */
function examine(db: DatabaseSync, path: string): string | undefined {
  if (statSync(path).size === 0) return 'the file is empty'
  const check = db.prepare('PRAGMA integrity_check(1)').get() as { integrity_check?: string } | undefined
  if (check?.integrity_check !== 'ok') return `integrity check: ${check?.integrity_check ?? 'no answer'}`
  const hasMeta = db.prepare("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'meta'").get()
  if (!hasMeta) return 'it has no meta table'
  let rows: Map<string, string>
  try {
    rows = new Map(
      (db.prepare('SELECT key, value FROM meta').all() as { key: string; value: string }[]).map((row) => [
        row.key,
        row.value,
      ]),
    )
  } catch (error) {
    return `its meta table is foreign: ${messageOf(error)}`
  }
  if (rows.get('kind') !== KIND) return 'it belongs to another application'
  const schema = Number(rows.get('schema'))
  if (schema > SCHEMA) {
    throw new CollectorError(
      `the state file ${path} was written by a newer tailflux (schema ${schema}): run that version, or move the file away`,
      {
        stage: 'ledger',
        code: 'state_damaged',
        reaction: 'hold',
      },
    )
  }
  return schema === SCHEMA ? undefined : `its schema ${rows.get('schema')} is unknown`
}

function stateFile(path: string, db: DatabaseSync, recovered: StateFile['recovered']): StateFile {
  let isOpen = true
  return {
    path,
    db,
    recovered,
    transaction(work) {
      try {
        db.exec('BEGIN IMMEDIATE')
        const value = work()
        db.exec('COMMIT')
        return value
      } catch (error) {
        // After a full disk SQLite may have rolled back by itself.
        if (db.isTransaction) db.exec('ROLLBACK')
        throw sqliteCode(error) === undefined ? error : stateError(error, path, 'reading goes on by itself then')
      }
    },
    close() {
      if (isOpen) db.close()
      isOpen = false
    },
  }
}

/** SQLite's primary result code (https://www.sqlite.org/rescode.html), when the error is SQLite's. */
function sqliteCode(error: unknown): number | undefined {
  const code = (error as { errcode?: unknown }).errcode
  return typeof code === 'number' ? code & 0xff : undefined
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

function inUse(path: string, cause?: unknown): CollectorError {
  return new CollectorError(
    `the state file ${path} is in use by another tailflux: stop that one, or give this one a data directory of its own (TAILFLUX_DATA_DIR)`,
    { stage: 'ledger', code: 'state_locked', reaction: 'hold', cause },
  )
}

/** `afterwards`: what follows when a full disk has room again. */
function stateError(error: unknown, path: string, afterwards: string): CollectorError {
  const code = sqliteCode(error)
  if (code === 5 || code === 6) return inUse(path, error)
  // SQLite's, and the system's when the file is made.
  if (code === 13 || (error as { code?: unknown }).code === 'ENOSPC') {
    return new CollectorError(
      `no space left for the state file ${path}: ${spaceText(dirname(path))}. Free space on that disk; ${afterwards}`,
      { stage: 'ledger', code: 'state_full', reaction: 'retry', cause: error },
    )
  }
  const isDamage = code === 11 || code === 26
  return new CollectorError(
    `the state file ${path} cannot be used (${messageOf(error)}): check the disk and its permissions`,
    {
      stage: 'ledger',
      code: isDamage ? 'state_damaged' : 'state_failed',
      reaction: isDamage ? 'hold' : 'retry',
      cause: error,
    },
  )
}
