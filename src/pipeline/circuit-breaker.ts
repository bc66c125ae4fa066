/** The circuit breaker in front of the database: nothing is fetched that could not be written.
 *
 *   closed      windows may pass
 *   open        a write failed: nothing passes until the backoff is over
 *   half-open   a probe succeeded, which proves little: one window at a time, and the failed window goes first
 *
 * It closes when the window that failed is done, or when lines of a window were written. A probe alone never closes it, and neither does a
 * window without lines. So a database that answers and accepts no data (a type conflict, a refused batch) keeps one error message and a
 * growing backoff. When a probe or a point about the service itself failed, any window that is done closes it. So a tailnet without traffic
 * recovers too. */
import type { Clock } from '../base/clock.ts'
import { CollectorError } from '../base/errors.ts'
import { subtract } from '../ledger/intervals.ts'
import type { Interval } from '../ledger/ledger.ts'
import type { BreakerState } from '../observe/line/status.ts'
import type { PlannedWindow } from './planner.ts'

export interface CircuitBreaker {
  readonly state: BreakerState
  /** Why it is not closed. */
  readonly error: CollectorError | undefined
  /** The window that failed first: the next one that is tried. */
  readonly trial: PlannedWindow | undefined
  /** While open: how long until the next probe, ms, 0 or more. */
  waitMs(): number
  /** True when windows may begin: after an acknowledgement within the last seconds, or after a probe now. Rejects only with the signal's
   * reason, or on a programmer's error. */
  mayPass(signal: AbortSignal): Promise<boolean>
  /** The database acknowledged lines: while closed, no probe is needed for some seconds. */
  acknowledged(): void
  /** The range `done` of a window is done, with `written` lines. */
  succeeded(done: Interval, written: number): void
  /** A write failed and is not retried any more: of `window`, or of a point about the service itself; or a query failed. */
  failed(error: CollectorError, window?: PlannedWindow): void
}

const FRESH_MS = 10_000
const BACKOFF_MIN_MS = 1_000
const BACKOFF_MAX_MS = { retry: 30_000, hold: 300_000 } as const

export function createCircuitBreaker(deps: {
  /** `isRecovering`: after a failure, when an empty request proves nothing: write a real point. Rejects with a CollectorError. */
  probe: (isRecovering: boolean, signal: AbortSignal) => Promise<void>
  clock: Pick<Clock, 'monotonicMs'>
  /** Called with each failure, when the breaker closes again, and when the database accepted writes for the first time. */
  onChange: (error: CollectorError | undefined) => void
}): CircuitBreaker {
  const { clock } = deps
  let state: BreakerState = 'closed'
  let error: CollectorError | undefined
  let trial: PlannedWindow | undefined
  /** The parts of the trial that are not done yet. */
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
      // A write that was in progress when another one failed says nothing about that failure.
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
      // Several windows that were in progress fail together: that is one failure, with one backoff. But report what a person must fix.
      if (state !== 'open') return open(reason)
      if (error?.reaction === 'hold' || reason.reaction !== 'hold') return
      error = reason
      deps.onChange(error)
    },
  }
}
