/** How each form of rule is made a case of: which number decides, and which thresholds are just crossed and just not. */
import type { DemoPoint } from './demo-truth.ts'
import { both, field, type Minutes, minutesOf, tag, windowSum } from './demo-truth.ts'
import {
  above,
  choose,
  count,
  decimal,
  type Evening,
  most,
  rate,
  spellsOf,
  type Thresholds,
  type ToldCase,
} from './told-pick.ts'
import { MIN } from './world.ts'

const AT_LEAST = 100_000

export function ends(pair: string) {
  const [src = '', dst = ''] = pair.split(' to ')
  return { src, dst }
}

/** With the first length of window that makes a case. */
export function sumCase(
  evening: Evening,
  minutes: Minutes,
  common: (group: string) => object,
  thresholds: Thresholds,
): ToldCase | undefined {
  for (const window of [10, 15, 5, 20, 7, 3, 30]) {
    const found = above(
      evening,
      minutes.keys(),
      (group) => ({ window: `${window}m`, ...common(group) }),
      (group) => (at) => windowSum(minutes.get(group)!, at, window),
      thresholds,
    )
    if (found) return found
  }
  return undefined
}

export function rateCase(evening: Evening, minutes: Minutes): ToldCase | undefined {
  return above(
    evening,
    minutes.keys(),
    (node) => ({ window: '4m', where: { node } }),
    (node) => (at) => (windowSum(minutes.get(node)!, at, 4) * 8) / 240,
    rate,
  )
}

/** It stays until the sum is half of what it was, which is later than without. */
export function recoverCase(evening: Evening, minutes: Minutes): ToldCase | undefined {
  return choose(
    evening,
    minutes.keys(),
    (node) => ({ window: '5m', where: { node } }),
    (node) => {
      const value = (at: number) => windowSum(minutes.get(node)!, at, 5)
      const largest = most(evening, value)
      const recover = Math.floor(largest / 2)
      if (recover < 1) return undefined
      const isOver = (at: number) => value(at) > largest - 1
      const firing = spellsOf(evening, (at, isFiring) => isOver(at) || (isFiring && value(at) >= recover))
      if (spellsOf(evening, isOver)[0]?.to === firing[0]?.to) return undefined
      return {
        value: largest,
        fires: { above: `${largest - 1}B`, recoverBelow: `${recover}B` },
        below: { above: `${largest}B`, recoverBelow: `${recover}B` },
        firing,
        notFiring: spellsOf(evening, (at) => value(at) > largest),
      }
    },
  )
}

/** Of the stretches above half of the largest sum one is the longest: `for` is as long as that, or a minute longer. The number is its length. */
export function forCase(evening: Evening, minutes: Minutes): ToldCase | undefined {
  return choose(
    evening,
    minutes.keys(),
    (node) => ({ window: '2m', where: { node } }),
    (node) => {
      const value = (at: number) => windowSum(minutes.get(node)!, at, 2)
      const threshold = Math.floor(most(evening, value) / 2)
      const isOver = (at: number) => value(at) > threshold
      const longest = Math.max(...spellsOf(evening, isOver).map(({ from, to }) => to - from - 1))
      if (threshold < 1 || longest < 2 || !Number.isFinite(longest)) return undefined
      return {
        value: longest,
        fires: { above: `${threshold}B`, for: `${longest}m` },
        below: { above: `${threshold}B`, for: `${longest + 1}m` },
        firing: spellsOf(evening, isOver, { forMinutes: longest }),
        notFiring: spellsOf(evening, isOver, { forMinutes: longest + 1 }),
      }
    },
  )
}

export function belowCase(evening: Evening, minutes: Minutes): ToldCase | undefined {
  const window = 10
  return choose(
    evening,
    minutes.keys(),
    (node) => ({ window: `${window}m`, where: { node } }),
    (node) => {
      // What was not wholly read is not judged.
      const isRead = (at: number) => at >= evening.origin + window
      const value = (at: number) => (isRead(at) ? windowSum(minutes.get(node)!, at, window) : Number.POSITIVE_INFINITY)
      const least = -most(evening, (at) => 1e15 - value(at)) + 1e15
      if (least < 2) return undefined
      return {
        value: least,
        fires: { below: `${least + 1}B` },
        below: { below: `${least}B` },
        firing: spellsOf(evening, (at) => value(at) < least + 1),
        notFiring: spellsOf(evening, (at) => value(at) < least),
      }
    },
  )
}

/** The longest time without a record, of a node that was heard at the begin. */
export function silentCase(evening: Evening, heard: Minutes): ToldCase | undefined {
  const { origin } = evening
  return choose(
    evening,
    heard.keys(),
    (node) => ({ where: { node } }),
    (node) => {
      const minutes = heard.get(node)!
      if (!minutes.has(origin) || !minutes.has(origin + 1)) return undefined
      const silence = (at: number) => {
        let length = 0
        while (at - 1 - length >= origin && !minutes.has(at - 1 - length)) length += 1
        return length
      }
      const longest = most(evening, silence)
      if (longest < 2) return undefined
      return {
        value: longest,
        fires: { silentFor: `${longest}m` },
        below: { silentFor: `${longest + 1}m` },
        firing: spellsOf(evening, (at) => silence(at) >= longest),
        notFiring: spellsOf(evening, (at) => silence(at) >= longest + 1),
      }
    },
  )
}

