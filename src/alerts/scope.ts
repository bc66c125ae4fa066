/** What rules ask of the points, without their thresholds: rules that look at the same traffic in the same groups share one scope, so that
 * two hundred rules cost hardly more than the dozen scopes behind them. */
import { createHash } from 'node:crypto'
import { MINUTE } from '../base/clock.ts'
import { KINDS } from '../source/parse/message.ts'
import type { Measure } from './amount.ts'
import { createDistinct, type Distinct } from './distinct.ts'
import { isByNode, spanOf } from './old-form.ts'
import { createMatcher } from './patterns.ts'
import { createPresence, type Presence } from './presence.ts'
import type { Rule } from './rules/rule.ts'
import type { Where } from './rules/scope.ts'
import { createSeriesTable, type SeriesTable } from './series.ts'
import { createSightings, type Sightings } from './sightings.ts'
import { createSums, type Sums } from './sums.ts'

/** What is added up: a rule's measure, or what its form needs beside it. */
export type Sum = Measure | 'derp_bytes' | 'messages'

/** A part of a scope. Everything from `sinceNs` on is in it, as far as it was read; before that it was not asked for, or is forgotten. */
interface Part {
  sinceNs: bigint
}
export interface SummedBy extends Part {
  readonly sum: Sum
  readonly sums: Sums
  readonly stepMinutes: number
  /** PrefixCache that are kept below the newest judged one. */
  keepPieces: number
}
export interface SourceClockBy {
  readonly presence: Presence
  readonly slotNs: bigint
  readonly slotMinutes: number
  keepSlots: number
}
export interface DistinctBy extends Part {
  readonly distinct: Distinct
  readonly stepMinutes: number
  keepPieces: number
}
export interface SeenBy extends Part {
  readonly rule: Rule
  readonly sightings: Sightings
  readonly stepMinutes: number
}

export interface Scope {
  /** The same for the same question, in every process. */
  readonly id: string
  readonly byNode: boolean
  /** Bit per kind, as in KINDS. */
  readonly kinds: number
  readonly by: Rule['by']
  readonly isRouter: boolean
  /** What is left out while collecting. Patterns on the node itself are looked at when a rule is judged, where the scope groups by node. */
  readonly wants: {
    readonly node: ((...names: string[]) => boolean) | undefined
    readonly owner: ((...names: string[]) => boolean) | undefined
    readonly src: ((...names: string[]) => boolean) | undefined
    readonly dst: ((...names: string[]) => boolean) | undefined
    readonly port: ReadonlySet<number> | undefined
    readonly proto: ReadonlySet<string> | undefined
  }
  readonly series: SeriesTable
  readonly summed: SummedBy[]
  readonly present: SourceClockBy[]
  readonly distinct: DistinctBy[]
  readonly seen: SeenBy[]
}

/** What one rule reads. */
export interface Reading {
  readonly rule: Rule
  readonly scope: Scope
  /** The sums that the form compares; `derp` for the relay share. */
  readonly main: SummedBy | undefined
  readonly derp: SummedBy | undefined
  readonly present: SourceClockBy | undefined
  readonly distinct: DistinctBy | undefined
  readonly seen: SeenBy | undefined
  /** True for a group that the rule is about. */
  readonly wantsNode: ((...names: string[]) => boolean) | undefined
  readonly wantsOwner: ((...names: string[]) => boolean) | undefined
}

export interface ScopeLimits {
  readonly seriesMax: number
  /** How far back late records change what was judged. */
  readonly latenessNs: bigint
}

/** Items (peers, ports) per rule and group that fit on average. */
const ITEMS_PER_SERIES = 50

export function createScopes(rules: readonly Rule[], limits: ScopeLimits): { scopes: Scope[]; readings: Reading[] } {
  const scopes = new Map<string, Scope>()
  const readings = rules.map((rule) => readingOf(rule, scopeOf(rule, scopes, limits), limits))
  return { scopes: [...scopes.values()], readings }
}

function scopeOf(rule: Rule, scopes: Map<string, Scope>, limits: ScopeLimits): Scope {
  const byNode = isByNode(rule)
  const where = collectedWhere(rule)
  const kinds = rule.kinds.reduce((bits, kind) => bits | (1 << KINDS.indexOf(kind)), 0)
  const question = { byNode, kinds, by: rule.by, isRouter: rule.isRouter, where, new: rule.old.is === 'new' }
  const id = createHash('sha256').update(JSON.stringify(question)).digest('hex').slice(0, 16)
  const known = scopes.get(id)
  if (known) return known
  const matcher = (key: 'node' | 'owner' | 'src' | 'dst') => where[key] && createMatcher(where[key])
  const scope: Scope = {
    id,
    byNode,
    kinds,
    by: rule.by,
    isRouter: rule.isRouter,
    wants: {
      node: matcher('node'),
      owner: matcher('owner'),
      src: matcher('src'),
      dst: matcher('dst'),
      port: where.port && new Set(where.port),
      proto: where.proto && new Set(where.proto),
    },
    series: createSeriesTable(limits.seriesMax),
    summed: [],
    present: [],
    distinct: [],
    seen: [],
  }
  scopes.set(id, scope)
  return scope
}

