/** When a tick runs: node-cron in UTC, never two at once, and a watchdog beside it, because a cron library that skips (a changed clock,
 * a suspended machine) must not stop ingestion. node-cron's own `stop()` does not wait for a running job; ours does. */
import { schedule as cronSchedule, type ScheduledTask } from 'node-cron'
import type { Logger } from 'pino'
import type { Clock } from '../clock.ts'

export interface Schedule {
  /** Runs the job at once and from then on by the schedule. */
  start(): Promise<void>
  /** Runs the job now, or joins the run that is under way. Rejects when the job does. */
  run(): Promise<void>
  /** When the next run begins by the schedule, RFC 3339; null while one is under way or none is to come. */
  next(): string | null
  /** No further run; waits for the one under way. Idempotent. */
  stop(): Promise<void>
}

/** Seconds field of a cron expression for an interval in ms: below a minute every n seconds, above it every n minutes. */
export function cronOf(intervalMs: number): string {
  const seconds = Math.max(1, Math.round(intervalMs / 1000))
  return seconds < 60 ? `*/${seconds} * * * * *` : `0 */${Math.min(59, Math.round(seconds / 60))} * * * *`
}

export function createSchedule(
  options: { intervalMs: number; name: string },
  deps: {
    job: () => Promise<unknown>
    /** Called every interval, also while the job runs. */
    watch?: () => void
    clock: Clock
    log: Logger
    onBroken: (error: unknown) => void
  },
): Schedule {
  let task: ScheduledTask | undefined
  let running: Promise<void> | undefined
  let lastMs = Number.NEGATIVE_INFINITY
  const stopping = new AbortController()
  let watchdog: Promise<void> | undefined

  function run(): Promise<void> {
    if (stopping.signal.aborted) return Promise.resolve()
    lastMs = deps.clock.monotonicMs()
    running ??= (async () => {
      try {
        await deps.job()
      } finally {
        running = undefined
        lastMs = deps.clock.monotonicMs()
      }
    })()
    return running
  }

  /** A job that rejects is a programmer's error: whoever composes the service decides, usually by ending the process. */
  function trigger(): void {
    run().catch(deps.onBroken)
  }

  async function watch(): Promise<void> {
    while (!stopping.signal.aborted) {
      await deps.clock.sleep(options.intervalMs, stopping.signal).catch(() => undefined)
      if (stopping.signal.aborted) return
      deps.watch?.()
      if (running === undefined && deps.clock.monotonicMs() - lastMs > 3 * options.intervalMs) {
        deps.log.warn({ intervalMs: options.intervalMs }, 'schedule did not fire, running the job from the watchdog')
        trigger()
      }
    }
  }

  return {
    async start() {
      task ??= cronSchedule(cronOf(options.intervalMs), trigger, {
        timezone: 'UTC',
        noOverlap: true,
        name: options.name,
      })
      watchdog ??= watch()
      trigger()
    },
    run,
    next() {
      if (running !== undefined || stopping.signal.aborted) return null
      return task?.getNextRun()?.toISOString() ?? null
    },
    async stop() {
      stopping.abort(new Error('stopping'))
      await task?.destroy()
      await watchdog
      await running?.catch(() => undefined)
    },
  }
}
