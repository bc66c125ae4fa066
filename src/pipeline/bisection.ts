/** Finds out where a range that cannot be read begins and ends.
 *
 * A window of a millisecond that still fails is a *suspect*, put aside in memory. When something else could be read afterwards, so that the
 * API itself is well, the suspect is tried once more; failing again it is the beginning of a bad *region*, whose right end is found by leaps
 * of doubling length and then by bisection, to 1 ms. The region becomes a named gap. So an outage of the API makes no gaps, and a poisoned
 * range of hours costs some dozen requests. */
import type { GapReason, Interval } from '../ledger/ledger.ts'
import { min, WINDOW_MIN_NS } from './window-size.ts'

export interface Bisection {
  /** What is put aside, failedRanges and badRange: nobody else reads it. */
  quarantined(): readonly Interval[]
  /** Suspects of which nobody knows yet whether it is their fault or the API's. */
  unverified(): number
  /** Puts a window aside; `failedAt`: windows given out before it failed. */
  quarantine(window: Interval, reason: GapReason, failedAt: number): void
  /** A window that was given out as number `begun` could be read: the API is well, so what failed before is to blame itself. */
  verify(begun: number): void
  /** What to look at next, out of what is missing. */
  probe(missing: readonly Interval[], horizonNs: bigint): Interval | undefined
  /** Such a probe was read as a whole, or was too much. */
  probed(window: Interval, outcome: 'read' | GapReason, atNs: bigint): void
  /** Nothing lies beyond the region that could be looked at: its end is where it stands. True when there is something new to probe. */
  settle(atNs: bigint): boolean
}

interface FailedRange extends Interval {
  readonly reason: GapReason
  readonly failedAt: number
  /** Something else was read after this had failed. */
  verified: boolean
}

/** A range that is bad for sure in [fromNs, loNs]; its right end lies in [loNs, hiNs]. */
interface BadRange {
  readonly fromNs: bigint
  readonly reason: GapReason
  phase: 'leap' | 'bisect'
  loNs: bigint
  hiNs: bigint
}

/** `openGap` is called with each region whose end was found. */
export function createBisection(openGap: (range: Interval, reason: GapReason, atNs: bigint) => void): Bisection {
  let failedRanges: FailedRange[] = []
  let badRange: BadRange | undefined

  /** One step in finding the right end, after a probe of it went well or not. */
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
      // A clock that was set back may have moved the edge before what is being looked at: it cannot be done just now.
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
