/** How the database is, for `/health`, metrics and log: from the circuit breaker, and from each request while a write is tried again.
 *
 * A write that is tried again is trouble before anybody has given up. It is over when every window that was under way at the last failure
 * has come to an end, and lines were acknowledged since: with one batch that fails and another that succeeds health does not flap. */
import type { Logger } from 'pino'
import type { Clock } from '../../base/clock.ts'
import type { CollectorError } from '../../base/errors.ts'
import type { SinkListener } from '../../sink/sink.ts'
import type { PipelineMetrics } from '../metrics.ts'
import type { HealthReport } from './health-report.ts'

export interface DatabaseHealth {
  readonly listener: SinkListener
  /** The breaker opened or failed again, with its error, or closed. */
  changed(error: CollectorError | undefined): void
  /** A window is under way; returns what tells that it ended. */
  began(): () => void
}

/** Trouble that passes by itself is a warning first and an error after so long; and so often the log is reminded of it. */
export const TROUBLE_ERROR_MS = 300_000
const CONDITION = 'writes'

export function createDatabaseHealth(deps: {
  readonly clock: Pick<Clock, 'monotonicMs'>
  readonly log: Logger
  readonly metrics: Pick<PipelineMetrics, 'dbUp' | 'hold'>
  readonly health: HealthReport
}): DatabaseHealth {
  const { clock, log, metrics, health } = deps
  /** Why the database takes no writes, since when, and when the log was told last. `isOpen`: so says the breaker. */
  let trouble: { code: string; sinceMs: number; toldMs: number | undefined; isOpen: boolean } | undefined
  // An order of events: a failure, an acknowledgement and a window that began, each by the number of failures before it.
  let failures = 0
  let acknowledgedAt = 0
  const underWay = new Set<{ readonly beganAt: number }>()

  function tell(error: CollectorError, sinceMs: number): void {
    const isLasting = clock.monotonicMs() - sinceMs >= TROUBLE_ERROR_MS
    const status = error.reaction === 'hold' || isLasting ? 'error' : 'warning'
    health.set('sink', status, error.code, error.message, CONDITION)
  }

  /** Ends trouble of writes that were tried again. */
  function settle(): void {
    if (trouble === undefined || trouble.isOpen || acknowledgedAt < failures) return
    for (const { beganAt } of underWay) if (beganAt < failures) return
    trouble = undefined
    health.set('sink', 'ok', undefined, undefined, CONDITION)
  }

  return {
    listener: {
      failed(error) {
        // That is a matter of the windows that it hit: see health.ts.
        if (error.code === 'db_limit') return
        failures += 1
        if (trouble?.isOpen) return
        const sinceMs = trouble?.sinceMs ?? clock.monotonicMs()
        trouble = { code: error.code, sinceMs, toldMs: undefined, isOpen: false }
        tell(error, sinceMs)
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
        if (trouble?.isOpen)
          log.info({ durationMs: Math.round(nowMs - trouble.sinceMs) }, 'database takes writes again')
        trouble = undefined
        return health.set('sink', 'ok', undefined, undefined, CONDITION)
      }
      // Every probe and every trial finds the same: once is enough.
      const { code } = error
      const toldMs = trouble?.code === code ? trouble.toldMs : undefined
      const isKnown = toldMs !== undefined && nowMs - toldMs < TROUBLE_ERROR_MS
      log[isKnown ? 'debug' : 'warn']({ code, err: error }, 'database does not take writes, reading waits')
      const sinceMs = trouble?.sinceMs ?? nowMs
      trouble = { code, sinceMs, toldMs: isKnown ? toldMs : nowMs, isOpen: true }
      tell(error, sinceMs)
    },

    began() {
      const window = { beganAt: failures }
      underWay.add(window)
      return () => {
        underWay.delete(window)
        settle()
      }
    },
  }
}
