/** What each rule reads: its view, its sums, and the number of each group at any step. Steps are ends of intervals. */
import { MINUTE, MS } from '../../base/clock.ts'
import type { Sum } from '../forms/form.ts'
import { periodStart, type Rule } from '../rules/rule.ts'
import { ItemRing } from './item-ring.ts'
import { createLastSeen, type LastSeen } from './last-seen.ts'
import type { PeerNumbers } from './peer-numbers.ts'
import type { RowNumbers } from './row-numbers.ts'
import type { SlotSums, SumsOfTime } from './slot-sums.ts'
import { SumRing } from './sum-ring.ts'
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
  /** False when no step in a range can breach, told faster than by asking for each. */
  mayBreach(id: number, fromNs: bigint, toNs: bigint): boolean
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

export function createReadings(
  rules: readonly Rule[],
  limits: ReadingLimits,
  numbers: RowNumbers,
  peers: PeerNumbers,
): { views: readonly View[]; readings: readonly Reading[] } {
  const views = new Map<string, View>()
  const readings = rules.map((rule) =>
    readingOf(
      rule,
      views.getOrInsertComputed(viewId(rule), () => new View(rule, numbers, peers, limits)),
      limits,
    ),
  )
  return { views: [...views.values()], readings }
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
    ring.slots(1, slotsIn(0n, 1))
    return ring
  }

  function itemsOf(of: 'peer' | 'port'): ItemRing {
    let ring = view.items.find((one) => one.of === of && one.stepMinutes === stepMinutes)
    if (ring === undefined) view.items.push((ring = new ItemRing(of, stepMinutes, limits.seriesMax * ITEMS_PER_GROUP)))
    ring.keep = Math.max(ring.keep, slotsIn(spanNs, stepMinutes))
    return ring
  }

  const [one, two] = sums ?? []
  const firstRing = one && ringOf(one)
  const secondRing = two && ringOf(two)
  const first: SumsOfTime | undefined =
    since === undefined
      ? firstRing?.slots(stepMinutes, slotsIn(spanNs, stepMinutes))
      : firstRing?.period(since, stepMinutes, slotsIn(0n, stepMinutes))
  const second = secondRing?.slots(stepMinutes, slotsIn(spanNs, stepMinutes))
  const items = distinct && itemsOf(distinct.of)
  // Slots are never longer than the window, so that a group whose window is empty was seen in a slot that is over.
  const knownMinutes = rule.windowNs >= 10n * MINUTE ? 10 : 1
  const known: SlotSums | undefined =
    withinMs === undefined ? undefined : ringOf('seen').slots(knownMinutes, slotsIn(withinNs, knownMinutes))
  const lastSeen =
    memoryMs === undefined
      ? undefined
      : createLastSeen({
          memoryPieces: Math.ceil(memoryMs / Number(stepNs / MS)),
          max: limits.seriesMax * SEEN_PER_GROUP,
        })
  if (lastSeen) view.seen.push({ lastSeen, stepMinutes })
  const rings = [firstRing, secondRing, items, known && ringOf('seen')].filter((ring) => ring !== undefined)

  const pieceOf = (atNs: bigint) => Number(atNs / stepNs)
  const windowPieces = Number(rule.windowNs / stepNs)
  const offsetPieces = Number(offsetNs / stepNs)
  const firstPiece = (atNs: bigint) =>
    since === undefined ? pieceOf(atNs) - windowPieces : pieceOf(periodStart(atNs, since))
  const knownSlots = (atNs: bigint) => ({
    from: Math.floor(minutesOf(atNs - withinNs) / knownMinutes),
    to: Math.floor(minutesOf(atNs) / knownMinutes),
  })

  function isKnown(id: number, atNs: bigint): boolean {
    if (known === undefined) return true
    const { from, to } = knownSlots(atNs)
    return known.overOne(id, from, to) > 0
  }

  function isWanted(id: number): boolean {
    const group = view.groups.get(id)
    return group !== undefined && !group.isDismissed
  }

  function eachOfItems(ring: ItemRing, max: number, atNs: bigint, visit: (id: number, value: number) => void): void {
    const [from, to] = [firstPiece(atNs), pieceOf(atNs)]
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
      const [from, to] = [firstPiece(atNs), pieceOf(atNs)]
      if (items && distinct) return items.overOne(id, from, to, distinct.max)
      const sum = first?.overOne(id, from, to) ?? 0
      const other =
        offsetPieces > 0
          ? (first?.overOne(id, from - offsetPieces, to - offsetPieces) ?? 0)
          : (second?.overOne(id, from, to) ?? 0)
      return sum > 0 || isKnown(id, atNs) ? form.number(sum, other) : undefined
    },

    each(atNs, visit) {
      if (items && distinct) return eachOfItems(items, distinct.max, atNs, visit)
      if (first === undefined) return
      const [from, to] = [firstPiece(atNs), pieceOf(atNs)]
      const now = first.over(from, to, 0)
      const other =
        offsetPieces > 0 ? first.over(from - offsetPieces, to - offsetPieces, offsetPieces) : second?.over(from, to, 0)
      const slots = knownSlots(atNs)
      const seen = known?.over(slots.from, slots.to, -1)
      for (let id = 1; id < now.length; id++) {
        const sum = now[id]!
        if (sum === 0 && (seen === undefined ? other === undefined : (seen[id] ?? 0) === 0)) continue
        if (isWanted(id)) visit(id, form.number(sum, other?.[id] ?? 0))
      }
    },

    mayBreach(id, fromNs, toNs) {
      const [from, to] = [firstPiece(fromNs), pieceOf(toNs)]
      if (items) return form.mayBreach(items.atMostOne(id, from, to), 0)
      // A sum that began anew in between says nothing.
      if (first === undefined || (since !== undefined && from !== firstPiece(toNs))) return true
      return form.mayBreach(first.overOne(id, from, to), second?.overOne(id, from, to) ?? 0)
    },

    timesAt(atNs) {
      const toNs = BigInt(pieceOf(atNs)) * stepNs
      const fromNs = BigInt(firstPiece(atNs)) * stepNs
      if (offsetNs === 0n) return [{ fromNs, toNs }]
      return [
        { fromNs, toNs },
        { fromNs: fromNs - offsetNs, toNs: toNs - offsetNs },
      ]
    },

    knownAt(atNs) {
      if (known === undefined) return undefined
      const { from, to } = knownSlots(atNs)
      const slotNs = BigInt(knownMinutes) * MINUTE
      return { fromNs: BigInt(from) * slotNs, toNs: BigInt(to) * slotNs }
    },
  }
}
