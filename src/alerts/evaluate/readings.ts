/** What each rule reads: its view, its sums, and the number of each group at any step. Steps are ends of intervals. */

import { DAY, HOUR, MINUTE, MS } from '../../base/clock.ts'
import { getOrInsert } from '../../base/maps.ts'
import type { Sum } from '../forms/form.ts'
import { periodStart, type Rule } from '../rules/rule.ts'
import { ItemRing, PeerNumbers } from './item-ring.ts'
import { LastSeen } from './last-seen.ts'
import { RowNumbers } from './row-numbers.ts'
import { type Level, SumRing } from './sum-ring.ts'
import { sumOfView, View, type ViewLimits, viewId } from './view.ts'

export interface TimeRange {
  readonly fromNs: bigint
  readonly toNs: bigint
}

/** A ring of a view, which tells that it changed. */
export type Ring = SumRing | ItemRing

export interface Reading {
  readonly rule: Rule
  readonly view: View
  readonly rings: readonly Ring[]
  /** Of a rule about what is new. */
  readonly lastSeen: LastSeen | undefined
  /** The number that is compared, NaN when there is none to compare; undefined for a group that the rule is not about (any more). */
  valueAt(id: number, atNs: bigint): number | undefined
  /** Visits every group with its number, as far as it may breach or is the worst. */
  each(atNs: bigint, visit: (id: number, value: number) => void): void
  /** The rule is about this group. */
  isWanted(id: number): boolean
  /** The ranges of time that the number is about. */
  timesAt(atNs: bigint): readonly TimeRange[]
  /** The range that tells which groups there are, where only those known from it count. */
  knownAt(atNs: bigint): TimeRange | undefined
  /** How far back from a step it looks, in all. */
  readonly spanNs: bigint
}

export interface ReadingLimits extends ViewLimits {
  /** How far back late minutes change what was evaluated. */
  readonly latenessNs: bigint
}

/** Items (peers, ports) per group that fit on average. */
const ITEMS_PER_GROUP = 50
/** Groups of `newFor`, per group of other rules. */
const SEEN_PER_GROUP = 10

export function createReadings(rules: readonly Rule[], limits: ReadingLimits) {
  const numbers = { edges: new RowNumbers(), nodes: new RowNumbers() }
  const peers = new PeerNumbers()
  const views = new Map<string, View>()
  const viewOf = (rule: Rule) => getOrInsert(views, viewId(rule), () => new View(rule, numbers, peers, limits))
  const readings = rules.map((rule) => readingOf(rule, viewOf(rule), limits))
  return { views: [...views.values()], readings, numbers, peers }
}

function minutesOf(ns: bigint): number {
  return Number(ns / MINUTE)
}

