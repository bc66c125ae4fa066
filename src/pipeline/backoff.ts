/** How long reading waits after a failure of the API or of the state file, and what health and log report about it. For the database see
 * circuit-breaker.ts. */

import type { Logger } from 'pino'
import { backoffAfter } from '../base/backoff.ts'
import type { Clock } from '../base/clock.ts'
import { CollectorError } from '../base/errors.ts'
import type { HealthReport } from '../observe/health.ts'
import { PROBLEM_ERROR_MS } from '../observe/line/database-health.ts'
import type { PipelineMetrics } from '../observe/metrics.ts'

export interface Backoff {
  apiWorks(): void
  /** Reading waits: as long as Retry-After says, or with exponential backoff and jitter, longer when a person must act. */
  apiFails(error: CollectorError): void
  /** How many answers in a row were 5xx or unreadable, with this one. After several the window itself may be what the API cannot answer. */
  unavailableInARow(error: CollectorError): number
  /** How long no request may go to the API, ms; 0 or less: requests may go. */
  apiWaitMs(): number
  /** False at first, and after a failure: then only one window is read at a time. */
  isApiSteady(): boolean
  /** Reports a failure of the state file and makes reading wait for an interval. Throws what is no CollectorError. */
  stateFailed(error: unknown): void
  /** Runs a change of the state file. On a failure it is reported, reading waits, and the result is false: the change was not made. */
  guardState(change: () => void): boolean
  isStateWaiting(): boolean
}

export function createBackoff(
  options: { readonly intervalMs: number },
  deps: {
    readonly clock: Pick<Clock, 'monotonicMs'>
    readonly log: Logger
    readonly metrics: Pick<PipelineMetrics, 'apiUp' | 'hold' | 'stateWriteFailed'>
    readonly health: HealthReport
    /** From 0 to 1; for jitter. */
    readonly random: () => number
  },
): Backoff {
  const { clock, log, metrics, health } = deps
  let isApiProven = false
  let apiWaitUntilMs = 0
  let apiFailures = 0
  let unavailable = 0
  let apiFailingSinceMs: number | undefined
  let stateWaitUntilMs = 0
  /** The refusal that was logged last: each attempt finds the same one. */
  let loggedCode: string | undefined
  /** The failure of the state file that was logged last, and when it was seen last. */
  let state: { readonly code: string; readonly seenMs: number } | undefined

  function report(error: CollectorError, sinceMs: number): void {
    const lasting = clock.monotonicMs() - sinceMs >= PROBLEM_ERROR_MS
    health.set('source', error.reaction === 'hold' || lasting ? 'error' : 'warning', error.code, error.message)
  }

  function stateFailed(error: unknown): void {
    if (!(error instanceof CollectorError)) throw error
    metrics.stateWriteFailed()
    health.set('state', 'error', error.code, error.message)
    const nowMs = clock.monotonicMs()
    // Each attempt finds the same problem: it is logged once.
    const isKnown = state?.code === error.code && nowMs - state.seenMs < PROBLEM_ERROR_MS + options.intervalMs
    log[isKnown ? 'debug' : 'error'](
      { code: error.code, err: error },
      'state file cannot be written; polling is on hold',
    )
    state = { code: error.code, seenMs: nowMs }
    stateWaitUntilMs = nowMs + options.intervalMs
  }

  return {
    apiWorks() {
      isApiProven = true
      apiFailures = 0
      unavailable = 0
      apiFailingSinceMs = undefined
      if (loggedCode !== undefined) log.info('the API accepts requests again')
      loggedCode = undefined
      metrics.apiUp(true)
      metrics.hold('source', undefined)
      health.set('source', 'ok')
    },
    apiFails(error) {
      apiFailingSinceMs ??= clock.monotonicMs()
      metrics.apiUp(false)
      metrics.hold('source', error.reaction === 'hold' ? error.code : undefined)
      report(error, apiFailingSinceMs)
      if (error.reaction === 'hold' && error.code !== loggedCode) {
        loggedCode = error.code
        log.error({ code: error.code, err: error }, 'the API refuses requests; polling is on hold')
      }
      const [minMs, maxMs] =
        error.reaction === 'hold' ? [30_000, 300_000] : error.reaction === 'split' ? [250, 30_000] : [1_000, 60_000]
      apiFailures += 1
      const ceilingMs = backoffAfter(apiFailures, { minMs, maxMs })
      // Half of it is fixed and half is random: never at once, and not all installations at the same moment.
      const waitMs = error.retryAfterMs ?? ceilingMs / 2 + (ceilingMs / 2) * deps.random()
      apiWaitUntilMs = Math.max(apiWaitUntilMs, clock.monotonicMs() + waitMs)
    },
    unavailableInARow({ code }) {
      unavailable = code === 'api_unavailable' || code === 'api_not_json' ? unavailable + 1 : 0
      return unavailable
    },
    apiWaitMs: () => apiWaitUntilMs - clock.monotonicMs(),
    isApiSteady: () => isApiProven && apiFailures === 0,

    stateFailed,
    guardState(change) {
      try {
        change()
        return true
      } catch (error) {
        stateFailed(error)
        return false
      }
    },
    isStateWaiting: () => clock.monotonicMs() < stateWaitUntilMs,
  }
}
