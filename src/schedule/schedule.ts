/** When a poll runs: at the times of the schedule, never two at once. The wall clock is looked at every second and may jump either way, at a
 * cost that does not depend on how far:
 *
 *   forward over a poll, or over thousands   one poll at once, then the next by the new time
 *   back                                     the next by the new time
 *   it stands still                          after three times the longest gap the watchdog polls
 *
 * Between two looks only monotonic time counts. It stands still while a machine is suspended, so a second after waking up is early enough. */
import type { Logger } from 'pino'
import { type Clock, MS } from '../base/clock.ts'
import { isoOf } from '../base/format.ts'
import type { PollTimes } from './poll-times.ts'

export interface Schedule {
  /** Runs the job at once and from then on by the schedule. */
  start(): Promise<void>
  /** Runs the job now, or joins the run that is in progress. Rejects when the job does. */
  run(): Promise<void>
  /** When the next run begins, RFC 3339; null while one is in progress or none is to come. */
  next(): string | null
  /** No further run; waits for the one in progress. Idempotent. */
  stop(): Promise<void>
}

export interface ScheduleDeps {
  /** Resolves with true when it left something undone that should not wait for the schedule: then it runs again after RETRY_MS. */
  readonly job: () => Promise<boolean>
  /** Called every WATCH_MS or gap, also while the job runs. */
  readonly watch?: () => void
  readonly clock: Clock
  readonly log: Logger
  /** The job rejected: a programmer's error. */
  readonly onBroken: (error: unknown) => void
}

const LOOK_MS = 1_000
const WATCH_MS = 30_000
const RETRY_MS = 30_000

/** No I/O and no timer before `start`. */
export function createSchedule(times: PollTimes, deps: ScheduleDeps): Schedule {
  const { clock, log } = deps
  const stopping = new AbortController()
  let running: Promise<void> | undefined
  let looking: Promise<void> | undefined
  /** When the job began or ended last, and when it is to run again because it left something undone; monotonic. */
  let lastMs = Number.NEGATIVE_INFINITY
  let retryMs = Number.POSITIVE_INFINITY

  const wallMs = () => Number(clock.now() / MS)

  function run(): Promise<void> {
    if (stopping.signal.aborted) return Promise.resolve()
    lastMs = clock.monotonicMs()
    running ??= (async () => {
      retryMs = Number.POSITIVE_INFINITY
      try {
        if (await deps.job()) retryMs = clock.monotonicMs() + RETRY_MS
      } finally {
        running = undefined
        lastMs = clock.monotonicMs()
      }
    })()
    return running
  }

  /** A job that rejects is a programmer's error: whoever composes the service decides, usually by ending the process. */
  function trigger(): void {
    run().catch(deps.onBroken)
  }

  function watch(): void {
    try {
      deps.watch?.()
    } catch (error) {
      log.error({ err: error }, 'observer of the schedule failed, polling continues; please report this error')
    }
  }

  async function look(): Promise<void> {
    let seenMs = wallMs()
    let dueMs = times.next(seenMs)
    let watchedMs = clock.monotonicMs()
    while (!stopping.signal.aborted) {
      await clock.sleep(Math.max(0, Math.min(LOOK_MS, dueMs - seenMs)), stopping.signal)
      const [nowMs, monotonicMs] = [wallMs(), clock.monotonicMs()]
      // Set back: what was due by the old time may be years away.
      if (nowMs < seenMs) dueMs = times.next(nowMs)
      seenMs = nowMs
      if (nowMs >= dueMs) {
        dueMs = times.next(nowMs)
        trigger()
      } else if (running === undefined && monotonicMs >= retryMs) trigger()
      else if (running === undefined && monotonicMs - lastMs > 3 * times.gapMs) {
        log.warn({ gapMs: times.gapMs }, 'clock of this machine does not move, polling anyway; check its time')
        trigger()
      }
      if (monotonicMs - watchedMs >= Math.min(times.gapMs, WATCH_MS)) {
        watchedMs = monotonicMs
        watch()
      }
    }
  }

  return {
    async start() {
      looking ??= look().catch((error: unknown) => {
        if (!stopping.signal.aborted) deps.onBroken(error)
      })
      trigger()
    },
    run,
    next() {
      if (looking === undefined || running !== undefined || stopping.signal.aborted) return null
      const dueMs = Math.min(times.next(wallMs()), wallMs() + Math.max(0, retryMs - clock.monotonicMs()))
      return isoOf(BigInt(Math.round(dueMs)) * MS)
    },
    async stop() {
      stopping.abort(new Error('stopping'))
      await looking
      await running?.catch(() => undefined)
    },
  }
}
