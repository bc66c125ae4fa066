/** Settings of pipeline/: how often, how far back and in what portions the API is read. */
import { z } from 'zod'
import { bytesSchema, durationSchema, formatDuration } from '../units.ts'

/** Late passes are told apart by their position, and each costs a reading of everything. */
const LATE_PASSES_MAX = 4

const latePasses = z
  .array(durationSchema({ min: '1m', max: '7d' }))
  .max(LATE_PASSES_MAX, `must be at most ${LATE_PASSES_MAX} durations`)
  .refine((passes) => passes.every((ms, index) => index === 0 || ms > passes[index - 1]!), {
    message: 'must be durations that grow, such as [15m, 24h]',
  })

export const pollSchema = z
  .strictObject({
    interval: durationSchema({ default: '30s', min: '5s', max: '1h' }).describe(
      'How often new flow logs are asked for.',
    ),
    lag: durationSchema({ default: '60s', min: '5s', max: '1h' }).describe(
      "How far behind the API's clock windows end, so that records have time to appear.",
    ),
    lookback: durationSchema({ default: '24h', min: '0s', max: '30d' }).describe(
      'How much history the very first start reads.',
    ),
    retention: durationSchema({ default: '30d', min: '1d', max: '365d' }).describe(
      'How long Tailscale keeps flow logs; what is older is told as lost.',
    ),
    windowMax: durationSchema({ default: '1h', min: '10s', max: '24h' }).describe(
      'Longest window asked for in one request while catching up; at least twice the interval.',
    ),
    windowBytesTarget: bytesSchema({ default: '8MiB', min: '64KiB', max: '1GiB' }).describe(
      'Windows grow and shrink towards answers of this size (after decompression).',
    ),
    parallel: z
      .number()
      .int()
      .min(1)
      .max(16)
      .default(3)
      .describe('How many windows are read at the same time while catching up.'),
    latePasses: latePasses
      .prefault(['15m', '24h'])
      .describe('Ages at which each window is read again for records that appeared late; an empty list reads once.'),
  })
  .superRefine((poll, context) => {
    const fault = (path: keyof typeof poll, message: string) =>
      context.addIssue({ code: 'custom', path: [path], message })
    if (poll.windowMax < 2 * poll.interval) {
      fault(
        'windowMax',
        `must be at least twice poll.interval (${formatDuration(2 * poll.interval)}), or a backlog is never caught up`,
      )
    }
    if (poll.lookback > poll.retention) {
      fault('lookback', `must not exceed poll.retention (${formatDuration(poll.retention)}): nothing older can be read`)
    }
    const last = poll.latePasses.at(-1) ?? 0
    if (last >= poll.retention)
      fault('latePasses', `must be shorter than poll.retention (${formatDuration(poll.retention)})`)
  })

export type PollConfig = z.output<typeof pollSchema>