/** Where a scope has a group or a few per node anyway, patterns on nodes only matter when a rule is judged; so rules for different nodes share it. */
function collectedWhere(rule: Rule): Where {
  const { node, owner, ...rest } = rule.where
  return {
    ...rest,
    ...(node && !isJudgedByNode(rule) ? { node } : {}),
    ...(owner && !isJudgedByNode(rule) ? { owner } : {}),
  }
}

function isJudgedByNode(rule: Rule): boolean {
  const { old: form, by } = rule
  if (form.is === 'new' || form.is === 'distinct' || !by.includes('node')) return false
  return by.every((dim) => dim === 'node' || dim === 'owner' || dim === 'kind')
}

function readingOf(rule: Rule, scope: Scope, limits: ScopeLimits): Reading {
  const { old: form } = rule
  const keepNs = spanOf(rule) + limits.latenessNs
  const isSum = form.is !== 'new' && form.is !== 'distinct'
  const sums = (sum: Sum) => summed(scope, sum, rule.stepNs, keepNs)
  const judged = isJudgedByNode(rule)
  return {
    rule,
    scope,
    main: isSum ? sums(form.is === 'silent' ? 'messages' : rule.measure) : undefined,
    derp: form.is === 'relayShare' ? sums('derp_bytes') : undefined,
    present:
      form.is === 'below' || form.is === 'silent'
        ? present(scope, rule, BigInt(form.withinMs) * 1_000_000n, limits)
        : undefined,
    distinct: form.is === 'distinct' ? distinct(scope, rule, form.of, keepNs, limits) : undefined,
    seen: form.is === 'new' ? sightings(scope, rule, form.memoryMs, limits) : undefined,
    wantsNode: judged && rule.where.node ? createMatcher(rule.where.node) : undefined,
    wantsOwner: judged && rule.where.owner ? createMatcher(rule.where.owner) : undefined,
  }
}

function summed(scope: Scope, sum: Sum, stepNs: bigint, keepNs: bigint): SummedBy {
  let one = scope.summed.find((other) => other.sum === sum && other.sums.stepNs === stepNs)
  if (one === undefined) {
    one = { sum, sums: createSums(stepNs, scope.series), stepMinutes: minutesOf(stepNs), keepPieces: 0, sinceNs: 0n }
    scope.summed.push(one)
  }
  one.keepPieces = Math.max(one.keepPieces, Number(keepNs / stepNs) + 1)
  return one
}

function present(scope: Scope, rule: Rule, withinNs: bigint, limits: ScopeLimits): SourceClockBy {
  // Places are never longer than the window, so that a group whose window is empty was seen in a slot that is over.
  const slotNs = rule.windowNs >= 10n * MINUTE ? 10n * MINUTE : MINUTE
  let one = scope.present.find((other) => other.slotNs === slotNs)
  if (one === undefined) {
    one = { presence: createPresence(), slotNs, slotMinutes: minutesOf(slotNs), keepSlots: 0 }
    scope.present.push(one)
  }
  one.keepSlots = Math.max(one.keepSlots, Number((withinNs + limits.latenessNs) / slotNs) + 2)
  return one
}

function distinct(scope: Scope, rule: Rule, of: 'dst' | 'port', keepNs: bigint, limits: ScopeLimits): DistinctBy {
  let one = scope.distinct.find((other) => other.distinct.of === of && other.distinct.stepNs === rule.stepNs)
  if (one === undefined) {
    const itemsMax = limits.seriesMax * ITEMS_PER_SERIES
    one = {
      distinct: createDistinct({ stepNs: rule.stepNs, of, itemsMax }),
      stepMinutes: minutesOf(rule.stepNs),
      keepPieces: 0,
      sinceNs: 0n,
    }
    scope.distinct.push(one)
  }
  one.keepPieces = Math.max(one.keepPieces, Number(keepNs / rule.stepNs) + 1)
  return one
}

function sightings(scope: Scope, rule: Rule, memoryMs: number, limits: ScopeLimits): SeenBy {
  const memoryPieces = Math.ceil(memoryMs / Number(rule.stepNs / 1_000_000n))
  const made = createSightings({ memoryPieces, max: limits.seriesMax * 10 })
  const one = { rule, sightings: made, stepMinutes: minutesOf(rule.stepNs), sinceNs: 0n }
  scope.seen.push(one)
  return one
}

/** All steps and slots are whole minutes. */
function minutesOf(ns: bigint): number {
  return Number(ns / MINUTE)
}
