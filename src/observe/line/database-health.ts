/** The state of the database for `/health`, metrics and log: from the circuit breaker, and from each request while a write is retried.
 *
 * A write that is being retried is already a problem. It ends when every window that was in progress at the last failure has ended, and lines
 * were acknowledged since. So health does not flap while one batch fails and another succeeds. */
import type { Logger } from 'pino'
import type { Clock } from '../../base/clock.ts'
import type { CollectorError } from '../../base/errors.ts'
import type { SinkListener } from '../../sink/sink.ts'
import type { HealthReport } from '../health.ts'
import type { PipelineMetrics } from '../metrics.ts'

export interface DatabaseHealth {
  readonly listener: SinkListener
  /** The breaker opened or failed again, with its error, or closed. */
  changed(error: CollectorError | undefined): void
  /** A window is in progress. Call the returned function when it ended. */
  began(): () => void
}

/** A problem that can end without a person is a warning first and an error after this time. The log line about such a problem repeats as often. */
export const PROBLEM_ERROR_MS = 300_000
const CONDITION = 'writes'

export function createDatabaseHealth(deps: {
  readonly clock: Pick<Clock, 'monotonicMs'>
  readonly log: Logger
  readonly metrics: Pick<PipelineMetrics, 'dbUp' | 'hold'>
  readonly health: HealthReport
}): DatabaseHealth {
  const { clock, log, metrics, health } = deps
  /** Why the database accepts no writes, since when, and when that was logged last. `isOpen`: the breaker is open. */
  let problem: { code: string; sinceMs: number; loggedMs: number | undefined; isOpen: boolean } | undefined
  // An order of events: a failure, an acknowledgement and a window that began, each by the number of failures before it.
  let failures = 0
  let acknowledgedAt = 0
  const inProgress = new Set<{ readonly beganAt: number }>()

  function report(error: CollectorError, sinceMs: number): void {
    const isLasting = clock.monotonicMs() - sinceMs >= PROBLEM_ERROR_MS
    const status = error.reaction === 'hold' || isLasting ? 'error' : 'warning'
    health.set('sink', status, error.code, error.message, CONDITION)
  }

  /** Ends a problem of writes that were retried. */
  function settle(): void {
    if (problem === undefined || problem.isOpen || acknowledgedAt < failures) return
    for (const { beganAt } of inProgress) if (beganAt < failures) return
    problem = undefined
    health.set('sink', 'ok', undefined, undefined, CONDITION)
  }

  return {
    listener: {
      failed(error) {
        // A limit concerns only the windows that it hit: see line-health.ts.
        if (error.code === 'db_limit') return
        failures += 1
        if (problem?.isOpen) return
        const sinceMs = problem?.sinceMs ?? clock.monotonicMs()
        problem = { code: error.code, sinceMs, loggedMs: undefined, isOpen: false }
        report(error, sinceMs)
      },
      succeeded() {
        acknowledgedAt = failures
        settle()
      },
    },

    changed(error) {
      metrics.dbUp(error === undefined)
      metrics.hold('sink', error?.reaction === 'hold' ? error.code : undefined)
      const nowMs = clock.monotonicMs()
      if (error === undefined) {
        if (problem?.isOpen)
          log.info({ durationMs: Math.round(nowMs - problem.sinceMs) }, 'database accepts writes again')
        problem = undefined
        return health.set('sink', 'ok', undefined, undefined, CONDITION)
      }
      // Every probe and every trial finds the same problem: log it once.
      const { code } = error
      const loggedMs = problem?.code === code ? problem.loggedMs : undefined
      // What a person must change is logged once; what may pass, now and then while it lasts.
      const isHold = error.reaction === 'hold'
      const isKnown = loggedMs !== undefined && (isHold || nowMs - loggedMs < PROBLEM_ERROR_MS)
      const level = isKnown ? 'debug' : isHold ? 'error' : 'warn'
      log[level]({ code, err: error }, 'database is not accepting writes; polling is on hold')
      const sinceMs = problem?.sinceMs ?? nowMs
      problem = { code, sinceMs, loggedMs: isKnown ? loggedMs : nowMs, isOpen: true }
      report(error, sinceMs)
    },

    began() {
      const window = { beganAt: failures }
      inProgress.add(window)
      return () => {
        inProgress.delete(window)
        settle()
      }
    },
  }
}
