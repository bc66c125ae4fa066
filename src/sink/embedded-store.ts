/** The embedded store: points in one SQLite file beside the service, for people who have no InfluxDB yet.
 *
 * Layout: `series` (id, key: measurement and tags as in the line) and `point` (series, ns, fields as in the line), whose primary key is the
 * identity of a point, as in InfluxDB: writing again overwrites. So a line can be given back byte for byte, which is what `export` does.
 * WAL, because readers (export, status page) look in while the service writes; `synchronous=FULL` makes each receipt durable. */
import { mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { DatabaseSync, type StatementSync } from 'node:sqlite'
import type { Logger } from 'pino'
import { type Clock, MS } from '../clock.ts'
import { CollectorError } from '../errors.ts'
import { linesOf } from './line-spans.ts'
import type { Mirror, Sink, SinkMetrics } from './sink.ts'

export interface StoredPoint {
  readonly series: string
  readonly fields: string
  readonly ns: bigint
}

export interface EmbeddedStore extends Sink {
  /** Points and series held, and the time of the newest flow, for the status page. */
  stats(): { points: number; series: number; newestNs: bigint | undefined }
}

const SCHEMA = `
CREATE TABLE IF NOT EXISTS series (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE IF NOT EXISTS point (series INTEGER, ns INTEGER, fields TEXT NOT NULL, PRIMARY KEY (series, ns)) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS point_ns ON point (ns);
`
/** Ids of series kept in memory; a port scan makes a new one per point, so there must be an end. */
const SERIES_CACHED_MAX = 50_000
const CLEAN_EVERY_MS = 600_000
const CLEAN_ROWS = 20_000

export function createEmbeddedStore(
  options: { path: string; retentionMs: number },
  deps: { clock: Clock; log: Logger; metrics: SinkMetrics },
): EmbeddedStore {
  const { clock, metrics } = deps
  const label = `embedded store ${options.path}`
  let db: DatabaseSync | undefined
  let sql: { find: StatementSync; add: StatementSync; put: StatementSync } | undefined
  let cached = new Map<string, number>()
  let cleanDueMs = 0

  function opened(): { db: DatabaseSync; sql: NonNullable<typeof sql> } {
    if (db && sql) return { db, sql }
    try {
      if (options.path !== ':memory:') mkdirSync(dirname(options.path), { recursive: true })
      db = new DatabaseSync(options.path, { timeout: 5_000 })
      db.exec(`PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cache_size=-16000; ${SCHEMA}`)
      sql = {
        find: db.prepare('SELECT id FROM series WHERE key = ?'),
        add: db.prepare('INSERT INTO series (key) VALUES (?) RETURNING id'),
        put: db.prepare('INSERT INTO point VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET fields = excluded.fields'),
      }
      return { db, sql }
    } catch (error) {
      db?.close()
      db = undefined
      throw storeError(error)
    }
  }

  function storeError(error: unknown): CollectorError {
    if (error instanceof CollectorError) return error
    const code = typeof error === 'object' && error !== null && 'errcode' in error ? Number(error.errcode) & 0xff : 0
    const text = error instanceof Error ? error.message : String(error)
    if (code === 5 || code === 6) {
      return new CollectorError(`${label} is busy (${text}); it is tried again. Does another process write to it?`, {
        stage: 'sink',
        code: 'db_timeout',
        reaction: 'retry',
        cause: error,
      })
    }
    if (code === 11 || code === 26) {
      return new CollectorError(
        `${label} is damaged (${text}). Move the file away; what the API still has is read again by itself.`,
        {
          stage: 'sink',
          code: 'db_misconfigured',
          reaction: 'hold',
          cause: error,
        },
      )
    }
    return new CollectorError(
      `${label} cannot be written (${text}). Free space, mend the permissions, or set INFLUX_URL.`,
      {
        stage: 'sink',
        code: 'db_unavailable',
        reaction: 'hold',
        cause: error,
      },
    )
  }

  /** Runs `work` in one transaction; SQLite's errors become CollectorErrors and nothing stays half written. */
  function transaction<T>(work: (parts: ReturnType<typeof opened>) => T): T {
    const parts = opened()
    try {
      parts.db.exec('BEGIN IMMEDIATE')
      const value = work(parts)
      parts.db.exec('COMMIT')
      return value
    } catch (error) {
      if (parts.db.isTransaction) parts.db.exec('ROLLBACK')
      // Ids handed out in this transaction are gone with it.
      cached = new Map()
      throw storeError(error)
    }
  }

  function idOf(key: string, { find, add }: NonNullable<typeof sql>): number {
    const known = cached.get(key)
    if (known !== undefined) return known
    const row = (find.get(key) ?? add.get(key)) as { id: number }
    if (cached.size >= SERIES_CACHED_MAX) cached = new Map()
    cached.set(key, row.id)
    return row.id
  }

  /** Retention, a bounded number of rows at a time so that no batch waits long. */
  function clean(): void {
    if (clock.monotonicMs() < cleanDueMs) return
    const oldestNs = clock.now() - BigInt(options.retentionMs) * MS
    transaction((parts) => {
      const gone = parts.db
        .prepare('DELETE FROM point WHERE (series, ns) IN (SELECT series, ns FROM point WHERE ns < ? LIMIT ?)')
        .run(oldestNs, CLEAN_ROWS)
      if (Number(gone.changes) === CLEAN_ROWS) return
      parts.db.exec('DELETE FROM series WHERE id NOT IN (SELECT DISTINCT series FROM point)')
      cached = new Map()
      cleanDueMs = clock.monotonicMs() + CLEAN_EVERY_MS
    })
  }

  return {
    label,
    async start() {
      opened()
    },
    async probe() {
      transaction(() => undefined)
    },
    async write(batch, signal) {
      signal.throwIfAborted()
      const beganMs = clock.monotonicMs()
      const buffer = Buffer.from(batch.bytes.buffer, batch.bytes.byteOffset, batch.bytes.length)
      const lines = linesOf(batch.bytes)
      const oldestNs = clock.now() - BigInt(options.retentionMs) * MS
      let expired = 0
      transaction((parts) => {
        for (const { start, end, timestampNs } of lines) {
          if (timestampNs < oldestNs) {
            expired += 1
            continue
          }
          const { series, fields } = partsOf(buffer.toString('utf8', start, end - 1))
          parts.sql.put.run(idOf(series, parts.sql), timestampNs, fields)
        }
      })
      clean()
      const written = lines.length - expired
      metrics.request('ok', clock.monotonicMs() - beganMs)
      metrics.written(written, batch.bytes.length)
      if (expired > 0) metrics.rejected(expired, 'expired')
      return { written, rejected: 0, expired }
    },
    async lastMirror(tailnet) {
      let found: Mirror | undefined
      for (const point of pointsOf(opened().db, { measurement: 'tailflux_window' })) {
        if (!point.series.endsWith(`,tailnet=${tailnet.replace(/[ ,=]/g, '\\$&')}`)) continue
        const watermarkNs = integerOf(point.fields, 'watermark')
        const ackedNs = integerOf(point.fields, 'acked') ?? 0n
        if (watermarkNs === undefined) continue
        found = {
          watermarkNs: found && found.watermarkNs > watermarkNs ? found.watermarkNs : watermarkNs,
          ackedNs: found && found.ackedNs > ackedNs ? found.ackedNs : ackedNs,
        }
      }
      return found
    },
    stats() {
      const { db: open } = opened()
      const newest = open.prepare('SELECT max(ns) AS ns FROM point')
      newest.setReadBigInts(true)
      const count = (table: string) =>
        Number((open.prepare(`SELECT count(*) AS n FROM ${table}`).get() as { n: number }).n)
      return {
        points: count('point'),
        series: count('series'),
        newestNs: (newest.get() as { ns: bigint | null }).ns ?? undefined,
      }
    },
    async stop() {
      db?.close()
      db = undefined
      sql = undefined
      cached = new Map()
    },
  }
}

/** Lines of a store file, oldest first, byte for byte as they were written. Reads beside a running service. `fromNs` and `toNs` inclusive. */
export function* exportLines(
  path: string,
  range: { fromNs?: bigint; toNs?: bigint; measurement?: string } = {},
): Iterable<string> {
  const db = new DatabaseSync(path, { readOnly: true, timeout: 5_000 })
  try {
    for (const { series, fields, ns } of pointsOf(db, range)) yield `${series} ${fields} ${ns}\n`
  } finally {
    db.close()
  }
}

function* pointsOf(
  db: DatabaseSync,
  range: { fromNs?: bigint; toNs?: bigint; measurement?: string },
): Iterable<StoredPoint> {
  const wanted = range.measurement
  const ids = wanted === undefined ? '' : ' AND series IN (SELECT id FROM series WHERE key >= ? AND key < ?)'
  const rows = db.prepare(
    `SELECT key, fields, ns FROM point JOIN series ON series.id = point.series WHERE ns BETWEEN ? AND ?${ids} ORDER BY ns`,
  )
  rows.setReadBigInts(true)
  const bounds = [range.fromNs ?? -(1n << 63n), range.toNs ?? (1n << 63n) - 1n]
  const names = wanted === undefined ? [] : [`${wanted},`, `${wanted}-`]
  for (const row of rows.iterate(...bounds, ...names)) {
    yield { series: row['key'] as string, fields: row['fields'] as string, ns: row['ns'] as bigint }
  }
}

/** Splits one of our own lines: the series ends at the first blank that no backslash escapes, the fields at the last blank. */
function partsOf(line: string): { series: string; fields: string } {
  const last = line.lastIndexOf(' ')
  let blank = line.indexOf(' ')
  while (line[blank - 1] === '\\') blank = line.indexOf(' ', blank + 1)
  return { series: line.slice(0, blank), fields: line.slice(blank + 1, last) }
}

/** The value of an integer field of one of our own lines. */
export function integerOf(fields: string, name: string): bigint | undefined {
  const found = new RegExp(`(?:^|,)${name}=(-?\\d+)i`).exec(fields)?.[1]
  return found === undefined ? undefined : BigInt(found)
}
