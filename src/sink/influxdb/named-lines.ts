/** Handles the lines of a batch that the database does not accept at once. One batch is one search (bisection.ts). This file keeps what lasts
 * longer than a search: the maximum of bytes, the brake, and what an incomplete search has found. */
import type { Logger } from 'pino'
import type { Clock } from '../../base/clock.ts'
import type { CollectorError } from '../../base/errors.ts'
import type { Batch, DeadLetters, Receipt, SinkMetrics } from '../sink.ts'
import { createBrake } from './backpressure.ts'
import { type LineSender, searchBatch } from './bisection.ts'
import { createKnown } from './known-values.ts'
import type { WriteOutcome } from './response-policy.ts'

type Counts = Pick<Receipt, 'written' | 'rejected' | 'expired'>

export interface LinesDeps {
  readonly label: string
  readonly clock: Clock
  readonly log: Logger
  readonly metrics: SinkMetrics
  readonly deadLetters: Pick<DeadLetters, 'append'>
}

export interface Lines {
  /** Rejects with `db_limit` after everything that fits was stored. */
  deliver(batch: Batch, deadlineMs: number, sender: LineSender): Promise<Counts>
}

/** A proxy that refuses everything must not reduce us to one line per request forever. */
const BYTES_CEILING_MIN = 16_384
/** After this time a larger batch is tried again: the database may have memory again, or the proxy a higher limit. */
const CEILING_MS = { passing: 600_000, standing: 3_600_000 } as const
/** Refused lines that are remembered from incomplete searches. */
const FOUND_MAX = 20_000

export function createLines(deps: LinesDeps): Lines {
  const { clock, log, metrics } = deps
  const brake = createBrake(deps.label)
  const known = createKnown()
  /** By the text of the line: why it was refused. The next attempt with the same lines removes them at once, so each attempt gets further. */
  const found = new Map<string, string>()
  let ceiling = { bytes: Number.POSITIVE_INFINITY, untilMs: 0 }

  const bytesMax = () => (clock.monotonicMs() < ceiling.untilMs ? ceiling.bytes : Number.POSITIVE_INFINITY)

  function lowerCeiling(bytes: number, isPassing: boolean): void {
    const lower = Math.max(BYTES_CEILING_MIN, Math.floor(bytes / 2))
    if (lower >= bytesMax()) return
    ceiling = { bytes: lower, untilMs: clock.monotonicMs() + CEILING_MS[isPassing ? 'passing' : 'standing'] }
    log.warn({ bytesCeiling: lower }, 'database refused a batch of this size, using smaller batches')
  }

  return {
    async deliver(batch, deadlineMs, sender) {
      if (batch.bytes.length <= bytesMax() && found.size === 0) {
        const outcome = await sender.send(batch.bytes)
        if (outcome.kind === 'ack') {
          if (brake.isWatching() && Buffer.from(batch.bytes).includes(',node=')) brake.taken()
          return { written: batch.lineCount, rejected: 0, expired: 0 }
        }
        return await settle(batch, deadlineMs, sender, outcome)
      }
      return await settle(batch, deadlineMs, sender)
    },
  }

  /** Nothing goes to the dead letters before the whole batch is settled, so a batch that fails leaves nothing there. */
  async function settle(batch: Batch, deadlineMs: number, sender: LineSender, first?: WriteOutcome): Promise<Counts> {
    const result = await searchBatch({
      ...{ batch, deadlineMs, sender, first, found, brake, known, clock, bytesMax, lowerCeiling },
      label: deps.label,
      onUnfinished: remember,
    })
    const { letters, written, expired } = result
    if (letters.length > 0) {
      const fresh = await deps.deadLetters.append(letters)
      for (const { text } of letters) found.delete(text)
      if (fresh.length > 0) {
        metrics.rejected(fresh.length, 'rejected')
        log.error(
          { lineCount: fresh.length, reason: fresh[0]?.reason, detail: fresh[0]?.detail, node: fresh[0]?.node },
          'database refused lines, they are in the dead letters',
        )
      }
    }
    if (expired > 0) {
      metrics.rejected(expired, 'expired')
      log.info({ lineCount: expired }, 'database dropped lines older than its retention')
    }
    return { written, rejected: letters.length, expired }
  }

  function remember(refused: ReadonlyMap<string, string>, error: CollectorError): void {
    for (const [text, detail] of refused) if (found.size < FOUND_MAX) found.set(text, detail)
    log.warn({ lineCount: refused.size, err: error }, 'search for refused lines continues with the next attempt')
  }
}
