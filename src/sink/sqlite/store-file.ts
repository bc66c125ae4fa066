/** The file of the embedded store.
 *
 *   series   id, key: measurement and tags as in the line; day: of its newest point, in days since the epoch
 *   point    (ns, series) is the identity of a point, as in InfluxDB: writing again overwrites; fields as in the line
 *   checkpoint, checkpoint_state   the points of `tailflux_window` once more (checkpoint-table.ts)
 *   total    one row: how many points and series there are
 *
 * So `export` can return each line byte for byte. Points are ordered by time, because they are written, read and removed in that order. A series is
 * kept until its day is older than the retention.
 *
 * WAL, because export and status page read while the service writes; `synchronous=FULL` makes each commit durable. A write that fails is rolled
 * back as a whole, and the file is opened again for the next one. */
import { existsSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { CollectorError, messageOf } from '../../base/errors.ts'
import { makePrivateFile, makePrivateFolder, tightenDatabase } from '../../base/private-file.ts'
import { isBusyCode, isDamageCode, sqliteCode } from '../../base/sqlite.ts'
import { CHECKPOINT_SCHEMA, CHECKPOINT_STATE_SCHEMA, copyCheckpoints } from './checkpoint-table.ts'

const LAYOUT = 3
const SCHEMA = `
CREATE TABLE series (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, day INTEGER NOT NULL) STRICT;
CREATE TABLE point (ns INTEGER, series INTEGER, fields TEXT NOT NULL, PRIMARY KEY (ns, series)) STRICT, WITHOUT ROWID;
CREATE TABLE total (points INTEGER NOT NULL, series INTEGER NOT NULL) STRICT;
INSERT INTO total VALUES (0, 0);
${CHECKPOINT_SCHEMA}
PRAGMA user_version = ${LAYOUT};
`
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
    // All layouts store points in the same way; only the service migrates the file.
    if (![1, 2].includes(versionOf(db))) checkLayout(db, path)
    return db
  } catch (error) {
    db?.close()
    throw storeError(path, error)
  }
}

function createOrMigrate(db: DatabaseSync, path: string): void {
  if (versionOf(db) < LAYOUT) {
    // Another process may do the same now, so the version is read again with the lock.
    db.exec('BEGIN IMMEDIATE')
    try {
      const version = versionOf(db)
      if (version === 0) db.exec(SCHEMA)
      else if (version < LAYOUT) {
        // Both older layouts kept only the highest checkpoint of each tailnet.
        db.exec(`DROP TABLE mirror; ${CHECKPOINT_SCHEMA}${CHECKPOINT_STATE_SCHEMA}`)
        copyCheckpoints(db)
        db.exec(`PRAGMA user_version = ${LAYOUT}`)
      }
      db.exec('COMMIT')
    } catch (error) {
      db.exec('ROLLBACK')
      throw error
    }
  }
  checkLayout(db, path)
  db.exec(CHECKPOINT_STATE_SCHEMA)
}

function checkLayout(db: DatabaseSync, path: string): void {
  const version = versionOf(db)
  if (version === LAYOUT) return
  throw new CollectorError(
    `The embedded store ${path} has layout ${version}, and this version of tailflux knows ${LAYOUT}. Use the version that wrote it, or move the file away; what the API still has is read again automatically.`,
    { stage: 'sink', code: 'db_misconfigured', reaction: 'hold' },
  )
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
