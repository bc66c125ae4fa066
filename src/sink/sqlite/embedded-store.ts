/** The embedded store: points in one SQLite file beside the service, for installations without InfluxDB. For the layout see store-file.ts. */

import type { StatementSync } from 'node:sqlite'
import type { Logger } from 'pino'
import { type Clock, MS } from '../../base/clock.ts'
import { CollectorError } from '../../base/errors.ts'
import { prepareExact } from '../../base/sqlite.ts'
import { tagValue } from '../../flatten/tag-value.ts'
import type { StoreRetention } from '../config.ts'
import { escapeTag } from '../line-protocol/escape.ts'
import { splitLine } from '../line-protocol/line-parts.ts'
import { linesOf } from '../line-protocol/line-spans.ts'
import { type Batch, type Receipt, type Sink, type SinkMetrics, targetOf, type Unanswered } from '../sink.ts'
import { createSinkListeners } from '../sink-listeners.ts'
import {
  type Counts,
  type MeasurementTable,
  measurementOf,
  measurementsIn,
  prepareMeasurement,
} from './measurement-table.ts'
import { openStoreFile, type StoreFile, storeError } from './store-file.ts'
import { newestIn, pointsIn } from './stored-points.ts'
import { findCheckpoints, findStates, type ReadPoints, WINDOW, watermarkIn } from './window-points.ts'

export { exportLines } from './export.ts'

export interface EmbeddedStore extends Sink {
  /** Number of points and series, and the time of the newest point, for the status page; undefined while the store cannot be read. */
  stats(): { points: number; series: number; newestNs: bigint | undefined } | undefined
}

const CLEAN_EVERY_MS = 600_000
/** Maximum rows that are removed at once, so that no batch waits long. */
const CLEAN_ROWS = 20_000
/** How long a write waits for another process that writes. */
const BUSY_MS_MAX = 30_000
const BUSY_PAUSE_MS = 50

interface Opened extends StoreFile {
  readonly total: Record<'count' | 'told' | 'watermark', StatementSync>
  readonly tables: Map<string, MeasurementTable>
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
        tables: new Map<string, MeasurementTable>(),
        total: {
          count: db.prepare('UPDATE total SET points = points + ?, series = series + ?'),
          told: db.prepare('UPDATE total SET watermark = max(coalesce(watermark, ?1), ?1)'),
          watermark: prepareExact(db, 'SELECT watermark AS ns FROM total'),
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
      // Tables and ids that were made in this transaction are gone.
      now.tables.clear()
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
        metrics.retried(error.code, BUSY_PAUSE_MS)
        await clock.sleep(BUSY_PAUSE_MS, signal)
      }
    }
  }

  /** Inside a transaction. */
  function tableOf(measurement: string, { db, tables }: Opened): MeasurementTable {
    const known = tables.get(measurement)
    if (known !== undefined) return known
    const made = prepareMeasurement(db, measurement)
    tables.set(measurement, made)
    return made
  }

  /** The retention ends at the earlier of the local clock and the newest watermark: a clock that is a month ahead for a minute must not delete a
   * month of points. */
  function oldestKeptNs({ total }: Opened): (measurement: string) => bigint {
    const { ns } = total.watermark.get() as { ns: bigint | null }
    const nowNs = clock.now()
    const untilNs = ns !== null && ns < nowNs ? ns : nowNs
    return (measurement) => untilNs - BigInt(options.retention[targetOf(measurement)]) * MS
  }

  function put(batch: Batch): Receipt {
    const sentMs = clock.monotonicMs()
    const text = Buffer.from(batch.bytes.buffer, batch.bytes.byteOffset, batch.bytes.length)
    const lines = linesOf(batch.bytes)
    return transaction((now) => {
      const oldestNsOf = oldestKeptNs(now)
      const counts = { points: 0, series: 0 }
      let expired = 0
      let [measurement, oldestNs] = ['', 0n]
      for (const { start, end, timestampNs } of lines) {
        const { key, fields } = splitLine(text.toString('utf8', start, end - 1))
        const next = measurementOf(key)
        if (next !== measurement) [measurement, oldestNs] = [next, oldestNsOf(next)]
        if (timestampNs < oldestNs) {
          expired += 1
          continue
        }
        tableOf(measurement, now).put(key, timestampNs, fields, counts)
        const watermark = measurement === WINDOW ? watermarkIn(fields) : undefined
        if (watermark !== undefined) now.total.told.run(watermark)
      }
      if (counts.points + counts.series > 0) now.total.count.run(counts.points, counts.series)
      return { written: lines.length - expired, rejected: 0, expired, sentMs }
    })
  }

  /** Removes points that are too old: one bounded step after each batch, until none is left. */
  function clean(): void {
    if (clock.monotonicMs() < cleanDueMs) return
    transaction((now) => {
      const oldestNsOf = oldestKeptNs(now)
      const counts = { points: 0, series: 0 }
      const isDone = measurementsIn(now.db).every((measurement) =>
        tableOf(measurement, now).removeBefore(oldestNsOf(measurement), CLEAN_ROWS, counts),
      )
      now.total.count.run(counts.points, counts.series)
      if (!isDone) return
      cleanDueMs = clock.monotonicMs() + CLEAN_EVERY_MS
      if (counts.points < 0)
        log.debug({ points: -counts.points, series: -counts.series }, 'old points removed from the embedded store')
    })
  }

  function ask<T>(signal: AbortSignal, question: (read: ReadPoints) => T): T | Unanswered {
    signal.throwIfAborted()
    try {
      const { db } = opened()
      return question((measurement, range) => pointsIn(db, { measurement, ...range }))
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
      return ask(signal, (read) => ({ points: findCheckpoints(read, escapeTag(tagValue(tailnet)), range) }))
    },
    async checkpointStates(tailnet, timeNs, signal) {
      return ask(signal, (read) => ({ states: findStates(read, escapeTag(tagValue(tailnet)), timeNs) }))
    },
    stats() {
      try {
        const { db } = opened()
        const { points, series } = db.prepare('SELECT points, series FROM total').get() as unknown as Counts
        return { points, series, newestNs: newestIn(db) }
      } catch {
        return undefined
      }
    },
    async stop() {
      close()
    },
  }
}
