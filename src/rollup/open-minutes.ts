/** The raw points of young minutes. Points of a window that is being read wait until it is done; a window that fails leaves nothing. A minute is held
 * completely only while this process has read everything that may belong to it: what was logged since `boundNs` before its begin, without a break. */
import { createRawPoints, MINUTE_NS, type RawPoint, type RawPoints } from './raw-points.ts'
import { createTextIds, type TextIds } from './text-ids.ts'

export interface OpenMinutes {
  /** A point of a window that is being read. `window` is any object that stands for it. */
  add(window: object, point: RawPoint): void
  /** The window is done: its points count. Returns the begins of the minutes that they belong to. */
  done(window: object): readonly bigint[]
  failed(window: object): void
  find(minuteNs: bigint): RawPoints | undefined
  /** Texts of the points of this minute. */
  readonly texts: TextIds
  /** Points held, in all minutes. */
  readonly count: number
  /** Forgets minutes that began before this one. */
  forgetBefore(minuteNs: bigint): void
}

export function createOpenMinutes(): OpenMinutes {
  const texts = createTextIds()
  const pending = new Map<object, Map<bigint, RawPoints>>()
  const minutes = new Map<bigint, RawPoints>()
  return {
    texts,
    get count() {
      let count = 0
      for (const { count: more } of minutes.values()) count += more
      return count
    },
    add(window, point) {
      let mine = pending.get(window)
      if (mine === undefined) pending.set(window, (mine = new Map()))
      const minuteNs = point.startNs - (point.startNs % MINUTE_NS)
      let points = mine.get(minuteNs)
      if (points === undefined) mine.set(minuteNs, (points = createRawPoints(minuteNs, texts)))
      points.put(point)
    },
    done(window) {
      const mine = pending.get(window) ?? new Map<bigint, RawPoints>()
      pending.delete(window)
      for (const [minuteNs, points] of mine) {
        const known = minutes.get(minuteNs)
        if (known === undefined) minutes.set(minuteNs, points)
        else known.putAll(points)
      }
      return [...mine.keys()]
    },
    failed: (window) => void pending.delete(window),
    find: (minuteNs) => minutes.get(minuteNs),
    forgetBefore(minuteNs) {
      for (const one of minutes.keys()) if (one < minuteNs) minutes.delete(one)
    },
  }
}
