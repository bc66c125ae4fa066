/** Finds where a range that cannot be read begins and ends.
 *
 * A window of 1 ms that still fails is quarantined in memory. Once another window was read after it, the API itself works, and the
 * quarantined range is tried once more. If it fails again, it is the beginning of a bad range. The end of the bad range is found by leaps of
 * doubling length and then by bisection, to 1 ms. The bad range becomes a named gap. So an outage of the API makes no gaps, and a bad range
 * of hours costs some dozens of requests. */

import { min } from '../base/bigint.ts'
import type { GapReason, Interval } from '../ledger/ledger.ts'

/** A window of this length is not halved any more: it becomes a gap. */
export const WINDOW_MIN_NS = 1_000_000n

export interface Bisection {
  /** The quarantined ranges: failed ranges and the bad range under bisection. No other queue reads them. */
  quarantined(): readonly Interval[]
  /** How many failed ranges could still be a failure of the API as a whole. */
  unverified(): number
  /** Quarantines a window; `failedAt`: how many windows were given out before it failed. */
  quarantine(window: Interval, reason: GapReason, failedAt: number): void
  /** The window given out as number `begun` was read: the API works, so ranges that failed before are bad themselves. */
  verify(begun: number): void
  /** What to read next of the missing ranges, to narrow the bad range. */
  probe(missing: readonly Interval[], horizonNs: bigint): Interval | undefined
  /** The result of a probe: read as a whole, or too much. */
  probed(window: Interval, outcome: 'read' | GapReason, atNs: bigint): void
  /** Nothing after the bad range can be read: it ends where it stands. True when there is something new to probe. */
  settle(atNs: bigint): boolean
}

interface FailedRange extends Interval {
  readonly reason: GapReason
  readonly failedAt: number
  /** Something else was read after this had failed. */
  verified: boolean
}

/** A range that is certainly bad in [fromNs, loNs]; its right end lies in [loNs, hiNs]. */
interface BadRange {
  readonly fromNs: bigint
  readonly reason: GapReason
  phase: 'leap' | 'bisect'
  loNs: bigint
  hiNs: bigint
}

/** `openGap` is called with each bad range whose end was found. */
export function createBisection(openGap: (range: Interval, reason: GapReason, atNs: bigint) => void): Bisection {
  let failedRanges: FailedRange[] = []
  let badRange: BadRange | undefined

  /** One step in finding the right end, after a probe succeeded or failed. */
  function narrow(found: BadRange, window: Interval, wasGood: boolean, atNs: bigint): void {
    if (found.phase === 'leap') {
      if (wasGood) found.phase = 'bisect'
      else [found.loNs, found.hiNs] = [window.fromNs, window.toNs]
    } else if (wasGood) found.hiNs = window.fromNs
    else found.loNs = window.fromNs
    if (found.phase === 'bisect') closeIfFound(found, atNs)
  }

  function closeIfFound(found: BadRange, atNs: bigint): boolean {
    if (found.hiNs - found.loNs > WINDOW_MIN_NS) return false
    openGap({ fromNs: found.fromNs, toNs: found.hiNs }, found.reason, atNs)
    badRange = undefined
    return true
  }

  return {
    quarantined: () => (badRange ? [...failedRanges, { fromNs: badRange.fromNs, toNs: badRange.hiNs }] : failedRanges),
    unverified: () => failedRanges.filter((one) => !one.verified).length,
    quarantine({ fromNs, toNs }, reason, failedAt) {
      failedRanges.push({ fromNs, toNs, reason, failedAt, verified: false })
    },
    verify(begun) {
      for (const one of failedRanges) if (one.failedAt < begun) one.verified = true
    },
    probe(missing, horizonNs) {
      if (badRange === undefined) return failedRanges.find((one) => one.verified && one.toNs <= horizonNs)
      // A clock that was set back may have moved the horizon before this range: it cannot be read now.
      if (badRange.hiNs > horizonNs) return undefined
      if (badRange.phase === 'bisect') return { fromNs: (badRange.loNs + badRange.hiNs) / 2n, toNs: badRange.hiNs }
      const fromNs = badRange.hiNs
      const next = missing.find((piece) => piece.fromNs === fromNs)
      return next && { fromNs, toNs: min(next.toNs, 2n * fromNs - badRange.fromNs) }
    },
    probed(window, outcome, atNs) {
      if (badRange) return narrow(badRange, window, outcome === 'read', atNs)
      failedRanges = failedRanges.filter((one) => one.fromNs !== window.fromNs || one.toNs !== window.toNs)
      if (outcome === 'read') return
      badRange = { fromNs: window.fromNs, loNs: window.fromNs, hiNs: window.toNs, reason: outcome, phase: 'leap' }
    },
    settle(atNs) {
      if (badRange?.phase !== 'leap') return false
      badRange.phase = 'bisect'
      return !closeIfFound(badRange, atNs)
    },
  }
}
