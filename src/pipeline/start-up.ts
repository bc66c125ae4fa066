/** Where reading begins, and begins again after the database was away: what ledger and database agree on. Unknown always resolves to
 * earlier, because reading again is free; nothing known at all is a first installation.
 *
 *   ledger  mirror in the database    what happens
 *   yes     as new as the ledger      reading goes on
 *   yes     older                     what was acknowledged after it is read again: the database lost it (restored from a backup)
 *   yes     none                      everything is read again that the API still has: the database is new or empty
 *   yes     cannot be asked           what was acknowledged in the last ten minutes is read again: a database that was killed may have lost it
 *   no      yes                       the state file was lost or set aside: the mirrored watermark, minus the age of the last late pass,
 *                                     because nobody knows any more which late passes had been made, and further back to where the
 *                                     mirror says that all of them were
 *   no      none, cannot be asked     first installation: now minus the initial look-back, or an hour above the oldest that the API has
 *   any     no answer                 nothing yet; the caller asks again, nobody guesses */
import type { Logger } from 'pino'
import { DAY, HOUR, MINUTE } from '../clock.ts'
import { isoOf } from '../format.ts'
import type { DoneWindow, Ledger } from '../ledger/ledger.ts'
import type { Sink } from '../sink/sink.ts'
import { max, min } from './window-size.ts'

/** How much is read again at least where nobody knows. */
export const HEAL_NS = 10n * MINUTE
/** What a first start reads must not age out while it is being read. */
const LOOKBACK_MARGIN = HOUR
export const END_OF_TIME = (1n << 63n) - 1n
/** What somebody else wrote into the mirror may lie at the end of time, where no clock could go on from. */
const ACKED_MAX = END_OF_TIME - 36_525n * DAY

export interface StartUpOptions {
  readonly tailnet: string
  readonly nowNs: bigint
  /** The present by the API's clock alone. */
  readonly serverNowNs: bigint
  /** The oldest time that the API still has. */
  readonly floorNs: bigint
  readonly lookbackNs: bigint
  /** Age of the last late pass. */
  readonly lastPassNs: bigint
}

/** Resolves with where the clock of acknowledgements goes on from, the highest that the database knows of (0: none), ns. Rejects with a CollectorError when the database could
 * not be asked or the state file not be written. */
export async function reconcile(
  options: StartUpOptions,
  deps: { ledger: Ledger; sink: Pick<Sink, 'lastMirror'>; log: Logger },
  signal: AbortSignal,
): Promise<bigint> {
  const { ledger, log } = deps
  const mirror = await deps.sink.lastMirror(options.tailnet, signal)
  const rewindNs = max(HEAL_NS, options.lastPassNs)
  const ackedNs = mirror === 'unanswerable' ? 0n : (mirror?.ackedNs ?? 0n)
  const goesOnFromNs = min(ackedNs, ACKED_MAX)
  if (ledger.originNs() === undefined) {
    const known = mirror !== undefined && mirror !== 'unanswerable'
    // A mirror from the future (written under a wrong clock, or by somebody else) must not let reading begin there and never be heard of again.
    const knownNs = known ? min(mirror.watermarkNs, options.nowNs) - rewindNs : options.nowNs - options.lookbackNs
    // Late passes that were overdue when the state file went are made up for.
    const passedNs = known ? (mirror.passedNs ?? knownNs) : knownNs
    const fromNs = max(min(knownNs, passedNs), options.floorNs + (known ? 0n : LOOKBACK_MARGIN))
    // A local clock that is years behind must not promise those years.
    ledger.setOrigin(fromNs, known ? min(mirror.watermarkNs, options.serverNowNs) - rewindNs : options.serverNowNs)
    log.info(
      { from: isoOf(fromNs), known },
      known ? 'no state file, reading goes on from the mirror in the database' : 'first start, reading begins here',
    )
    return goesOnFromNs
  }
  const records = ledger.recent(Number.MAX_SAFE_INTEGER)
  if (mirror === 'unanswerable') {
    const fromNs = lastOf(records) - HEAL_NS
    for (const window of records) if (window.atNs >= fromNs) ledger.forget(window)
    return goesOnFromNs
  }
  const lost = records.filter((window) => window.atNs > ackedNs)
  for (const window of lost) ledger.forget(window)
  // When the database knows none of the windows that are still recorded, what it lost may go back beyond them.
  const isBehind = (mirror?.watermarkNs ?? 0n) < (ledger.watermarkNs() ?? 0n)
  const isOlderThanRecords = lost.length === records.length && (lost.length > 0 || isBehind)
  if (isOlderThanRecords)
    ledger.forget({ fromNs: max((mirror?.watermarkNs ?? 0n) - rewindNs, options.floorNs), toNs: END_OF_TIME })
  else if (lost.length === 0) return goesOnFromNs
  log.warn(
    { windowCount: lost.length, isOlderThanRecords },
    'the database holds less than was acknowledged, reading it again',
  )
  return goesOnFromNs
}

/** The last acknowledgement, by the clock of acknowledgements; 0 when there was none. */
export function lastOf(records: readonly DoneWindow[]): bigint {
  return records.reduce((latest, window) => max(latest, window.atNs), 0n)
}
