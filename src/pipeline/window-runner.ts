/** Runs one planned window: `deliverWindow` reads and writes it, and this file decides what follows from how it ended.
 *
 *   done              planner, horizon, metrics and the checkpoint in the database are updated
 *   too much          the planner plans it again in smaller windows
 *   API fails         all reading waits (Retry-After, or exponential backoff with jitter)
 *   API refuses       the same, but longer, and /health says how to fix it
 *   database fails    the circuit breaker opens
 *   database limit    what was accepted is stored; the window becomes a gap that is retried
 *   state file fails  the window stays not done; reading waits */
import type { Logger } from 'pino'
import { CollectorError } from '../base/errors.ts'
import { isoOf } from '../base/format.ts'
import type { GapReason, Interval, Ledger } from '../ledger/ledger.ts'
import type { DatabaseHealth } from '../observe/line/database-health.ts'
import type { LineHealth } from '../observe/line/line-health.ts'
import type { Delivered } from '../observe/line/status.ts'
import type { Backfill } from './backfill.ts'
import type { Backoff } from './backoff.ts'
import type { CircuitBreaker } from './circuit-breaker.ts'
import type { WindowResult } from './deliver-window.ts'
import { type DeliverWindowDeps, deliverWindow, type WorkerParts } from './deliver-window.ts'
import type { PlannedWindow, Planner } from './planner.ts'
import type { createCheckpoint } from './recovery/checkpoint.ts'
import type { SafeReadHorizon, SourceClock } from './source-clock.ts'

export interface WindowRunnerDeps extends DeliverWindowDeps {
  readonly createWorker: () => WorkerParts
  readonly ledger: Pick<Ledger, 'beginAttempt' | 'done' | 'endAttempt' | 'forget'>
  readonly sourceClock: SourceClock
  readonly horizon: Pick<SafeReadHorizon, 'learn'>
  readonly backoff: Backoff
  readonly breaker: Pick<CircuitBreaker, 'succeeded' | 'failed'>
  readonly database: Pick<DatabaseHealth, 'began'>
  readonly delivered: Delivered
  readonly backfill: Pick<Backfill, 'learn'>
  readonly checkpoint: ReturnType<typeof createCheckpoint>
  readonly line: LineHealth
  readonly log: Logger
}

/** After this many 5xx in a row the window itself may be what the API cannot answer. */
const UNAVAILABLE_MAX = 3

const GAP_REASON_OF: Partial<Record<string, GapReason>> = {
  api_timeout: 'timeout',
  api_gateway: 'gateway',
  api_truncated: 'truncated',
  api_too_large: 'too_large',
  api_not_json: 'not_json',
  api_unavailable: 'unavailable',
}

/** Returns the function that runs a window. When `aborting` aborts, the window in progress is released. Rejects only on a programmer's error. */
export function createWindowRunner(
  deps: WindowRunnerDeps,
  aborting: AbortSignal,
): (window: PlannedWindow, plan: Planner) => Promise<void> {
  const { sourceClock, backoff, breaker, metrics, log } = deps
  /** Parts that no window uses at the moment. */
  const idle: WorkerParts[] = []

  function learn(window: PlannedWindow, result: WindowResult): void {
    const reachedNs = result.doneToNs ?? window.fromNs
    deps.horizon.learn(window, reachedNs, result.serverNs !== undefined)
    const shown = deps.delivered.add(window, reachedNs, result)
    if (window.previous && result.changed) {
      const messages = Math.max(1, result.messages - window.previous.messages)
      deps.delivered.late(messages)
      metrics.late(window.pass, messages, Number(sourceClock.serverNowNs() - window.toNs) / 1e9)
    }
    // A late pass reads again what was counted already.
    if (window.previous === undefined) deps.backfill.learn({ fromNs: window.fromNs, toNs: reachedNs }, result)
    metrics.windowDone(window.pass, result)
    const { messages, entries, bytes, written } = result
    log.info({ ...shown, messages, entries, bytes, written }, 'window done')
    deps.line.measure()
  }

  function failed(window: PlannedWindow, plan: Planner, error: unknown): void {
    if (aborting.aborted) return plan.released(window)
    if (!(error instanceof CollectorError)) throw error
    metrics.windowFailed(error.code)
    const { code, reaction } = error
    const where = { from: isoOf(window.fromNs), to: isoOf(window.toNs), queue: window.queue }
    // The database was away for a moment and is back: nothing waits for that.
    if (code === 'db_interrupted') return plan.released(window)
    // The state file and the database fail for every window alike: backoff or circuit breaker log that once, with the fix.
    const isOurs = error.stage === 'ledger' || error.stage === 'sink'
    // So does an API that refuses.
    log[isOurs || reaction === 'hold' ? 'debug' : 'warn'](
      { ...where, code, reaction, err: error },
      'window failed, will retry',
    )
    if (isOurs) {
      plan.released(window)
      return error.stage === 'ledger' ? backoff.stateFailed(error) : breaker.failed(error, window)
    }
    const isUnavailable = backoff.unavailableInARow(error) >= UNAVAILABLE_MAX
    const isTooMuch = reaction === 'split' || isUnavailable
    const reason = GAP_REASON_OF[code]
    if (isTooMuch && reason) {
      metrics.windowSplit()
      if (!backoff.guardState(() => plan.tooMuch(window, reason, sourceClock.safeNowNs()))) plan.released(window)
    } else plan.released(window)
    backoff.apiFails(error)
  }

  /** API and database work, but the database refused lines of this window because of a limit. */
  function limited(window: PlannedWindow, plan: Planner, { doneToNs, serverNs, limits }: WindowResult) {
    metrics.windowFailed('db_limit')
    backoff.apiWorks()
    breaker.succeeded(window, 0)
    const toNs = doneToNs ?? window.fromNs
    deps.horizon.learn(window, toNs, serverNs !== undefined)
    if (!backoff.guardState(() => plan.limited(window, toNs, sourceClock.safeNowNs()))) plan.released(window)
    deps.line.limited(window, limits)
  }

  /** A database that was away after the last batch and before the checkpoint may have lost the batches and still show the checkpoint. */
  function confirm(window: Interval, { isWritten, sentMs }: WindowResult): void {
    if (!isWritten || !deps.recovery.wasAwaySince(sentMs) || !deps.recovery.mayInterrupt(window)) return
    backoff.guardState(() => deps.ledger.forget(window))
  }

  return async function runWindow(window, plan) {
    const parts = idle.pop() ?? deps.createWorker()
    let result: WindowResult
    deps.line.began()
    const ended = deps.database.began()
    try {
      result = await deliverWindow(window, parts, deps, aborting)
    } catch (error) {
      failed(window, plan, error)
      return
    } finally {
      deps.line.ended()
      ended()
      idle.push(parts)
    }
    if (result.limits.length > 0) return limited(window, plan, result)
    breaker.succeeded({ fromNs: window.fromNs, toNs: result.doneToNs ?? window.fromNs }, result.written)
    backoff.apiWorks()
    const { bytes, pass } = result
    plan.succeeded(window, { toNs: result.doneToNs ?? window.fromNs, bytes, pass }, sourceClock.safeNowNs())
    learn(window, result)
    if (result.doneToNs === undefined) return
    const isShown = await deps.checkpoint(window, result.doneToNs, result, aborting)
    // Without its checkpoint the comparison finds it missing.
    if (isShown) confirm({ fromNs: window.fromNs, toNs: result.doneToNs }, result)
  }
}