export function shareCase(evening: Evening, physical: readonly DemoPoint[]): ToldCase | undefined {
  const window = 30
  const whole = minutesOf(physical, tag('node'), both)
  const relayed = minutesOf(
    physical,
    tag('node'),
    (point) => field('derp_tx_bytes')(point) + field('derp_rx_bytes')(point),
  )
  return above(
    evening,
    whole.keys(),
    (node) => ({ window: `${window}m`, atLeast: `${AT_LEAST}B`, where: { node } }),
    (node) => (at) => {
      const all = windowSum(whole.get(node)!, at, window)
      const share = (100 * windowSum(relayed.get(node)!, at, window)) / all
      // What was not wholly read is not judged.
      return at >= evening.origin + window && all >= AT_LEAST ? share : Number.NaN
    },
    // Who is wholly relayed is beyond every threshold.
    (largest) => (largest < 99 ? decimal('relayShareAbove', 2)(largest) : undefined),
  )
}

/** Minutes: between what is compared, and of the step. */
const PREVIOUS = { hour: [60, 1], day: [24 * 60, 5], week: [7 * 24 * 60, 15] } as const

export function ratioCase(evening: Evening, previous: keyof typeof PREVIOUS, minutes: Minutes): ToldCase | undefined {
  const window = 15
  const [offset, step] = PREVIOUS[previous]
  return above(
    evening,
    minutes.keys(),
    (node) => ({ previous, window: `${window}m`, atLeast: `${AT_LEAST}B`, where: { node } }),
    (node) => (at) => {
      const now = windowSum(minutes.get(node)!, at, window)
      const before = windowSum(minutes.get(node)!, at - offset, window)
      const isJudged = at - window - offset >= evening.origin && now >= AT_LEAST && before > 0
      return isJudged ? now / before : Number.NaN
    },
    decimal('ratioToPreviousAbove', 3),
    step,
  )
}

/** A pair that comes back after more than an hour. The number is how long it was away for sure: a minute has two ends. Up to 100 minutes a memory is
 * exact; beyond that it is kept in hundredths of its length. */
export function newCase(evening: Evening, minutes: Minutes): ToldCase | undefined {
  const stays = 10
  return choose(
    evening,
    minutes.keys(),
    (pair) => ({ window: `${stays}m`, where: ends(pair) }),
    (pair) => {
      if (pair.includes('none')) return undefined
      const seen = [...minutes.get(pair)!.keys()].toSorted((one, other) => one - other)
      const gaps = seen.slice(1).map((minute, index) => ({ minute, gap: minute - seen[index]! }))
      const [longest, second] = gaps.toSorted((one, other) => other.gap - one.gap)
      if (longest === undefined || longest.gap < 62 || longest.gap > 101) return undefined
      if (second?.gap === longest.gap) return undefined
      return {
        value: longest.gap - 1,
        fires: { newFor: `${longest.gap - 2}m` },
        below: { newFor: `${longest.gap - 1}m` },
        firing: [{ from: longest.minute + 1, to: longest.minute + 1 + stays }],
        notFiring: [],
      }
    },
  )
}

export function distinctCase(
  evening: Evening,
  points: readonly DemoPoint[],
  group: (point: DemoPoint) => string | undefined,
  item: (point: DemoPoint) => string | undefined,
  common: (group: string) => object,
  form: string,
): ToldCase | undefined {
  const window = 5
  const seen = new Map<string, Map<number, Set<string>>>()
  for (const point of points) {
    const [who, what] = [group(point), item(point)]
    if (who === undefined || what === undefined || what === 'none') continue
    const minutes = seen.get(who) ?? new Map<number, Set<string>>()
    seen.set(who, minutes)
    const minute = Number(point.timestampNs / MIN)
    minutes.set(minute, (minutes.get(minute) ?? new Set()).add(what))
  }
  return above(
    evening,
    seen.keys(),
    (who) => ({ window: `${window}m`, ...common(who) }),
    (who) => (at) => {
      const minutes = Array.from({ length: window }, (_, index) => seen.get(who)?.get(at - 1 - index) ?? [])
      return new Set(minutes.flatMap((some) => [...some])).size
    },
    count(form),
  )
}

/** What was sent since the first minute that was read as a whole passes the threshold at a step of the evening; at midnight all begins anew. The minute in
 * which reading began waits ten minutes for the rest of it, and that is later than alerts take it. */
export function quotaCase(
  evening: Evening,
  per: 'day' | 'month',
  by: 'node' | 'exitNode',
  minutes: Minutes,
): ToldCase | undefined {
  const { origin, live, midnight } = evening
  const step = per === 'day' ? 5 : 60
  const target = live - (live % step) + step
  return choose(
    evening,
    minutes.keys(),
    (node) => ({ per, by, where: { node } }),
    (node) => {
      const value = (at: number) => windowSum(minutes.get(node)!, at, at - (at > midnight ? midnight : origin + 1))
      const [crossed, whole] = [value(target), value(midnight)]
      if (crossed === value(target - step) || crossed === whole) return undefined
      return {
        value: crossed,
        belowValue: whole,
        fires: { quotaAbove: `${crossed - 1}B` },
        below: { quotaAbove: `${whole}B` },
        firing: spellsOf(evening, (at) => value(at) > crossed - 1, { step }),
        notFiring: spellsOf(evening, (at) => value(at) > whole, { step }),
      }
    },
  )
}
