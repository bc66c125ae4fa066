/** The embedded store: points in one SQLite file beside the service, for installations without InfluxDB. For the layout see store-file.ts. */

import type { StatementSync } from 'node:sqlite'
import type { Logger } from 'pino'
import { type Clock, DAY, MS } from '../../base/clock.ts'
import { CollectorError } from '../../base/errors.ts'
import { prepareExact } from '../../base/sqlite.ts'
import { tagValue } from '../../flatten/tag-value.ts'
import type { StoreRetention } from '../config.ts'
import { escapeTag } from '../line-protocol/escape.ts'
import { splitLine } from '../line-protocol/line-parts.ts'
import { linesOf } from '../line-protocol/line-spans.ts'
import type { Batch, Receipt, Sink, SinkMetrics, Unanswered } from '../sink.ts'
import { createSinkListeners } from '../sink-listeners.ts'
import { CHECKPOINT_SERIES, prepareCheckpoint } from './checkpoint-table.ts'
import { openStoreFile, type StoreFile, storeError } from './store-file.ts'

export { exportLines } from './export.ts'

export interface EmbeddedStore extends Sink {
  /** Number of points and series, and the time of the newest point, for the status page; undefined while the store cannot be read. */
  stats(): { points: number; series: number; newestNs: bigint | undefined } | undefined
}

/** Maximum ids of series in memory; a port scan makes a new one per point. */
const SERIES_CACHED_MAX = 50_000
const CLEAN_EVERY_MS = 600_000
/** Maximum rows that are removed at once, so that no batch waits long. */
const CLEAN_ROWS = 20_000
/** How long a write waits for another process that writes. */
const BUSY_MS_MAX = 30_000
const BUSY_PAUSE_MS = 50

interface Cached {
  readonly id: number
  /** As in the file. */
  day: number
}
interface Opened extends StoreFile {
  readonly sql: Record<'find' | 'add' | 'use' | 'insert' | 'update' | 'newest' | 'count', StatementSync>
  readonly checkpoint: ReturnType<typeof prepareCheckpoint>
  series: Map<string, Cached>
}

