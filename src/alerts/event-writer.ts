/** Events on their way to the database: one batch at a time, and they stay with us until it took them. What becomes of them is told by the log
 * alone: a database that takes no events takes points all the same. */

import type { Logger } from 'pino'
import { backoffAfter } from '../base/backoff.ts'
import type { Clock } from '../base/clock.ts'
import { CollectorError } from '../base/errors.ts'
import type { Sink } from '../sink/sink.ts'
import { pointOf } from './events.ts'

export interface EventWriter {
  /** A line takes the place of an older one of the same point. */
  add(line: Uint8Array): void
  /** Lines that the database has not taken yet, oldest first. */
  readonly lines: readonly Uint8Array[]
  /** Lines of an earlier process. */
  restore(lines: readonly Uint8Array[]): void
  /** Begins to write what is there, unless that is going on, or failed a short while ago. */
  write(): void
}

/** More are not kept, some hundred bytes each; the oldest go. A day of the past may be judged at once. */
const EVENTS_MAX = 20_000
const EVENTS_PER_BATCH = 1_000
const BACKOFF = { minMs: 5_000, maxMs: 300_000 }

export function createEventWriter(
  sink: Pick<Sink, 'write'>,
  deps: {
    readonly clock: Pick<Clock, 'monotonicMs'>
    readonly log: Logger
    /** A programmer's error. */
    readonly onBroken: (error: unknown) => void
  },
  signal: AbortSignal,
): EventWriter {
  const { clock, log } = deps
  const events = new Map<string, Uint8Array>()
  let isWriting = false
  let isFull = false
  let failures = 0
  let dueMs = Number.NEGATIVE_INFINITY

  function add(line: Uint8Array): void {
    const point = pointOf(line)
    // The newest last: what is written later counts.
    events.delete(point)
    events.set(point, line)
    const [oldest] = events.keys()
    if (events.size <= EVENTS_MAX || oldest === undefined) return
    events.delete(oldest)
    if (!isFull)
      log.warn({ eventCount: EVENTS_MAX }, 'the database takes no events: the oldest are left out from now on')
    isFull = true
  }

  async function writeAll(): Promise<void> {
    while (events.size > 0 && !signal.aborted) {
      const some = [...events].slice(0, EVENTS_PER_BATCH)
      const lines = some.map(([, line]) => line)
      const batch = {
        bytes: Buffer.concat(lines),
        lineCount: lines.length,
        target: 'main',
        isBestEffort: true,
      } as const
      await sink.write(batch, signal)
      // What came meanwhile about the same point is yet to be written.
      for (const [point, line] of some) if (events.get(point) === line) events.delete(point)
      isFull = false
      failures = 0
    }
  }

  function failed(error: unknown): void {
    if (signal.aborted) return
    if (!(error instanceof CollectorError)) return deps.onBroken(error)
    failures += 1
    const retryMs = backoffAfter(failures, BACKOFF)
    dueMs = clock.monotonicMs() + retryMs
    log.warn({ code: error.code, retryMs, err: error }, 'events cannot be written, tried again later')
  }

  return {
    add,
    get lines() {
      return [...events.values()]
    },
    restore(lines) {
      for (const line of lines) add(line)
    },
    write() {
      if (isWriting || events.size === 0 || signal.aborted || clock.monotonicMs() < dueMs) return
      isWriting = true
      void writeAll()
        .catch(failed)
        .finally(() => {
          isWriting = false
        })
    },
  }
}
