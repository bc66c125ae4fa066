/** How long a place should keep points, in shards of which length. */
import { formatDuration } from '../base/units.ts'
import type { Place } from '../sink/influxdb/places.ts'
import { type Item, left, right, step } from './plan.ts'

/** Of a place, as it is or as it should be; seconds. */
export interface Keeping {
  /** Undefined: forever. */
  readonly keptSeconds: number | undefined
  /** Undefined: the server has no shards, or does not report their length. */
  readonly shardSeconds: number | undefined
}

const DAY = 86_400

/** Of a new place. 1.x and 2.x pay for each series in each shard, so rows of hours and days belong in long ones; but a shard expires as a whole, and one
 * of 90 days with raw points would be too large. `isAlone`: raw points and minutes are elsewhere. */
export function keepingFor({ target, retentionMs }: Pick<Place, 'target' | 'retentionMs'>, isAlone: boolean): Keeping {
  const keptSeconds = retentionMs === undefined ? undefined : Math.round(retentionMs / 1000)
  const days = (keptSeconds ?? Number.POSITIVE_INFINITY) / DAY
  const isLong = target === 'main' && isAlone
  const shardDays = isLong ? (days >= 360 ? 90 : days >= 90 ? 30 : days >= 14 ? 7 : 1) : days >= 180 ? 7 : 1
  return { keptSeconds, shardSeconds: shardDays * DAY }
}

/** `keeps points for 7d, in shards of 1d`. */
export function keepingText({ keptSeconds, shardSeconds }: Keeping): string {
  const shards = shardSeconds === undefined ? '' : `, in shards of ${durationText(shardSeconds)}`
  return `keeps points ${keptText(keptSeconds)}${shards}`
}

/** `7d`, as settings, InfluxQL and the command-line tools of InfluxDB write it. */
export function durationText(seconds: number): string {
  return formatDuration(Math.round(seconds * 1000))
}

function keptText(seconds: number | undefined): string {
  return seconds === undefined ? 'forever' : `for ${durationText(seconds)}`
}

/** Compares what a place does with the settings. Never makes a place keep points for a shorter time unless `mayShorten`, because that removes the older
 * ones, also those of other programs. A main place without `retention.rest` is left as it is. */
export function compareKeeping(
  place: Pick<Place, 'target' | 'label' | 'retentionMs'>,
  is: Keeping,
  wanted: Keeping,
  options: {
    readonly mayShorten: boolean
    /** How to change it by hand. */
    readonly byHand: (to: Keeping) => string
    readonly change: (to: Keeping, signal: AbortSignal) => Promise<void>
  },
): Item {
  const { target, label, retentionMs } = place
  const there = `${label} ${keepingText(is)}`
  if (retentionMs === undefined) return right(`${there}.`)
  const isKept = is.keptSeconds === wanted.keptSeconds
  const isSharded = is.shardSeconds === undefined || is.shardSeconds === wanted.shardSeconds
  if (isKept && isSharded) return right(`${there}.`)
  const isShorter = (wanted.keptSeconds ?? Number.POSITIVE_INFINITY) < (is.keptSeconds ?? Number.POSITIVE_INFINITY)
  if (isShorter && !options.mayShorten) {
    const key = `retention.${target === 'main' ? 'rest' : target}`
    return left(
      `${there}, and ${key} is ${keptText(wanted.keptSeconds).replace('for ', '')}. It was not changed, because the server would remove all older points, also those of other programs.`,
      `If that is what you want: tailflux init --shorten. Else change ${key}.`,
    )
  }
  const to = {
    keptSeconds: wanted.keptSeconds,
    shardSeconds: is.shardSeconds === undefined ? undefined : wanted.shardSeconds,
  }
  return step(`${label}: it ${keepingText(is)}, and then it ${keepingText(to)}`, options.byHand(to), (signal) =>
    options.change(to, signal),
  )
}
