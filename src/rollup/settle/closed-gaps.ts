/** Minutes whose gap was read. What it held puts its own minutes onto the list; the others that touch it still say that something of them is missing. */
import { MINUTE } from '../../base/clock.ts'
import { subtract } from '../../ledger/intervals.ts'
import type { PartDeps } from '../deps.ts'
import { firstTouched } from '../points/coverage.ts'

export interface ClosedGaps {
  /** Puts those onto the list as `must`. Rejects with a CollectorError, or with the signal's reason; what it could not ask it asks the next time. */
  follow(): Promise<void>
}

export function createClosedGaps({
  store,
  gaps,
  unsettled,
  clock,
  signal,
}: Pick<PartDeps, 'store' | 'gaps' | 'unsettled' | 'clock' | 'signal'>): ClosedGaps {
  let before = gaps()
  return {
    async follow() {
      const now = gaps()
      for (const { fromNs, toNs } of subtract(before, now)) {
        const found = await store.minutes(firstTouched(fromNs), toNs + MINUTE, signal)
        const minutes = found.filter((one) => one.isGap && one.startNs < toNs)
        unsettled.must(
          minutes.map(({ startNs }) => ({ tier: 'minute', startNs })),
          clock.now(),
        )
      }
      before = now
    },
  }
}