function readingOf(rule: Rule, view: View, limits: ReadingLimits): Reading {
  const { form, stepNs } = rule
  const { sums, offsetNs = 0n, since, distinct, withinMs, memoryMs } = form.needs
  const stepMinutes = minutesOf(stepNs)
  const spanNs = rule.windowNs + offsetNs
  const withinNs = withinMs === undefined ? 0n : BigInt(withinMs) * MS
  const slotsIn = (ns: bigint, minutes: number) => Math.ceil(minutesOf(ns + limits.latenessNs) / minutes) + 2

  function ringOf(sum: Sum): SumRing {
    const wanted = sumOfView(rule, sum)
    let ring = view.sums.find((one) => one.sum === wanted)
    if (ring === undefined) view.sums.push((ring = new SumRing(wanted, () => view.groups.size)))
    // Minutes of the allowed lateness are kept in any case: what comes late is compared with them.
    ring.level(1, slotsIn(0n, 1))
    return ring
  }

  function itemsOf(of: 'peer' | 'port'): ItemRing {
    let ring = view.items.find((one) => one.of === of && one.stepMinutes === stepMinutes)
    if (ring === undefined) view.items.push((ring = new ItemRing(of, stepMinutes, limits.seriesMax * ITEMS_PER_GROUP)))
    ring.keep = Math.max(ring.keep, slotsIn(spanNs, stepMinutes) * stepMinutes)
    return ring
  }

  /** Sums of a ring, in slots as long as the step; since a period began also in hours and days. */
  function sumsOf(ring: SumRing) {
    const hours = since === undefined || stepMinutes >= 60 ? [] : [ring.level(60, slotsIn(DAY, 60))]
    const days = since === 'month' ? [ring.level(1440, slotsIn(31n * DAY, 1440))] : []
    const ownNs = since === undefined ? spanNs : stepMinutes < 60 ? HOUR : DAY
    const levels = [...days, ...hours, ring.level(stepMinutes, slotsIn(ownNs, stepMinutes))]
    return {
      over: (from: number, to: number) => ring.over(levels, from, to),
      one: (id: number, from: number, to: number) => ring.overOne(levels, id, from, to),
    }
  }

  const [one, two] = sums ?? []
  const firstRing = one && ringOf(one)
  const secondRing = two && ringOf(two)
  const first = firstRing && sumsOf(firstRing)
  const second = secondRing && sumsOf(secondRing)
  const items = distinct && itemsOf(distinct.of)
  // Slots are never longer than the window, so that a group whose window is empty was seen in a slot that is over.
  const knownMinutes = rule.windowNs >= 10n * MINUTE ? 10 : 1
  const known = withinMs === undefined ? undefined : ringOf('seen')
  const knownLevels: Level[] = known ? [known.level(knownMinutes, slotsIn(withinNs, knownMinutes))] : []
  const memoryPieces = memoryMs && Math.ceil(memoryMs / Number(stepNs / MS))
  const lastSeen = memoryPieces ? new LastSeen(memoryPieces, limits.seriesMax * SEEN_PER_GROUP) : undefined
  if (lastSeen) view.seen.push({ lastSeen, stepMinutes })
  const rings = [firstRing, secondRing, items, known].filter((ring) => ring !== undefined)

  /** The minutes of the window that ends with a step. */
  const rangeAt = (atNs: bigint): [from: number, to: number] => {
    const endNs = atNs - (atNs % stepNs)
    return [minutesOf(since === undefined ? endNs - rule.windowNs : periodStart(atNs, since)), minutesOf(endNs)]
  }
  const offset = minutesOf(offsetNs)
  const knownAt = (atNs: bigint): [from: number, to: number] => [
    floor(minutesOf(atNs - withinNs), knownMinutes),
    floor(minutesOf(atNs), knownMinutes),
  ]

  function isWanted(id: number): boolean {
    const group = view.groups.get(id)
    return group !== undefined && !group.isDismissed
  }

  function eachOfItems(ring: ItemRing, max: number, atNs: bigint, visit: (id: number, value: number) => void): void {
    const [from, to] = rangeAt(atNs)
    const most = ring.atMost(from, to, view.groups.size)
    let largest = 0
    for (let id = 1; id < most.length; id++) {
      const atMost = most[id]!
      if (atMost === 0 || (atMost <= form.threshold && atMost <= largest) || !isWanted(id)) continue
      const count = ring.overOne(id, from, to, max)
      if (count > largest) largest = count
      visit(id, count)
    }
  }

  return {
    rule,
    view,
    rings,
    lastSeen,
    spanNs,
    isWanted,

    valueAt(id, atNs) {
      if (!isWanted(id)) return undefined
      const [from, to] = rangeAt(atNs)
      if (items && distinct) return items.overOne(id, from, to, distinct.max)
      const sum = first?.one(id, from, to) ?? 0
      const other = offset > 0 ? first?.one(id, from - offset, to - offset) : second?.one(id, from, to)
      const isKnown = sum > 0 || known === undefined || known.overOne(knownLevels, id, ...knownAt(atNs)) > 0
      return isKnown ? form.number(sum, other ?? 0) : undefined
    },

    each(atNs, visit) {
      if (items && distinct) return eachOfItems(items, distinct.max, atNs, visit)
      if (first === undefined) return
      const [from, to] = rangeAt(atNs)
      const now = first.over(from, to)
      const other = offset > 0 ? first.over(from - offset, to - offset) : second?.over(from, to)
      const seen = known?.over(knownLevels, ...knownAt(atNs))
      for (let id = 1; id < now.length; id++) {
        const sum = now[id]!
        if (sum === 0 && (seen === undefined ? other === undefined : (seen[id] ?? 0) === 0)) continue
        if (isWanted(id)) visit(id, form.number(sum, other?.[id] ?? 0))
      }
    },

    timesAt(atNs) {
      const now = timeRange(rangeAt(atNs))
      return offset === 0 ? [now] : [now, { fromNs: now.fromNs - offsetNs, toNs: now.toNs - offsetNs }]
    },

    knownAt: (atNs) => (known === undefined ? undefined : timeRange(knownAt(atNs))),
  }
}

function timeRange([from, to]: [from: number, to: number]): TimeRange {
  return { fromNs: BigInt(from) * MINUTE, toNs: BigInt(to) * MINUTE }
}

function floor(minute: number, step: number): number {
  return minute - (minute % step)
}
