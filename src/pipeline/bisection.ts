/** Finds out where a range that cannot be read begins and ends.
 *
 * A window of a millisecond that still fails is a *suspect*, put aside in memory. When something else could be read afterwards, so that the
 * API itself is well, the suspect is tried once more; failing again it is the beginning of a bad *region*, whose right end is found by leaps
 * of doubling length and then by bisection, to 1 ms. The region becomes a named gap. So an outage of the API makes no gaps, and a poisoned
 * range of hours costs some dozen requests. */
import type { GapReason, Interval } from '../ledger/ledger.ts'
import { min, WINDOW_MIN_NS } from './window-size.ts'

export interface BadRange {
  /** What is put aside, suspects and region: nobody else reads it. */
  aside(): readonly Interval[]
  /** Suspects of which nobody knows yet whether it is their fault or the API's. */
  doubtful(): number
  /** Puts a window aside; `failedAt`: windows given out before it failed. */
  suspect(window: Interval, reason: GapReason, failedAt: number): void
  /** A window that was given out as number `begun` could be read: the API is well, so what failed before is to blame itself. */
  verify(begun: number): void
  /** What to look at next, out of what is missing. */
  probe(missing: readonly Interval[], edgeNs: bigint): Interval | undefined
  /** Such a probe was read as a whole, or was too much. */
  probed(window: Interval, outcome: 'read' | GapReason, atNs: bigint): void
  /** Nothing lies beyond the region that could be looked at: its end is where it stands. True when there is something new to probe. */
  settle(atNs: bigint): boolean
}

interface Suspect extends Interval {
  readonly reason: GapReason
  readonly failedAt: number
  /** Something else was read after this had failed. */
  verified: boolean
}

/** A range that is bad for sure in [fromNs, loNs]; its right end lies in [loNs, hiNs]. */
interface Region {
  readonly fromNs: bigint
  readonly reason: GapReason
  phase: 'leap' | 'bisect'
  loNs: bigint
  hiNs: bigint
}

/** `openGap` is called with each region whose end was found. */
export function createBadRange(openGap: (range: Interval, reason: GapReason, atNs: bigint) => void): BadRange {
  let suspects: Suspect[] = []
  let region: Region | undefined

  /** One step in finding the right end, after a probe of it went well or not. */
  function narrow(found: Region, window: Interval, wasGood: boolean, atNs: bigint): void {
    if (found.phase === 'leap') {
      if (wasGood) found.phase = 'bisect'
      else [found.loNs, found.hiNs] = [window.fromNs, window.toNs]
    } else if (wasGood) found.hiNs = window.fromNs
    else found.loNs = window.fromNs
    if (found.phase === 'bisect') closeIfFound(found, atNs)
  }

  function closeIfFound(found: Region, atNs: bigint): boolean {
    if (found.hiNs - found.loNs > WINDOW_MIN_NS) return false
    openGap({ fromNs: found.fromNs, toNs: found.hiNs }, found.reason, atNs)
    region = undefined
    return true
  }

  return {
    aside: () => (region ? [...suspects, { fromNs: region.fromNs, toNs: region.hiNs }] : suspects),
    doubtful: () => suspects.filter((one) => !one.verified).length,
    suspect({ fromNs, toNs }, reason, failedAt) {
      suspects.push({ fromNs, toNs, reason, failedAt, verified: false })
    },
    verify(begun) {
      for (const suspect of suspects) if (suspect.failedAt < begun) suspect.verified = true
    },
    probe(missing, edgeNs) {
      if (region === undefined) return suspects.find((one) => one.verified && one.toNs <= edgeNs)
      // A clock that was set back may have moved the edge before what is being looked at: it cannot be done just now.
      if (region.hiNs > edgeNs) return undefined
      if (region.phase === 'bisect') return { fromNs: (region.loNs + region.hiNs) / 2n, toNs: region.hiNs }
      const fromNs = region.hiNs
      const next = missing.find((piece) => piece.fromNs === fromNs)
      return next && { fromNs, toNs: min(next.toNs, 2n * fromNs - region.fromNs) }
    },
    probed(window, outcome, atNs) {
      if (region) return narrow(region, window, outcome === 'read', atNs)
      suspects = suspects.filter((one) => one.fromNs !== window.fromNs || one.toNs !== window.toNs)
      if (outcome === 'read') return
      region = { fromNs: window.fromNs, loNs: window.fromNs, hiNs: window.toNs, reason: outcome, phase: 'leap' }
    },
    settle(atNs) {
      if (region?.phase !== 'leap') return false
      region.phase = 'bisect'
      return !closeIfFound(region, atNs)
    },
  }
}
