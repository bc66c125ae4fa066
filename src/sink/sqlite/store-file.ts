/** The file of the embedded store.
 *
 *   series_M, points_M   of each measurement M (measurement-table.ts)
 *   total                one row: how many points and series there are, and the highest watermark that was written
 *
 * Tables per measurement, because raw points are many and kept for days, and the others are few and kept for years: each is read and removed for itself.
 *
 * WAL, because export and status page read while the service writes; `synchronous=FULL` makes each commit durable. A write that fails is rolled
 * back as a whole, and the file is opened again for the next one. */
import { existsSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { CollectorError, messageOf } from '../../base/errors.ts'
import { makePrivateFile, makePrivateFolder, tightenDatabase } from '../../base/private-file.ts'
import { isBusyCode, isDamageCode, sqliteCode } from '../../base/sqlite.ts'
import { bringToLayout, LAYOUT } from './layouts.ts'

/** The WAL file shrinks to this size after a large transaction. */
const WAL_BYTES_MAX = 64 << 20

export interface StoreFile {
  readonly db: DatabaseSync
  /** False when the file was moved or removed: writes would be lost with it. */
  isInPlace(): boolean
}

/** Opens the file; creates it and its folder if they are missing. Throws a CollectorError. */
export function openStoreFile(path: string): StoreFile {
  let db: DatabaseSync | undefined
  try {
    makePrivateFolder(dirname(path))
    makePrivateFile(path)
    tightenDatabase(path)
    // SQLite must not wait for a lock: that would block the whole service.
    db = new DatabaseSync(path, { timeout: 0 })
    db.exec(
      `PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cache_size=-16000; PRAGMA journal_size_limit=${WAL_BYTES_MAX}`,
    )
    createOrMigrate(db, path)
    const { ino } = statSync(path)
    return { db, isInPlace: () => statSync(path, { throwIfNoEntry: false })?.ino === ino }
  } catch (error) {
    db?.close()
    throw storeError(path, error)
  }
}

/** Opens the file of a store, perhaps of a running service, for reading. Throws a CollectorError. */
export function openStoreReader(path: string): DatabaseSync {
  if (!existsSync(path)) {
    throw new CollectorError(`There is no embedded store at ${path}; check TAILFLUX_DATA_DIR.`, {
      stage: 'sink',
      code: 'db_not_found',
      reaction: 'hold',
    })
  }
  let db: DatabaseSync | undefined
  try {
    db = new DatabaseSync(path, { readOnly: true, timeout: 5_000 })
    // Only the service brings a file to the layout of today; an export reads older ones too.
    if (!isOldLayout(db)) checkLayout(db, path)
    return db
  } catch (error) {
    db?.close()
    throw storeError(path, error)
  }
}

/** One table for all measurements, which this version reads and replaces. */
export function isOldLayout(db: DatabaseSync): boolean {
  const version = versionOf(db)
  return version > 0 && version < LAYOUT
}

function createOrMigrate(db: DatabaseSync, path: string): void {
  if (versionOf(db) < LAYOUT) {
    // Another process may do the same now, so the version is read again with the lock.
    db.exec('BEGIN IMMEDIATE')
    try {
      const version = versionOf(db)
      // A database of another program is left as it is.
      if (version > 0 ? version < LAYOUT : isEmpty(db)) bringToLayout(db, version)
      db.exec('COMMIT')
    } catch (error) {
      db.exec('ROLLBACK')
      throw error
    }
  }
  checkLayout(db, path)
}

function checkLayout(db: DatabaseSync, path: string): void {
  const version = versionOf(db)
  if (version === LAYOUT) return
  throw new CollectorError(
    `The embedded store ${path} has layout ${version}, and this version of tailflux knows ${LAYOUT}. Use the version that wrote it, or move the file away; what the API still has is read again automatically.`,
    { stage: 'sink', code: 'db_misconfigured', reaction: 'hold' },
  )
}

function isEmpty(db: DatabaseSync): boolean {
  return (db.prepare('SELECT count(*) AS tables FROM sqlite_schema').get() as { tables: number }).tables === 0
}

function versionOf(db: DatabaseSync): number {
  return (db.prepare('PRAGMA user_version').get() as { user_version: number }).user_version
}

/** An error of SQLite or the file system, as an error for the operator. */
export function storeError(path: string, error: unknown): CollectorError {
  if (error instanceof CollectorError) return error
  const code = sqliteCode(error)
  const text = messageOf(error)
  if (isBusyCode(code)) {
    return new CollectorError(
      `The embedded store ${path} is busy (${text}); the write is retried. Stop the other process that writes to it.`,
      { stage: 'sink', code: 'db_timeout', reaction: 'retry', cause: error },
    )
  }
  if (isDamageCode(code)) {
    return new CollectorError(
      `The embedded store ${path} is damaged (${text}). Move the file away; what the API still has is read again automatically.`,
      { stage: 'sink', code: 'db_misconfigured', reaction: 'hold', cause: error },
    )
  }
  return new CollectorError(
    `The embedded store ${path} cannot be used (${text}). Free space, fix the permissions, or set INFLUX_URL.`,
    { stage: 'sink', code: 'db_unavailable', reaction: 'hold', cause: error },
  )
}
