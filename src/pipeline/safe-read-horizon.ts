/** The trailing edge: how far windows are asked for. It is only what we ask: how far a window is done is told by the Date header of its own
 * answer (run-window). It stands still for an interval, so that a tick comes to an end. */
import type { Clock } from '../base/clock.ts'
import type { Interval } from '../ledger/ledger.ts'
import type { SourceClock } from './source-clock.ts'
import { min } from './window-size.ts'

export interface SafeReadHorizon {
  /** The edge, ns; anew when it is an interval old. */
  ns(): bigint
  /** The edge as it stands, without renewing it; for people. */
  standingNs(): bigint
  /** Anew at the next question. */
  forget(): void
  /** A window came to an end and is done as far as `reachedNs`; `hasHeard`: its answer told the API's time. */
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
      // The clocks did not allow the whole window: until the next edge there is nothing more to ask for.
      if (hasHeard) horizonNs = undefined
      horizonNs = min(ns(), reachedNs)
    },
  }
}
