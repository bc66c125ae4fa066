/** Handles what the API no longer has. Since the first start that is a loss: an exact gap that stays in the ledger. History from before the
 * first start is read as far as the API still has it; what expires before it was read only moves the origin. */
import type { Logger } from 'pino'
import { max, min } from '../base/bigint.ts'
import { HOUR } from '../base/clock.ts'
import { isoOf } from '../base/format.ts'
import type { Interval, Ledger } from '../ledger/ledger.ts'
import type { PipelineMetrics } from '../observe/metrics.ts'
import type { SourceClock } from './source-clock.ts'

export interface Expiry {
  /** Something is missing that the API will soon delete or has deleted. It must not be requested: the API answers with what it still has,
   * and the rest would count as read. */
  isDue(): boolean
  /** Gives up what lies beyond the retention of the API. No window may be in progress. Throws a CollectorError of the state file. */
  giveUp(): void
}

/** The floor lies an hour above what the API deletes. So in a long catch-up reading stops for this only every half hour. */
const SLACK = HOUR / 2n

export function createExpiry(deps: {
  readonly ledger: Pick<Ledger, 'originNs' | 'promisedNs' | 'setOrigin' | 'missing' | 'gaps' | 'loseGap' | 'compact'>
  readonly sourceClock: Pick<SourceClock, 'floorNs' | 'safeNowNs'>
  readonly metrics: Pick<PipelineMetrics, 'gapLost'>
  readonly log: Logger
}): Expiry {
  const { ledger, sourceClock, log } = deps

  function giveUpRange(piece: Interval): void {
    ledger.loseGap(piece, 'beyond_retention', sourceClock.safeNowNs())
    deps.metrics.gapLost('beyond_retention', Number(piece.toNs - piece.fromNs) / 1e9)
    log.error(
      { from: isoOf(piece.fromNs), to: isoOf(piece.toNs) },
      'records expired at the API before they could be read, they are lost',
    )
  }

  function leaveHistory(fromNs: bigint, toNs: bigint): void {
    // A gap that was named stays named.
    for (const gap of ledger.gaps())
      if (gap.state === 'open' && gap.fromNs < toNs) giveUpRange({ fromNs: gap.fromNs, toNs: min(gap.toNs, toNs) })
    if (ledger.missing(fromNs, toNs).length === 0) return
    ledger.setOrigin(toNs)
    log.warn(
      { from: isoOf(fromNs), to: isoOf(toNs) },
      'history expired at the API before it could be read, reading begins later',
    )
  }

  return {
    isDue() {
      const originNs = ledger.originNs()
      const dueNs = sourceClock.floorNs() - SLACK
      return originNs !== undefined && originNs < dueNs && ledger.missing(originNs, dueNs).length > 0
    },

    giveUp() {
      const originNs = ledger.originNs()
      const oldestNs = sourceClock.floorNs()
      if (originNs === undefined || originNs >= oldestNs) return
      // No late pass over expired records: it would find less than was read.
      ledger.compact(oldestNs, oldestNs)
      const historyEndNs = min(ledger.promisedNs() ?? originNs, oldestNs)
      if (originNs < historyEndNs) leaveHistory(originNs, historyEndNs)
      const fromNs = max(originNs, historyEndNs)
      for (const piece of fromNs < oldestNs ? ledger.missing(fromNs, oldestNs) : []) giveUpRange(piece)
    },
  }
}
