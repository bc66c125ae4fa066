/** Whether the poll loop moves, for `/livez`: only a restart of the process helps when it does not.
 *
 *   a poll is under way   something must move: a window ends, the database answers or fails, a wait is over
 *   none is under way     the next one must begin
 *
 * The API and the database may be away or slow for as long as they like: each request to them has a time-out of its own, so each step of the
 * loop ends in a time that the settings bound. Monotonic time alone counts. */
import type { Clock } from '../../base/clock.ts'

export interface Liveness {
  pollBegan(): void
  pollEnded(): void
  /** The poll that is under way made a step. */
  moved(): void
  isAlive(): boolean
}

export interface LivenessOptions {
  /** The longest time from one poll to the next, ms. */
  readonly gapMs: number
  /** The longest that the API and the database may keep one step of a poll waiting, ms, by their time-outs. */
  readonly stepMaxMs: number
}

const SPARE_MS = 300_000
/** Beyond three gaps the schedule itself polls, whatever the wall clock says (schedule.ts). */
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
