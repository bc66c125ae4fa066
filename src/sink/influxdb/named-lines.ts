/** What becomes of the lines of a batch that the database does not simply take. One batch is one search (influx-search.ts); here is what outlasts
 * it: the ceiling of bytes, the brake, and what a search that had to end has found. */
import type { Logger } from 'pino'
import type { Clock } from '../../base/clock.ts'
import type { CollectorError } from '../../base/errors.ts'
import type { Batch, DeadLetters, Receipt, SinkMetrics } from '../sink.ts'
import { createBrake } from './backpressure.ts'
import { searchBatch, type Way } from './bisection.ts'
import { createKnown } from './known-values.ts'
import type { Verdict } from './response-policy.ts'

type Counts = Pick<Receipt, 'written' | 'rejected' | 'expired'>

export interface LinesDeps {
  readonly label: string
  readonly clock: Clock
  readonly log: Logger
  readonly metrics: SinkMetrics
  readonly deadLetters: Pick<DeadLetters, 'append'>
}

export interface Lines {
  /** Rejects with `db_limit` when everything is stored that fits. */
  deliver(batch: Batch, deadlineMs: number, way: Way): Promise<Counts>
}

/** A proxy that refuses everything must not leave us with one line per request for ever. */
const BYTES_CEILING_MIN = 16_384
/** After so long a larger batch is tried again: a database that was short of memory, or a proxy that was set up anew. */
const CEILING_MS = { passing: 600_000, standing: 3_600_000 } as const
/** Refused lines that are remembered from searches that had to end. */
const FOUND_MAX = 20_000

export function createLines(deps: LinesDeps): Lines {
  const { clock, log, metrics } = deps
  const brake = createBrake(deps.label)
  const known = createKnown()
  /** By the text of the line: why it was refused. The next attempt at the same lines takes them out at once, so each attempt gets further. */
  const found = new Map<string, string>()
  let ceiling = { bytes: Number.POSITIVE_INFINITY, untilMs: 0 }

  const bytesMax = () => (clock.monotonicMs() < ceiling.untilMs ? ceiling.bytes : Number.POSITIVE_INFINITY)

  function lowerCeiling(bytes: number, isPassing: boolean): void {
    const lower = Math.max(BYTES_CEILING_MIN, Math.floor(bytes / 2))
    if (lower >= bytesMax()) return
    ceiling = { bytes: lower, untilMs: clock.monotonicMs() + CEILING_MS[isPassing ? 'passing' : 'standing'] }
    log.warn({ bytesCeiling: lower }, 'database did not take a batch of this size, batches are smaller from now on')
  }

  return {
    async deliver(batch, deadlineMs, way) {
      if (batch.bytes.length <= bytesMax() && found.size === 0) {
        const verdict = await way.send(batch.bytes)
        if (verdict.kind === 'ack') {
          if (brake.isWatching() && Buffer.from(batch.bytes).includes(',node=')) brake.taken()
          return { written: batch.lineCount, rejected: 0, expired: 0 }
        }
        return await settle(batch, deadlineMs, way, verdict)
      }
      return await settle(batch, deadlineMs, way)
    },
  }

  /** Nothing goes to the dead letters before the whole batch is settled, so a batch that is given up leaves no trace there. */
  async function settle(batch: Batch, deadlineMs: number, way: Way, first?: Verdict): Promise<Counts> {
    const outcome = await searchBatch({
      ...{ batch, deadlineMs, way, first, found, brake, known, clock, bytesMax, lowerCeiling },
      label: deps.label,
      onUnfinished: remember,
    })
    const { letters, written, expired } = outcome
    if (letters.length > 0) {
      const fresh = await deps.deadLetters.append(letters)
      for (const { text } of letters) found.delete(text)
      if (fresh.length > 0) {
        metrics.rejected(fresh.length, 'rejected')
        log.error(
          { lineCount: fresh.length, reason: fresh[0]?.reason, detail: fresh[0]?.detail, node: fresh[0]?.node },
          'lines refused by the database lie in the dead letters now',
        )
      }
    }
    if (expired > 0) {
      metrics.rejected(expired, 'expired')
      log.info({ lineCount: expired }, 'lines older than the retention of the database are not kept there')
    }
    return { written, rejected: letters.length, expired }
  }

  function remember(refused: ReadonlyMap<string, string>, error: CollectorError): void {
    for (const [text, detail] of refused) if (found.size < FOUND_MAX) found.set(text, detail)
    log.warn({ lineCount: refused.size, err: error }, 'the search for refused lines goes on with the next attempt')
  }
}
