/** Reads until nothing is missing below the safe read horizon: takes windows from the planner and runs a bounded number at a time. */
import type { Clock } from '../base/clock.ts'
import type { Liveness } from '../observe/line/liveness.ts'
import type { TickResult } from '../observe/line/status.ts'
import type { Backoff } from './backoff.ts'
import type { CircuitBreaker } from './circuit-breaker.ts'
import type { Expiry } from './expiry.ts'
import type { PlannedWindow, Planner } from './planner.ts'
import type { Recovery } from './recovery/recovery.ts'
import type { SafeReadHorizon, SourceClock } from './source-clock.ts'

export interface WorkerPoolDeps {
  readonly runWindow: (window: PlannedWindow, plan: Planner) => Promise<void>
  readonly sourceClock: Pick<SourceClock, 'safeNowNs' | 'hasJumped'>
  readonly horizon: Pick<SafeReadHorizon, 'ns' | 'forget'>
  readonly expiry: Expiry
  readonly backoff: Backoff
  readonly breaker: Pick<CircuitBreaker, 'state' | 'trial'>
  readonly recovery: Pick<Recovery, 'isDue' | 'reach' | 'askTime'>
  readonly liveness: Pick<Liveness, 'moved'>
  readonly isPaused: () => boolean
  readonly clock: Pick<Clock, 'sleep'>
}

/** Resolves when there is nothing more to read, or with the reason why it stopped before. Never resolves while a window is in progress.
 * Rejects only on a programmer's error. */
export async function runWorkers(
  plan: Planner,
  options: { readonly parallel: number; readonly intervalMs: number },
  deps: WorkerPoolDeps,
  signal: AbortSignal,
): Promise<TickResult> {
  const { backoff, breaker, clock } = deps
  const flying = new Set<Promise<void>>()
  let broken: unknown
  while (true) {
    deps.liveness.moved()
    const waitMs = backoff.apiWaitMs()
    const canRead =
      broken === undefined &&
      !signal.aborted &&
      !deps.isPaused() &&
      breaker.state !== 'open' &&
      waitMs <= 0 &&
      !backoff.isStateWaiting()
    // For these, windows in progress must end first.
    const hasJumped = canRead && deps.sourceClock.hasJumped()
    const isExpiring = canRead && deps.expiry.isDue()
    const isComparing = canRead && deps.recovery.isDue()
    const isResting = hasJumped || isExpiring || isComparing
    const most = backoff.isApiSteady() && breaker.state === 'closed' ? options.parallel : 1
    while (canRead && !isResting && flying.size < most) {
      const window = plan.next(deps.sourceClock.safeNowNs(), deps.horizon.ns(), breaker.trial)
      if (window === undefined) break
      const flight: Promise<void> = deps
        .runWindow(window, plan)
        .catch((error: unknown) => {
          broken ??= error
        })
        .finally(() => flying.delete(flight))
      flying.add(flight)
    }
    if (flying.size > 0) {
      await Promise.race(flying)
      continue
    }
    if (broken !== undefined) throw broken
    if (signal.aborted) return 'stopped'
    if (deps.isPaused()) return 'paused'
    if (breaker.state === 'open') return 'db_down'
    if (hasJumped) {
      if (await deps.recovery.askTime(signal)) deps.horizon.forget()
      continue
    }
    if (isExpiring) {
      backoff.guardState(deps.expiry.giveUp)
      continue
    }
    if (isComparing) {
      await deps.recovery.reach(signal)
      continue
    }
    // Rounded up: a rest of less than 1 ms must not count as the end of the backfill.
    const restMs = Math.ceil(plan.restMs())
    if (canRead && restMs > 0) {
      await clock.sleep(restMs, signal).catch(() => undefined)
      continue
    }
    if (canRead) return 'caught_up'
    if (backoff.isStateWaiting()) return 'state_failed'
    if (waitMs > options.intervalMs) return 'api_waiting'
    await clock.sleep(waitMs, signal).catch(() => undefined)
  }
}
