/** Events on their way to the database: one batch at a time, and they stay with us until it took them. */
import type { Logger } from 'pino'
import { CollectorError } from '../errors.ts'
import type { Sink } from '../sink/sink.ts'

export interface EventWriter {
  add(line: Uint8Array): void
  /** Lines that the database has not taken yet, oldest first. */
  readonly lines: readonly Uint8Array[]
  /** Lines of an earlier process. */
  restore(lines: readonly Uint8Array[]): void
  /** Begins to write what is there, unless that is going on. */
  write(): void
}

/** More are not kept; the oldest go. */
const EVENTS_MAX = 1_000

export function createEventWriter(sink: Pick<Sink, 'write'>, log: Logger, signal: AbortSignal): EventWriter {
  let events: readonly Uint8Array[] = []
  let isWriting = false
  return {
    add(line) {
      events = [...events, line].slice(-EVENTS_MAX)
    },
    get lines() {
      return events
    },
    restore(lines) {
      events = lines
    },
    write() {
      if (isWriting || events.length === 0 || signal.aborted) return
      isWriting = true
      const some = events
      sink
        .write({ bytes: Buffer.concat(some), lineCount: some.length, target: 'main' }, signal)
        .then(
          () => {
            events = events.filter((line) => !some.includes(line))
          },
          (error: unknown) => {
            if (signal.aborted) return
            if (!(error instanceof CollectorError)) throw error
            log.warn({ code: error.code, err: error }, 'events cannot be written, tried again later')
          },
        )
        .finally(() => {
          isWriting = false
        })
    },
  }
}
