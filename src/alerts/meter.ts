/** What a rule compares, at any step: the number for one group, and all groups whose number breaches. Steps are ends of pieces of time. */
import { MS } from '../base/clock.ts'
import { OFFSET_OF } from './old-form.ts'
import type { People } from './people.ts'
import { periodStart } from './rules/rule.ts'
import type { Reading } from './scope.ts'

export interface Meter {
  /** The number that is compared, NaN when there is none to compare; undefined for a group that the rule is not about (any more). */
  valueAt(id: number, stepNs: bigint): number | undefined
  /** Calls `breach` for every group whose number breaches the threshold. */
  breaches(stepNs: bigint, breach: (id: number, value: number) => void): void
  /** False when no step from `fromNs` to `toNs` can breach, told faster than by asking for each. */
  mayBreach(id: number, fromNs: bigint, toNs: bigint): boolean
  /** The rule is about this group. */
  isWanted(id: number): boolean
  /** The stretches of time that the number is about. */
  timesAt(stepNs: bigint): readonly { readonly fromNs: bigint; readonly toNs: bigint }[]
  /** The stretch of time that tells which groups there are, where only those known from it count. */
  knownAt(stepNs: bigint): { readonly fromNs: bigint; readonly toNs: bigint } | undefined
  /** From here on the rule has data. */
  readonly sinceNs: bigint
}

const UNKNOWN = -1

export function createMeter(reading: Reading, people: People): Meter {
  const { rule, scope, main, derp, present, distinct } = reading
  const { old: form, stepNs } = rule
  const pieces = (ns: bigint) => Number(ns / stepNs)
  const windowPieces = pieces(rule.windowNs)
  const offsetPieces = form.is === 'ratio' ? pieces(OFFSET_OF[form.previous]) : 0

  function firstPiece(at: bigint): number {
    return form.is === 'quota' ? pieces(periodStart(at, form.per)) : pieces(at) - windowPieces
  }

  /** By group: 1 wanted, 0 not. */
  let wanted = new Int8Array(0)
  // What it was told by: groups, owners and names change.
  let seriesVersion = -1
  let ownersVersion = -1
  let namesVersion = -1

  function isWanted(id: number): boolean {
    if (reading.wantsNode === undefined && reading.wantsOwner === undefined) return true
    const { series } = scope
    if (series.version !== seriesVersion || people.version !== ownersVersion || people.namesVersion !== namesVersion) {
      wanted.fill(UNKNOWN)
      seriesVersion = series.version
      ownersVersion = people.version
      namesVersion = people.namesVersion
    }
    if (id >= wanted.length) wanted = new Int8Array(2 ** Math.ceil(Math.log2(series.size + 64))).fill(UNKNOWN)
    if (wanted[id] === UNKNOWN) wanted[id] = looksWanted(id) ? 1 : 0
    return wanted[id] === 1
  }

  function looksWanted(id: number): boolean {
    const { by } = scope
    const values = scope.series.valuesOf(id)
    const node = values[by.indexOf('node')] ?? ''
    return (
      (reading.wantsNode?.(people.nameOf(node), node) ?? true) && (reading.wantsOwner?.(people.ownerOf(node)) ?? true)
    )
  }

  /** A group that is not in the window is known from before; a slot counts only when it is over. */
  function isKnown(id: number, at: bigint): boolean {
    if (present === undefined || (form.is !== 'below' && form.is !== 'silent')) return true
    const to = Number(at / present.slotNs)
    const from = Number((at - BigInt(form.withinMs) * MS) / present.slotNs)
    return present.presence.wasIn(id, from, to)
  }

  function share(part: number, whole: number): number {
    return form.is === 'relayShare' && whole > 0 && whole >= form.atLeast ? (100 * part) / whole : Number.NaN
  }

  function ratio(now: number, before: number): number {
    return form.is === 'ratio' && now >= form.atLeast && before > 0 ? now / before : Number.NaN
  }

  return {
    isWanted,
    get sinceNs() {
      const parts = [main, derp, distinct].filter((part) => part !== undefined)
      return parts.reduce((latest, part) => (part.sinceNs > latest ? part.sinceNs : latest), 0n)
    },

    valueAt(id, at) {
      if (!isWanted(id)) return undefined
      const to = pieces(at)
      const from = firstPiece(at)
      if (distinct) return distinct.distinct.overOne(id, from, to)
      const value = main?.sums.overOne(id, from, to) ?? 0
      if (form.is === 'relayShare') return share(derp?.sums.overOne(id, from, to) ?? 0, value)
      if (form.is === 'ratio') return ratio(value, main?.sums.overOne(id, from - offsetPieces, to - offsetPieces) ?? 0)
      return value > 0 || isKnown(id, at) ? value : undefined
    },

    mayBreach(id, fromNs, toNs) {
      const from = firstPiece(fromNs)
      const to = pieces(toNs)
      if (form.is === 'distinct')
        return distinct !== undefined && distinct.distinct.atMost(id, from, to) > form.threshold
      if (main === undefined || form.is === 'below' || form.is === 'silent' || form.is === 'new') return true
      // No window within has more than all of the time together.
      const most = main.sums.overOne(id, from, to)
      if (form.is === 'above' || form.is === 'quota') return most > form.threshold
      return most >= form.atLeast && (form.is === 'ratio' || (derp?.sums.overOne(id, from, to) ?? 0) > 0)
    },

    breaches(at, breach) {
      const to = pieces(at)
      const from = firstPiece(at)
      if (form.is === 'distinct' && distinct) {
        distinct.distinct.above(form.threshold, from, to, (id, count) => {
          if (isWanted(id)) breach(id, count)
        })
        return
      }
      if (main === undefined) return
      const now = main.sums.over(from, to)
      if (form.is === 'above' || form.is === 'quota') {
        for (let id = 1; id < now.length; id++) if (now[id]! > form.threshold && isWanted(id)) breach(id, now[id]!)
      } else if (form.is === 'below' || form.is === 'silent') {
        const threshold = form.is === 'below' ? form.threshold : 1
        for (const id of scope.series.ids()) {
          const value = now[id] ?? 0
          if (value < threshold && isWanted(id) && (value > 0 || isKnown(id, at))) breach(id, value)
        }
      } else if (form.is === 'relayShare' && derp) {
        const relayed = derp.sums.over(from, to)
        for (let id = 1; id < now.length; id++) {
          const value = share(relayed[id] ?? 0, now[id]!)
          if (value > form.threshold && isWanted(id)) breach(id, value)
        }
      } else if (form.is === 'ratio') {
        const before = main.sums.over(from - offsetPieces, to - offsetPieces)
        for (let id = 1; id < now.length; id++) {
          const value = ratio(now[id]!, before[id] ?? 0)
          if (value > form.threshold && isWanted(id)) breach(id, value)
        }
      }
    },

    knownAt(at) {
      if (present === undefined || (form.is !== 'below' && form.is !== 'silent')) return undefined
      const toNs = (at / present.slotNs) * present.slotNs
      return { fromNs: ((at - BigInt(form.withinMs) * MS) / present.slotNs) * present.slotNs, toNs }
    },

    timesAt(at) {
      const toNs = BigInt(pieces(at)) * stepNs
      const fromNs = BigInt(firstPiece(at)) * stepNs
      if (form.is !== 'ratio') return [{ fromNs, toNs }]
      const offsetNs = OFFSET_OF[form.previous]
      return [
        { fromNs, toNs },
        { fromNs: fromNs - offsetNs, toNs: toNs - offsetNs },
      ]
    },
  }
}
