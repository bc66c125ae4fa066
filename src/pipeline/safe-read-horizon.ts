/** The safe read horizon: up to where windows are requested. How far a window is done depends on the Date header of its own answer
 * (deliver-window.ts). The horizon stands still for an interval, so that a tick comes to an end. */
import type { Clock } from '../base/clock.ts'
import type { Interval } from '../ledger/ledger.ts'
import type { SourceClock } from './source-clock.ts'
import { min } from './window-size.ts'

export interface SafeReadHorizon {
  /** The horizon, ns; renewed when it is an interval old. */
  ns(): bigint
  /** The horizon as it stands, without renewing it; for the status page. */
  standingNs(): bigint
  /** Renews it at the next call of `ns`. */
  forget(): void
  /** A window ended and is done as far as `reachedNs`; `hasHeard`: its answer had a Date header. */
  learn(window: Interval, reachedNs: bigint, hasHeard: boolean): void
}

export function createSafeReadHorizon(
  options: { readonly intervalMs: number; readonly lagNs: bigint },
  { clock, sourceClock }: { readonly clock: Pick<Clock, 'monotonicMs'>; readonly sourceClock: SourceClock },
): SafeReadHorizon {
  let horizonNs: bigint | undefined
  let setMs = 0

  function ns(): bigint {
    const nowMs = clock.monotonicMs()
    if (horizonNs === undefined || nowMs - setMs >= options.intervalMs) {
      horizonNs = sourceClock.safeNowNs() - options.lagNs
      setMs = nowMs
    }
    return horizonNs
  }

  return {
    ns,
    standingNs: () => horizonNs ?? sourceClock.serverNowNs() - options.lagNs,
    forget() {
      horizonNs = undefined
    },
    learn(window, reachedNs, hasHeard) {
      if (reachedNs >= window.toNs) {
        horizonNs ??= ns()
        return
      }
      // The clocks did not allow the whole window: until the horizon is renewed there is nothing more to read.
      if (hasHeard) horizonNs = undefined
      horizonNs = min(ns(), reachedNs)
    },
  }
}
