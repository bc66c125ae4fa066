/** Whether a minute can be made, or rows can be written once, as far as reading goes. What counts is what was read, not the clock: a day that is read in a moment is a day. */
import { type Clock, HOUR, MINUTE } from '../../base/clock.ts'
import type { Ledger } from '../../ledger/ledger.ts'
import type { Unsettled } from '../../ledger/unsettled.ts'
import { finality, finalTo, isPassed } from '../points/coverage.ts'

export interface Readiness {
  /** Everything was read up to here, from the origin on, ns of `logged` time. */
  readToNs(): bigint
  /** What belongs to the minute was read. */
  isFinal(entry: Unsettled): boolean
  /** Where rows are written once: what is late for it was read too. `lengthNs`: of an hour or a day, which is counted from its end. */
  isDueOnce(entry: Unsettled, lengthNs?: bigint): boolean
}

/** Where rows cannot be corrected they are written so long after the begin of their minute, or the end of their hour or day. */
const WRITTEN_ONCE_NS = 16n * MINUTE

/** What was logged before the origin is read by a backfill alone. A minute, hour or day of that time, of which records that came late or the ends of a
 * backfill have points, waits this long for the rest. */
const HISTORY_NS = 10n * MINUTE

export function createReadiness(deps: {
  readonly ledger: Pick<Ledger, 'originNs' | 'settled' | 'gaps'>
  readonly isOnce: () => boolean
  readonly clock: Clock
}): Readiness {
  const { ledger, isOnce, clock } = deps

  /** Around a minute everything was read that will be. */
  function isReadAround({ startNs, sinceNs }: Unsettled, fromNs: bigint, toNs: bigint): boolean {
    const range = { fromNs, toNs }
    const originNs = ledger.originNs() ?? 0n
    const mayWait = startNs < originNs && sinceNs + HISTORY_NS > clock.now()
    return isPassed(range, ledger, 'any') && (!mayWait || isPassed(range, ledger, 'read'))
  }

  return {
    readToNs() {
      const originNs = ledger.originNs()
      return originNs === undefined ? 0n : finalTo(originNs, ledger.settled(), ledger.gaps())
    },
    isFinal(entry) {
      const { startNs, sinceNs } = entry
      const [settled, gaps] = [ledger.settled(), ledger.gaps()]
      // What the hour before says decides about rows that are never corrected; without queries it must be in memory.
      if (isOnce() && !isReadAround(entry, startNs - HOUR, startNs)) return false
      if (finality(startNs, settled, gaps).isFinal) return true
      const originNs = ledger.originNs()
      if (originNs === undefined || startNs >= originNs || sinceNs + HISTORY_NS > clock.now()) return false
      return finality(startNs, [...settled, { fromNs: 0n, toNs: originNs }], gaps).isFinal
    },
    isDueOnce(entry, lengthNs = 0n) {
      const toNs = entry.startNs + lengthNs + WRITTEN_ONCE_NS
      return clock.now() >= toNs && isReadAround(entry, entry.startNs, toNs)
    },
  }
}
