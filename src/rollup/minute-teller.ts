/** Tells readers of final minutes what was made, and how far everything was told. */
import { max, min } from '../base/bigint.ts'
import { HOUR, MINUTE } from '../base/clock.ts'
import type { Ledger } from '../ledger/ledger.ts'
import type { Unsettled } from '../ledger/unsettled.ts'
import { type MinuteReader, unknownMinute } from './minute-reader.ts'
import { finalTo } from './points/coverage.ts'
import { eachEdge, eachNode } from './rows/minute-columns.ts'
import type { SettledMinute } from './settle/minutes.ts'

export interface MinuteTeller {
  made(startNs: bigint, minute: SettledMinute): void
  /** Nothing is known of it, and nothing will be, as far as can be told. */
  unknown(startNs: bigint): void
  /** Tells how far everything was told. Readers wait for minutes that are read and not made; for those that are made again only when `isBehind`: while hours
   * are read in a moment, what comes late would come when readers are hours further. */
  finalTo(isMade: (one: Unsettled) => boolean, isBehind: boolean): void
}

/** A minute that an earlier process left unmade longer ago than this does not hold up those who read minutes. */
export const UNMADE_NS = 48n * HOUR
/** Readers take a minute that is told again when they are no further than this. */
const TAKEN_NS = HOUR
/** They wait for it when they are this far. */
const AGAIN_NS = 50n * MINUTE

/** `readers` throw nothing. */
export function createMinuteTeller(
  readers: readonly MinuteReader[],
  ledger: Pick<Ledger, 'unsettled' | 'originNs' | 'settled' | 'gaps'>,
): MinuteTeller {
  /** Readers were told everything before this minute. */
  let toldToNs: bigint | undefined
  return {
    made(startNs, { made: { columns }, hasGap }) {
      for (const reader of readers)
        reader.minute({
          startNs,
          eachEdge: (visit) => eachEdge(columns, visit),
          eachNode: (visit) => eachNode(columns, visit),
          hasGap,
        })
    },
    unknown(startNs) {
      if (toldToNs === undefined || startNs < toldToNs) return
      for (const reader of readers) reader.minute(unknownMinute(startNs))
    },
    finalTo(isMade, isBehind) {
      const originNs = ledger.originNs()
      if (originNs === undefined) return
      const readToNs = finalTo(originNs, ledger.settled(), ledger.gaps())
      // A minute that began before the origin waits for a backfill that may never come, and nobody waits for it.
      const fromNs = max(toldToNs ?? readToNs - UNMADE_NS, originNs)
      const listed = ledger.unsettled.all('minute').filter(({ startNs }) => startNs >= originNs)
      const waits = listed.find((one) => one.startNs >= fromNs && !isMade(one))
      const again = isBehind ? listed.find(({ startNs }) => startNs >= fromNs - TAKEN_NS) : undefined
      const toNs = min(readToNs, waits?.startNs ?? readToNs, again === undefined ? readToNs : again.startNs + AGAIN_NS)
      if (toldToNs === undefined || toNs > toldToNs) toldToNs = toNs
      for (const reader of readers) reader.finalTo(toldToNs)
    },
  }
}
