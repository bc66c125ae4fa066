/** The circuit breaker in front of the database: nothing is fetched that could not be written.
 *
 *   closed      windows may pass
 *   open        a write failed: nothing passes until the backoff is over
 *   half-open   a probe went well, which proves little: one window at a time, and the one that failed first
 *
 * It closes when the window that failed is done, or lines of a window were written; never by a probe alone, and never by a window that had
 * nothing to write. So a database that answers well and takes no data (a type conflict, a refused batch) keeps one steady sentence and a
 * growing backoff. When what failed was a probe or a point of the service's own, any window that is done closes it: a tailnet without
 * traffic recovers too. */
import type { Clock } from '../base/clock.ts'
import { CollectorError } from '../base/errors.ts'
import { subtract } from '../ledger/intervals.ts'
import type { Interval } from '../ledger/ledger.ts'
import type { PlannedWindow } from './window.ts'

export type BreakerState = 'closed' | 'open' | 'half-open'

export interface CircuitBreaker {
  readonly state: BreakerState
  /** Why it is not closed. */
  readonly error: CollectorError | undefined
  /** The window that failed first: the next one that is tried. */
  readonly trial: PlannedWindow | undefined
  /** While open: how long until the next probe, ms, 0 or more. */
  waitMs(): number
  /** True when windows may begin: known from an acknowledgement of the last seconds, or probed now. Rejects only with the signal's reason, or
   * on a programmer's error. */
  mayPass(signal: AbortSignal): Promise<boolean>
  /** The database acknowledged lines: while closed, a probe is needless for some seconds. */
  acknowledged(): void
  /** A window is done, as far as `done` goes, with so many lines written. */
  succeeded(done: Interval, written: number): void
  /** A write failed for good: of `window`, or of a point of the service's own, or a question. */
  failed(error: CollectorError, window?: PlannedWindow): void
}

const FRESH_MS = 10_000
const BACKOFF_MIN_MS = 1_000
const BACKOFF_MAX_MS = { retry: 30_000, hold: 300_000 } as const

export function createCircuitBreaker(deps: {
  /** `isRecovering`: after a failure, when an empty request proves nothing: write a real point. Rejects with a CollectorError. */
  probe: (isRecovering: boolean, signal: AbortSignal) => Promise<void>
  clock: Pick<Clock, 'monotonicMs'>
  /** Called with each failure, when the breaker closes again, and when the database was first found to take writes. */
  onChange: (error: CollectorError | undefined) => void
}): CircuitBreaker {
  const { clock } = deps
  let state: BreakerState = 'closed'
  let error: CollectorError | undefined
  let trial: PlannedWindow | undefined
  /** What of the trial is not done yet. */
  let rest: readonly Interval[] = []
  let isProven = false
  let provenMs = Number.NEGATIVE_INFINITY
  let nextTryMs = 0
  let backoffMs = BACKOFF_MIN_MS

  function open(reason: CollectorError): void {
    state = 'open'
    error = reason
    provenMs = Number.NEGATIVE_INFINITY
    nextTryMs = clock.monotonicMs() + (reason.retryAfterMs ?? backoffMs)
    backoffMs = Math.min(backoffMs * 2, BACKOFF_MAX_MS[reason.reaction === 'hold' ? 'hold' : 'retry'])
    deps.onChange(error)
  }

  return {
    get state() {
      return state
    },
    get error() {
      return error
    },
    get trial() {
      return trial
    },
    waitMs: () => (state === 'open' ? Math.max(0, nextTryMs - clock.monotonicMs()) : 0),

    async mayPass(signal) {
      const nowMs = clock.monotonicMs()
      if (state === 'open' && nowMs < nextTryMs) return false
      if (state !== 'open' && nowMs - provenMs < FRESH_MS) return true
      try {
        await deps.probe(state !== 'closed', signal)
      } catch (reason) {
        signal.throwIfAborted()
        if (!(reason instanceof CollectorError)) throw reason
        open(reason)
        return false
      }
      provenMs = clock.monotonicMs()
      if (state === 'closed' && !isProven) deps.onChange(undefined)
      isProven = true
      if (state === 'open') state = 'half-open'
      return true
    },

    acknowledged() {
      // What was under way when another write failed says nothing about that failure.
      if (state === 'closed') provenMs = clock.monotonicMs()
    },

    succeeded(done, written) {
      if (state !== 'half-open') return
      rest = subtract(rest, [done])
      if (written === 0 && rest.length > 0) return
      state = 'closed'
      error = undefined
      trial = undefined
      rest = []
      backoffMs = BACKOFF_MIN_MS
      provenMs = clock.monotonicMs()
      deps.onChange(undefined)
    },

    failed(reason, window) {
      if (trial === undefined && window !== undefined) {
        trial = window
        rest = [window]
      }
      // Several windows that were under way fail together: that is one failure, with one backoff. What a person must fix is worth telling.
      if (state !== 'open') return open(reason)
      if (error?.reaction === 'hold' || reason.reaction !== 'hold') return
      error = reason
      deps.onChange(error)
    },
  }
}