export function createEmbeddedStore(
  options: { path: string; retention: StoreRetention },
  deps: { clock: Clock; log: Logger; metrics: SinkMetrics },
): EmbeddedStore {
  const { clock, log, metrics } = deps
  const { path } = options
  const listeners = createSinkListeners()
  let file: Opened | undefined
  let cleanDueMs = 0

  function opened(): Opened {
    if (file?.isInPlace()) return file
    if (file !== undefined) {
      close()
      throw new CollectorError(
        `The embedded store ${path} was moved or removed while it was in use; a new one is created, and what the API still has is read again automatically. Do not move or remove it while tailflux runs.`,
        { stage: 'sink', code: 'db_unavailable', reaction: 'retry' },
      )
    }
    const made = openStoreFile(path)
    const { db } = made
    try {
      file = Object.assign(made, {
        series: new Map<string, Cached>(),
        checkpoint: prepareCheckpoint(db),
        sql: {
          find: db.prepare('SELECT id, day FROM series WHERE key = ?'),
          add: db.prepare('INSERT INTO series (key, day) VALUES (?, ?) RETURNING id, day'),
          use: db.prepare('UPDATE series SET day = ? WHERE id = ?'),
          insert: db.prepare('INSERT INTO point (ns, series, fields) VALUES (?, ?, ?) ON CONFLICT DO NOTHING'),
          update: db.prepare('UPDATE point SET fields = ?3 WHERE ns = ?1 AND series = ?2'),
          newest: prepareExact(db, 'SELECT max(watermark) AS ns FROM checkpoint'),
          count: db.prepare('UPDATE total SET points = points + ?, series = series + ?'),
        },
      })
    } catch (error) {
      db.close()
      throw storeError(path, error)
    }
    return file
  }

  function close(): void {
    const closing = file
    file = undefined
    closing?.db.close()
  }

  /** Runs `work` in one transaction; nothing stays half written. */
  function transaction<T>(work: (file: Opened) => T): T {
    const now = opened()
    try {
      now.db.exec('BEGIN IMMEDIATE')
      const value = work(now)
      now.db.exec('COMMIT')
      return value
    } catch (error) {
      const reason = storeError(path, error)
      if (now.db.isTransaction) now.db.exec('ROLLBACK')
      // Ids that were assigned in this transaction are invalid now.
      now.series.clear()
      if (reason.reaction !== 'retry') close()
      throw reason
    }
  }

  /** Retries while another process writes. */
  async function retryWhileBusy<T>(
    work: () => T,
    signal: AbortSignal,
    onFailed?: (error: CollectorError) => void,
  ): Promise<T> {
    const deadlineMs = clock.monotonicMs() + BUSY_MS_MAX
    while (true) {
      signal.throwIfAborted()
      try {
        return work()
      } catch (error) {
        if (error instanceof CollectorError) onFailed?.(error)
        const isBusy = error instanceof CollectorError && error.code === 'db_timeout'
        if (!isBusy || clock.monotonicMs() >= deadlineMs) throw error
        metrics.retried(error.code)
        await clock.sleep(BUSY_PAUSE_MS, signal)
      }
    }
  }

  /** The id of a series; `counts.series` grows when it is new. */
  function seriesOf(key: string, day: number, { sql, series }: Opened, counts: Counts): number {
    let known = series.get(key)
    if (known === undefined) {
      known = sql.find.get(key) as Cached | undefined
      if (known === undefined) {
        known = sql.add.get(key, day) as unknown as Cached
        counts.series += 1
      }
      if (series.size >= SERIES_CACHED_MAX) series.clear()
      series.set(key, known)
    }
    if (day > known.day) {
      sql.use.run(day, known.id)
      known.day = day
    }
    return known.id
  }

  /** The retention ends at the earlier of the local clock and the newest watermark: a clock that is a month ahead for a minute must not delete a
   * month of points. */
  function oldestKeptNs({ sql }: Opened): bigint {
    const { ns } = sql.newest.get() as { ns: bigint | null }
    const nowNs = clock.now()
    return (ns !== null && ns < nowNs ? ns : nowNs) - BigInt(options.retention.raw) * MS
  }

  function put(batch: Batch): Receipt {
    const sentMs = clock.monotonicMs()
    const text = Buffer.from(batch.bytes.buffer, batch.bytes.byteOffset, batch.bytes.length)
    const lines = linesOf(batch.bytes)
    return transaction((now) => {
      const oldestNs = oldestKeptNs(now)
      const counts = { points: 0, series: 0 }
      let expired = 0
      for (const { start, end, timestampNs } of lines) {
        if (timestampNs < oldestNs) {
          expired += 1
          continue
        }
        const { key, fields } = splitLine(text.toString('utf8', start, end - 1))
        const id = seriesOf(key, Number(timestampNs / DAY), now, counts)
        const { changes } = now.sql.insert.run(timestampNs, id, fields)
        if (changes === 0) now.sql.update.run(timestampNs, id, fields)
        else counts.points += 1
        if (key.startsWith(CHECKPOINT_SERIES)) now.checkpoint.put(key, timestampNs, fields)
      }
      if (counts.points + counts.series > 0) now.sql.count.run(counts.points, counts.series)
      return { written: lines.length - expired, rejected: 0, expired, sentMs }
    })
  }

  /** Removes points that are too old: one bounded step after each batch, until none is left. */
  function clean(): void {
    if (clock.monotonicMs() < cleanDueMs) return
    transaction((now) => {
      const { db, sql } = now
      const oldestNs = oldestKeptNs(now)
      const step = prepareExact(db, 'SELECT ns FROM point WHERE ns < ? ORDER BY ns LIMIT 1 OFFSET ?')
      const stepEnd = (step.get(oldestNs, CLEAN_ROWS) as { ns: bigint } | undefined)?.ns
      const points = Number(db.prepare('DELETE FROM point WHERE ns < ?').run(stepEnd ?? oldestNs).changes)
      const series = Number(
        db
          .prepare('DELETE FROM series WHERE id IN (SELECT id FROM series WHERE day < ? LIMIT ?)')
          .run(oldestNs / DAY, CLEAN_ROWS).changes,
      )
      now.checkpoint.drop(stepEnd ?? oldestNs)
      sql.count.run(-points, -series)
      if (series > 0) now.series.clear()
      if (stepEnd !== undefined || series === CLEAN_ROWS) return
      cleanDueMs = clock.monotonicMs() + CLEAN_EVERY_MS
      if (points > 0) log.debug({ points, series }, 'old points removed from the embedded store')
    })
  }

  function ask<T>(signal: AbortSignal, question: (checkpoint: Opened['checkpoint']) => T): T | Unanswered {
    signal.throwIfAborted()
    try {
      return question(opened().checkpoint)
    } catch (error) {
      close()
      return { cannotBeQueried: storeError(path, error).message }
    }
  }

  return {
    label: `embedded store ${path}`,
    async start() {
      opened()
    },
    async probe(signal, line) {
      if (line === undefined) await retryWhileBusy(() => transaction(() => undefined), signal)
      else await retryWhileBusy(() => put({ bytes: line, lineCount: 1, target: 'main' }), signal)
    },
    async write(batch, signal) {
      const beganMs = clock.monotonicMs()
      const hearing = batch.isBestEffort ? undefined : listeners
      const receipt = await retryWhileBusy(() => put(batch), signal, hearing?.failed)
      hearing?.succeeded(receipt.written)
      metrics.request('ok', clock.monotonicMs() - beganMs)
      metrics.written(receipt.written, batch.bytes.length)
      if (receipt.expired > 0) metrics.rejected(receipt.expired, 'expired')
      try {
        clean()
      } catch (error) {
        // The batch is stored. The next write reports what is wrong with the file.
        log.warn({ err: error }, 'old points could not be removed from the embedded store')
      }
      return receipt
    },
    listen: listeners.add,
    async checkpoint(tailnet, range, signal) {
      return ask(signal, ({ find }) => ({ points: find(escapeTag(tagValue(tailnet)), range) }))
    },
    async checkpointStates(tailnet, timeNs, signal) {
      return ask(signal, ({ states }) => ({ states: states(escapeTag(tagValue(tailnet)), timeNs) }))
    },
    stats() {
      try {
        const { db } = opened()
        const newest = prepareExact(db, 'SELECT max(ns) AS ns FROM point')
        const { points, series } = db.prepare('SELECT points, series FROM total').get() as unknown as Counts
        return { points, series, newestNs: (newest.get() as { ns: bigint | null }).ns ?? undefined }
      } catch {
        return undefined
      }
    },
    async stop() {
      close()
    },
  }
}

interface Counts {
  points: number
  series: number
}
