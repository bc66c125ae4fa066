/** Whether the poll loop makes progress, for `/livez`. When it does not, only a restart of the process helps.
 *
 *   a poll is in progress   there must be progress: a window ends, the database answers or fails, a wait is over
 *   none is in progress     the next one must begin
 *
 * The API and the database may be away or slow for any time: each request to them has a timeout of its own, so each step of the loop ends
 * within a time that follows from the settings. Only monotonic time counts. */
import type { Clock } from '../../base/clock.ts'

export interface Liveness {
  pollBegan(): void
  pollEnded(): void
  /** The poll in progress made a step. */
  moved(): void
  isAlive(): boolean
}

export interface LivenessOptions {
  /** The longest time from one poll to the next, ms. */
  readonly gapMs: number
  /** The longest time that one step of a poll may wait for the API and the database, by their timeouts, ms. */
  readonly stepMaxMs: number
}

const SPARE_MS = 300_000
/** After three gaps the schedule polls whatever the wall clock says (schedule.ts). */
const GAPS_MAX = 4

export function createLiveness(
  { gapMs, stepMaxMs }: LivenessOptions,
  { monotonicMs }: Pick<Clock, 'monotonicMs'>,
): Liveness {
  let isPolling = false
  let movedMs = monotonicMs()

  function moved(): void {
    movedMs = monotonicMs()
  }

  return {
    pollBegan() {
      isPolling = true
      moved()
    },
    pollEnded() {
      isPolling = false
      moved()
    },
    moved,
    isAlive: () => monotonicMs() - movedMs <= SPARE_MS + (isPolling ? stepMaxMs : GAPS_MAX * gapMs),
  }
}
