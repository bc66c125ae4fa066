/** When polls are due: a cron expression in UTC, read and checked by node-cron. Only its parser is used: its timer walks every time that a
 * clock jumped over, at a cost that grows with the jump, so the timer is ours (schedule.ts). */
import { validateDetailed } from 'node-cron'
import { formatDuration } from '../base/units.ts'

export interface PollTimes {
  /** As node-cron takes it, such as `0 5 * * * *`. */
  readonly expression: string
  /** The longest time from one poll to the next, ms. */
  readonly gapMs: number
  /** The first poll after this time; both ms since the epoch. The cost does not depend on the time. */
  next(afterMs: number): number
}

/** What a cron expression can say evenly, in the form of `poll.interval`, ms. */
export const EVEN_INTERVALS_MS: readonly number[] = [
  ...[5, 6, 10, 12, 15, 20, 30].map((seconds) => seconds * 1_000),
  ...[1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30, 60].map((minutes) => minutes * 60_000),
]
export const DEFAULT_SCHEDULE = '*/30 * * * * *'

/** The shortest time between two polls. */
const GAP_MS_MIN = 5_000
const SECOND = 1_000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

/** The expression for one of EVEN_INTERVALS_MS; undefined for any other interval. */
export function expressionOf(intervalMs: number): string | undefined {
  if (!EVEN_INTERVALS_MS.includes(intervalMs)) return undefined
  if (intervalMs < MINUTE) return `*/${intervalMs / SECOND} * * * * *`
  return intervalMs < HOUR ? `0 */${intervalMs / MINUTE} * * * *` : '0 0 * * * *'
}

/** The nearest even interval below and above, for people: `30s or 1m`. */
export function nearestIntervals(intervalMs: number): string {
  const below = EVEN_INTERVALS_MS.findLast((ms) => ms < intervalMs)
  const above = EVEN_INTERVALS_MS.find((ms) => ms > intervalMs)
  return [below, above].flatMap((ms) => (ms === undefined ? [] : formatDuration(ms))).join(' or ')
}

/** Throws a RangeError that says what is wrong with the expression, as the rest of a sentence that begins with its name. */
export function parseSchedule(expression: string): PollTimes {
  const { fields, errors } = validateDetailed(expression)
  if (fields === undefined || errors.length > 0) {
    const why = errors.map(({ message }) => message).join('; ')
    throw new RangeError(
      `must be a cron expression of five fields, or six with seconds, such as '${DEFAULT_SCHEDULE}' (${why})`,
    )
  }
  const days = [fields.dayOfMonth, fields.month, fields.dayOfWeek]
  if (days.some((values, index) => new Set(values).size < [31, 12, 7][index]!)) {
    throw new RangeError(
      `must poll every day: put * for day of month, month and day of week ('0 0 3 * * *' polls at 03:00 UTC)`,
    )
  }
  const [hours, minutes, seconds] = [fields.hour, fields.minute, fields.second].map((values) =>
    values.toSorted((one, other) => one - other),
  ) as [number[], number[], number[]]

  function* dayTimes(): Generator<number> {
    for (const hour of hours)
      for (const minute of minutes) for (const second of seconds) yield hour * HOUR + minute * MINUTE + second * SECOND
  }

  const [firstMs = 0] = dayTimes()
  let beforeMs: number | undefined
  let [shortestMs, longestMs] = [DAY, 0]
  for (const atMs of [...dayTimes(), firstMs + DAY]) {
    if (beforeMs !== undefined) {
      shortestMs = Math.min(shortestMs, atMs - beforeMs)
      longestMs = Math.max(longestMs, atMs - beforeMs)
    }
    beforeMs = atMs
  }
  if (shortestMs < GAP_MS_MIN)
    throw new RangeError(`must leave at least ${formatDuration(GAP_MS_MIN)} between two polls`)

  return {
    expression,
    gapMs: longestMs,
    next(afterMs) {
      const dayMs = Math.floor(afterMs / DAY) * DAY
      for (const hour of hours) {
        for (const minute of minutes) {
          const minuteMs = dayMs + hour * HOUR + minute * MINUTE
          if (minuteMs + MINUTE <= afterMs) continue
          for (const second of seconds) if (minuteMs + second * SECOND > afterMs) return minuteMs + second * SECOND
        }
      }
      return dayMs + DAY + firstMs
    },
  }
}
