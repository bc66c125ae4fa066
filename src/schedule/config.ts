/** The settings `poll.*`: how often, how far back and in what portions the API is read. */
import { z } from 'zod'
import { bytesSchema, durationSchema, formatDuration } from '../base/units.ts'
import {
  DEFAULT_SCHEDULE,
  EVEN_INTERVALS_MS,
  expressionOf,
  nearestIntervals,
  type PollTimes,
  parseSchedule,
} from './poll-times.ts'

/** Late passes have numbers, and each one reads everything again. */
const LATE_PASSES_MAX = 4
const HOUR_MS = 3_600_000

const latePasses = z
  .array(durationSchema({ min: '1m', max: '7d' }))
  .max(LATE_PASSES_MAX, `must be at most ${LATE_PASSES_MAX} durations`)
  .refine((passes) => passes.every((ms, index) => index === 0 || ms > passes[index - 1]!), {
    message: 'must be durations that grow, such as [15m, 24h]',
  })

export const pollSchema = z
  .strictObject({
    schedule: z.string().optional().meta({
      default: DEFAULT_SCHEDULE,
      description:
        'When new flow logs are polled: a cron expression in UTC with five fields, or six with seconds; at least 5s apart, and every day.',
    }),
    interval: durationSchema({ min: '5s', max: '1h' })
      .optional()
      .describe(
        `Short form of poll.schedule, for intervals that cron can keep evenly: ${EVEN_INTERVALS_MS.map(formatDuration).join(', ')}.`,
      ),
    lag: durationSchema({ default: '60s', min: '5s', max: '1h' }).describe(
      "How far behind the API's clock a window may end, so that records have time to appear.",
    ),
    lookback: durationSchema({ default: '24h', min: '0s', max: '30d' }).describe(
      'How much history the first start reads. The oldest two hours that Tailscale keeps are left out: they would expire meanwhile.',
    ),
    retention: durationSchema({ default: '30d', min: '1d', max: '365d' }).describe(
      'How long Tailscale keeps flow logs; anything older is reported as lost.',
    ),
    windowMax: durationSchema({ default: '1h', min: '10s', max: '24h' }).describe(
      'Longest window of one request while catching up; at least twice the time between two polls, or 1h.',
    ),
    windowBytesTarget: bytesSchema({ default: '8MiB', min: '64KiB', max: '1GiB' }).describe(
      'Windows grow and shrink so that responses have about this size (after decompression).',
    ),
    parallel: z
      .number()
      .int()
      .min(1)
      .max(16)
      .default(3)
      .describe('Maximum number of windows read at the same time while catching up.'),
    latePasses: latePasses
      .prefault(['15m', '24h'])
      .describe('Ages at which each window is read again for records that appeared late; an empty list reads once.'),
  })
  .superRefine((poll, context) => {
    const fault = (path: keyof typeof poll, message: string) =>
      context.addIssue({ code: 'custom', path: [path], message })
    const gapMs = checkTimes(poll, fault)
    const windowMaxMin = Math.min(2 * gapMs, HOUR_MS)
    if (poll.windowMax < windowMaxMin) {
      fault(
        'windowMax',
        `must be at least ${formatDuration(windowMaxMin)}, twice the time between two polls, or a poll takes many requests`,
      )
    }
    if (poll.lookback > poll.retention) {
      fault('lookback', `must not exceed poll.retention (${formatDuration(poll.retention)}): nothing older can be read`)
    }
    const last = poll.latePasses.at(-1) ?? 0
    if (last >= poll.retention)
      fault('latePasses', `must be shorter than poll.retention (${formatDuration(poll.retention)})`)
  })

  // Always the schedule in force, also in `print-config`.
  .transform((poll) => ({ ...poll, schedule: scheduleOf(poll) }))

export type PollConfig = z.output<typeof pollSchema>

/** The settings with the unit of each value in its name. */
export function pollOptions(poll: PollConfig) {
  return {
    /** The longest time between two polls. */
    intervalMs: pollTimes(poll).gapMs,
    lagMs: poll.lag,
    lookbackMs: poll.lookback,
    retentionMs: poll.retention,
    windowMaxMs: poll.windowMax,
    windowBytesTarget: poll.windowBytesTarget,
    parallel: poll.parallel,
    latePassesMs: poll.latePasses,
  }
}

/** The times of polls by valid settings. */
export function pollTimes({ schedule }: Pick<PollConfig, 'schedule'>): PollTimes {
  return parseSchedule(schedule)
}

interface Times {
  readonly schedule?: string | undefined
  readonly interval?: number | undefined
}

function scheduleOf({ schedule, interval }: Times): string {
  return schedule ?? (interval === undefined ? undefined : expressionOf(interval)) ?? DEFAULT_SCHEDULE
}

/** Reports what is wrong with the two settings of time. Returns the longest time between two polls, ms (of the default when they are wrong). */
function checkTimes({ schedule, interval }: Times, fault: (path: 'schedule' | 'interval', message: string) => void) {
  const short = interval === undefined ? undefined : expressionOf(interval)
  if (interval !== undefined && short === undefined) {
    fault(
      'interval',
      `cannot be kept evenly by a cron expression; use ${nearestIntervals(interval)}, or set poll.schedule instead`,
    )
  }
  // `print-config` shows both, and is a settings file.
  if (interval !== undefined && schedule !== undefined && schedule !== short)
    fault('interval', 'and poll.schedule are both set, but only one of them is allowed; remove one')
  try {
    return parseSchedule(scheduleOf({ schedule, interval })).gapMs
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    fault('schedule', error.message)
    return parseSchedule(DEFAULT_SCHEDULE).gapMs
  }
}
