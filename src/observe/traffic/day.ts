/** Traffic by kind in the last day, minute by minute. Kinds are never added up: physical traffic is the other kinds once more, encrypted. */
import { KINDS, type Kind } from '../../source/parse/message.ts'

export const DAY_MINUTES = 1_440
/** Minutes that one point of the chart is the mean of. */
const BUCKET_MINUTES = 5
const BUCKETS = DAY_MINUTES / BUCKET_MINUTES

interface KindView {
  /** Bytes per second: of the newest minute, and of the largest one; null before the first minute. */
  readonly now: number | null
  readonly peak: number | null
  /** Bytes of the day. */
  readonly total: number
}

/** Both directions together, each byte once. */
export interface ThroughputView {
  readonly bucketSeconds: number
  /** Begin of the oldest bucket, seconds since the epoch (the nodes' clocks). */
  readonly fromSeconds: number
  /** Bytes per second, oldest first; null for what is not known. */
  readonly bytes: Readonly<Record<Kind, readonly (number | null)[]>>
  readonly kinds: Readonly<Record<Kind, KindView>>
}

export interface Day {
  /** What a minute says: bytes by kind, in the order of KINDS. A reported one is never replaced by a loaded one. */
  set(minute: number, bytes: readonly number[], source: 'reported' | 'loaded'): void
  /** Everything that is known of these minutes was reported or loaded: the others are quiet, unless something of them was never read. */
  cover(fromMinute: number, toMinute: number): void
  isReported(minute: number): boolean
  markGap(minute: number, hasGap: boolean): void
  /** `isRead`: everything that was logged of a minute was read. Both of the day that ends with `endMinute`, which itself is not in it. */
  view(endMinute: number, isRead: (minute: number) => boolean): ThroughputView
  /** Minutes of which something is in a gap. */
  gapMinutes(endMinute: number): number
}

const COVERED = 1
const HAS_ROWS = 2
const IS_REPORTED = 4
const HAS_GAP = 8

export function createDay(): Day {
  const bytes = new Float64Array(DAY_MINUTES * KINDS.length)
  const flags = new Uint8Array(DAY_MINUTES)
  /** Which minute a place of the ring holds. */
  const minutes = new Float64Array(DAY_MINUTES).fill(-1)

  /** The place of a minute; undefined when a newer one has it. */
  function placeOf(minute: number): number | undefined {
    const place = minute % DAY_MINUTES
    if (minutes[place]! > minute) return undefined
    if (minutes[place]! < minute) {
      minutes[place] = minute
      flags[place] = 0
      bytes.fill(0, place * KINDS.length, (place + 1) * KINDS.length)
    }
    return place
  }

  const flagsOf = (minute: number) => (minutes[minute % DAY_MINUTES] === minute ? flags[minute % DAY_MINUTES]! : 0)

  return {
    set(minute, values, source) {
      const place = placeOf(minute)
      if (place === undefined || (source === 'loaded' && (flags[place]! & IS_REPORTED) !== 0)) return
      bytes.set(values, place * KINDS.length)
      flags[place]! |= HAS_ROWS | (source === 'reported' ? IS_REPORTED : 0)
    },
    cover(fromMinute, toMinute) {
      for (let minute = Math.max(fromMinute, toMinute - DAY_MINUTES); minute < toMinute; minute += 1) {
        const place = placeOf(minute)
        if (place !== undefined) flags[place]! |= COVERED
      }
    },
    isReported: (minute) => (flagsOf(minute) & IS_REPORTED) !== 0,
    markGap(minute, hasGap) {
      const place = placeOf(minute)
      if (place !== undefined) flags[place] = hasGap ? flags[place]! | HAS_GAP : flags[place]! & ~HAS_GAP
    },
    view(endMinute, isRead) {
      const end = Math.ceil(endMinute / BUCKET_MINUTES) * BUCKET_MINUTES
      const first = end - DAY_MINUTES
      const known = new Uint8Array(DAY_MINUTES)
      for (let index = 0; index < DAY_MINUTES; index += 1) {
        const has = flagsOf(first + index)
        const isQuiet = (has & HAS_ROWS) === 0 && (has & COVERED) !== 0 && isRead(first + index)
        known[index] = (has & HAS_ROWS) !== 0 || isQuiet ? 1 : 0
      }
      const bytesAt = (index: number, kind: number) => bytes[((first + index) % DAY_MINUTES) * KINDS.length + kind]!
      const all = KINDS.map((name, kind) => {
        const sums = new Float64Array(BUCKETS)
        const counts = new Uint8Array(BUCKETS)
        let [now, peak, total]: [number | null, number | null, number] = [null, null, 0]
        for (let index = 0; index < DAY_MINUTES; index += 1) {
          if (known[index] === 0) continue
          const value = bytesAt(index, kind)
          const bucket = Math.floor(index / BUCKET_MINUTES)
          sums[bucket]! += value
          counts[bucket]! += 1
          total += value
          now = value / 60
          peak = Math.max(peak ?? 0, value / 60)
        }
        const series = Array.from(sums, (sum, at) => (counts[at] === 0 ? null : Math.round(sum / counts[at]! / 60)))
        return { name, series, view: { now, peak, total } }
      })
      return {
        bucketSeconds: BUCKET_MINUTES * 60,
        fromSeconds: first * 60,
        bytes: Object.fromEntries(all.map(({ name, series }) => [name, series])) as unknown as ThroughputView['bytes'],
        kinds: Object.fromEntries(all.map(({ name, view }) => [name, view])) as unknown as ThroughputView['kinds'],
      }
    },
    gapMinutes(endMinute) {
      let count = 0
      for (let minute = endMinute - DAY_MINUTES; minute < endMinute; minute += 1)
        if ((flagsOf(minute) & HAS_GAP) !== 0) count += 1
      return count
    },
  }
}
