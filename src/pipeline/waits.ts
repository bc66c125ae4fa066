/** Who makes reading wait, how long, and what is told about it: the API, the state file, the database (which the gate knows). */
import type { Logger } from 'pino'
import type { Clock } from '../clock.ts'
import { CollectorError } from '../errors.ts'
import type { HealthReport } from './health.ts'
import type { PipelineMetrics } from './metrics.ts'

export interface Waits {
  apiWorks(): void
  /** Reading waits: Retry-After, or exponential with jitter, slower when a person must act. */
  apiFails(error: CollectorError): void
  /** How many answers in a row were 5xx or unreadable, this failure of a window among them; then the window may be what the API cannot answer. */
  unavailableInARow(error: CollectorError): number
  /** How long the API wants to be left alone, ms; 0 or less: not at all. */
  apiWaitMs(): number
  /** At first, and after a failure, one window at a time feels its way. */
  isApiSteady(): boolean
  /** The gate closed with an error, or opened. */
  database(error: CollectorError | undefined): void
  /** Tells a failure of the state file and lets reading wait for an interval. Throws what is no CollectorError. */
  stateFailed(error: unknown): void
  /** Runs a change of the state file; a failure is told and makes reading wait, and the change counts as not made. */
  guardState(change: () => void): boolean
  isStateWaiting(): boolean
}

/** Trouble that passes by itself is a warning first and an error after so long; and so often the log is reminded of it. */
const TROUBLE_ERROR_MS = 300_000

export function createWaits(
  options: { readonly intervalMs: number },
  deps: {
    readonly clock: Pick<Clock, 'monotonicMs'>
    readonly log: Logger
    readonly metrics: Pick<PipelineMetrics, 'apiUp' | 'dbUp' | 'hold' | 'stateWriteFailed'>
    readonly health: HealthReport
    /** From 0 to 1; for jitter. */
    readonly random: () => number
  },
): Waits {
  const { clock, log, metrics, health } = deps
  let isApiProven = false
  let apiWaitUntilMs = 0
  let apiFailures = 0
  let unavailable = 0
  let apiTroubleSinceMs: number | undefined
  /** Why the database takes no writes, since when, and when the log was told last. */
  let dbTrouble: { code: string; sinceMs: number; toldMs: number } | undefined
  let stateWaitUntilMs = 0

  function tell(room: 'source' | 'sink', error: CollectorError, sinceMs: number): void {
    const lasting = clock.monotonicMs() - sinceMs >= TROUBLE_ERROR_MS
    health.set(room, error.reaction === 'hold' || lasting ? 'error' : 'warning', error.code, error.message)
  }

  function stateFailed(error: unknown): void {
    if (!(error instanceof CollectorError)) throw error
    metrics.stateWriteFailed()
    health.set('state', 'error', error.code, error.message)
    log.error({ code: error.code, err: error }, 'state file cannot be written, reading waits')
    stateWaitUntilMs = clock.monotonicMs() + options.intervalMs
  }

  return {
    apiWorks() {
      isApiProven = true
      apiFailures = 0
      unavailable = 0
      apiTroubleSinceMs = undefined
      metrics.apiUp(true)
      metrics.hold('source', undefined)
      health.set('source', 'ok')
    },
    apiFails(error) {
      apiTroubleSinceMs ??= clock.monotonicMs()
      metrics.apiUp(false)
      metrics.hold('source', error.reaction === 'hold' ? error.code : undefined)
      tell('source', error, apiTroubleSinceMs)
      const [firstMs, mostMs] =
        error.reaction === 'hold' ? [30_000, 300_000] : error.reaction === 'split' ? [250, 30_000] : [1_000, 60_000]
      const ceilingMs = Math.min(mostMs, firstMs * 2 ** Math.min(apiFailures, 16))
      apiFailures += 1
      // Half fixed, half drawn: never at once, and not all installations at the same moment.
      const waitMs = error.retryAfterMs ?? ceilingMs / 2 + (ceilingMs / 2) * deps.random()
      apiWaitUntilMs = Math.max(apiWaitUntilMs, clock.monotonicMs() + waitMs)
    },
    unavailableInARow({ code }) {
      unavailable = code === 'api_unavailable' || code === 'api_not_json' ? unavailable + 1 : 0
      return unavailable
    },
    apiWaitMs: () => apiWaitUntilMs - clock.monotonicMs(),
    isApiSteady: () => isApiProven && apiFailures === 0,

    database(error) {
      metrics.dbUp(error === undefined)
      metrics.hold('sink', error?.reaction === 'hold' ? error.code : undefined)
      if (error === undefined) {
        if (dbTrouble !== undefined)
          log.info({ durationMs: Math.round(clock.monotonicMs() - dbTrouble.sinceMs) }, 'database takes writes again')
        dbTrouble = undefined
        return health.set('sink', 'ok')
      }
      // Several windows and every probe find the same: once is enough.
      const nowMs = clock.monotonicMs()
      const { code } = error
      const isKnown = dbTrouble?.code === code && nowMs - dbTrouble.toldMs < TROUBLE_ERROR_MS
      log[isKnown ? 'debug' : 'warn']({ code, err: error }, 'database does not take writes, reading waits')
      const sinceMs = dbTrouble?.sinceMs ?? nowMs
      dbTrouble = { code, sinceMs, toldMs: isKnown ? (dbTrouble?.toldMs ?? nowMs) : nowMs }
      tell('sink', error, sinceMs)
    },

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
