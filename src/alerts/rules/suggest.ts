/** Thresholds from what was seen: for each question that people ask, the busiest windows of the last days, and a threshold well above them. Rows of hours
 * tell long windows, rows of minutes short ones. */

import { DAY, HOUR, MS, SECOND } from '../../base/clock.ts'
import { getOrInsert } from '../../base/maps.ts'
import { compare } from '../../base/order.ts'
import { formatDuration } from '../../base/units.ts'
import type { RowMeasurement, RowStore, TakeRow } from '../../rollup/rows/row-store.ts'
import { edgeOf, nodeOf } from '../../rollup/rows/stored-row.ts'
import { groupOf } from '../alert.ts'
import { isBytes, type Measure } from '../amount.ts'
import { keyOfValues } from '../evaluate/groups.ts'
import { createSides, measured } from '../evaluate/sides.ts'
import { sumOfView } from '../evaluate/view.ts'
import { groupText } from '../summary.ts'
import type { Rule } from './rule.ts'
import { ruleOf } from './rule-schema.ts'

export interface Suggestion {
  readonly rule: Readonly<Record<string, unknown>>
  /** What was seen, for people. */
  readonly text: string
}

/** One of the values, for each of some tags. */
type TagFilter = readonly (readonly { readonly tag: string; readonly value: string }[])[]

/** Stored rows: `rows` of RowStore, of which only those that fit are wanted. */
export interface SeenRows {
  rows(...asked: [...Parameters<RowStore['rows']>, filter: TagFilter]): Promise<void>
}

interface Candidate {
  readonly key: 'above' | 'rejectedAbove'
  /** Without its threshold. */
  readonly rule: Readonly<Record<string, unknown>>
  readonly isRate?: boolean
}

const CANDIDATES: readonly Candidate[] = [
  { key: 'above', rule: { name: 'node-egress', by: 'node', window: '1h' } },
  { key: 'above', rule: { name: 'exit-node-busy', by: 'exitNode', window: '5m', for: '10m' }, isRate: true },
  { key: 'above', rule: { name: 'subnet-router-busy', by: 'subnetRouter', window: '5m', for: '10m' }, isRate: true },
  { key: 'above', rule: { name: 'pair-volume', by: 'pair', window: '1h' } },
  { key: 'above', rule: { name: 'tailnet-volume', by: 'total', window: '1h' } },
  { key: 'rejectedAbove', rule: { name: 'rejections', window: '15m' } },
]
/** A threshold is this much above what is usual, and never below what was the most. */
const ABOVE_USUAL = 2
const ABOVE_MOST = 1.2
const SERIES_MAX = 5
const USUAL_SHARE = 0.99
const ROUTERS = ['router', 'exit']

/** The windows of one group that had traffic. */
interface Seen {
  readonly name: string
  count: number
  /** The largest sums, largest first, as many as `usualOf` needs. */
  largest: number[]
}

/** Over the last days; a day is in memory at a time. Rejects as `rows` does. */
export async function suggest(
  store: SeenRows,
  { nowNs, days }: { readonly nowNs: bigint; readonly days: number },
  signal: AbortSignal,
): Promise<Suggestion[]> {
  const suggestions: Suggestion[] = []
  for (const candidate of CANDIDATES) {
    const { key, rule: given } = candidate
    const rule = parsed({ ...given, [key]: key === 'above' ? '1GB' : 1 })
    const groups = await seenGroups(store, rule, nowNs - BigInt(days) * DAY, nowNs, signal)
    if (groups.length > 0) suggestions.push(suggestionOf(candidate, rule, groups))
  }
  return suggestions
}

async function seenGroups(
  store: SeenRows,
  rule: Rule,
  fromNs: bigint,
  toNs: bigint,
  signal: AbortSignal,
): Promise<readonly Seen[]> {
  const { windowNs, source, kinds, where, isRouter } = rule
  const measurement: RowMeasurement = `tailnet_${source === 'nodes' ? 'node' : 'edge'}${windowNs % HOUR === 0n ? '_1h' : ''}`
  const filter = [
    kinds.map((value) => ({ tag: 'kind', value })),
    ...(isRouter ? [ROUTERS.map((value) => ({ tag: 'role', value }))] : []),
    ...(where.proto ? [where.proto.map((value) => ({ tag: 'proto', value }))] : []),
  ]
  const keepMax = Math.floor((Number((toNs - fromNs) / windowNs) + 2) * (1 - USUAL_SHARE)) + 1
  const groups = new Map<string, Seen>()
  const parts = createPartsOfRow(rule)
  for (let dayNs = fromNs - (fromNs % DAY); dayNs < toNs; dayNs += DAY) {
    const sums = new Map<string, { name: string; windows: Map<bigint, number> }>()
    const each: TakeRow = (timeNs, key, fields) =>
      parts(key, fields, (id, name, value) => {
        const { windows } = getOrInsert(sums, id, () => ({ name, windows: new Map() }))
        const window = timeNs / windowNs
        windows.set(window, (windows.get(window) ?? 0) + value)
      })
    const [beginNs, endNs] = [dayNs < fromNs ? fromNs : dayNs, dayNs + DAY < toNs ? dayNs + DAY : toNs]
    await store.rows(measurement, beginNs, endNs, each, signal, filter)
    for (const [id, { name, windows }] of sums) {
      const values = [...windows.values()].filter((value) => value > 0)
      if (values.length === 0) continue
      const seen = getOrInsert(groups, id, () => ({ name, count: 0, largest: [] }))
      seen.count += values.length
      seen.largest = [...seen.largest, ...values].toSorted((one, other) => other - one).slice(0, keepMax)
    }
  }
  return [...groups.values()]
}

/** The groups that a stored row counts for. */
function createPartsOfRow(rule: Rule) {
  const sides = createSides(rule, { networks: new Set(), isUnordered: false })
  const sum = sumOfView(rule, rule.measure) as Measure
  return (key: string, fields: readonly bigint[], take: (id: string, name: string, value: number) => void) => {
    const row = rule.source === 'nodes' ? nodeOf(key, fields) : edgeOf(key, fields, () => false)
    const own = 'node' in row ? [sides.ofNode(row)] : sides.ofEdge(row)
    for (const side of own) {
      if (!side?.isWanted) continue
      const ids = side.values.map(([id]) => id)
      const names = side.values.map(([, name]) => name)
      take(keyOfValues(ids), groupText(rule, groupOf(rule, ids, names)), measured(sum, side.isBack, row))
    }
  }
}

function suggestionOf(
  { key, rule: given, isRate = false }: Candidate,
  rule: Rule,
  groups: readonly Seen[],
): Suggestion {
  const seconds = isRate ? Number(rule.windowNs / SECOND) : undefined
  const usual = groups.reduce((most, one) => Math.max(most, usualOf(one)), 0)
  const busiest = groups.toSorted((one, other) => mostOf(other) - mostOf(one) || compare(one.name, other.name))
  const most = busiest[0] === undefined ? 0 : mostOf(busiest[0])
  const words = busiest.slice(0, SERIES_MAX).map((one) => `${one.name} ${rounded(rule, mostOf(one), seconds)}`)
  const more = groups.length > SERIES_MAX ? ` (of ${groups.length})` : ''
  return {
    rule: { ...given, [key]: rounded(rule, Math.max(usual * ABOVE_USUAL, most * ABOVE_MOST), seconds) },
    text: `the most in ${formatDuration(Number(rule.windowNs / MS))}: ${words.join(', ')}${more}`,
  }
}

function mostOf({ largest }: Seen): number {
  return largest[0] ?? 0
}

/** The 99th percentile, nearest rank. */
function usualOf({ count, largest }: Seen): number {
  return largest[count - Math.ceil(count * USUAL_SHARE)] ?? 0
}

/** Two significant digits, rounded up, as the settings write it. `seconds`: as a rate over so long. */
function rounded(rule: Rule, value: number, seconds: number | undefined): string | number {
  if (!isBytes(rule.measure)) return Math.max(1, roundUp(value))
  const amount = roundUp(seconds === undefined ? value : (value * 8) / seconds)
  const power = Math.min(4, Math.max(0, Math.floor(Math.log10(amount) / 3)))
  const unit = ['', 'k', 'M', 'G', 'T'][power]
  return `${Number((amount / 1000 ** power).toPrecision(2))}${unit}${seconds === undefined ? 'B' : 'bps'}`
}

function roundUp(value: number): number {
  if (value <= 0) return 0
  const step = 10 ** Math.max(0, Math.floor(Math.log10(value)) - 1)
  return Math.ceil(value / step) * step
}

function parsed(given: Readonly<Record<string, unknown>>): Rule {
  const faults: string[] = []
  const rule = ruleOf(given, (path, text) => faults.push(`${path.join('.')} ${text}`))
  if (rule === undefined) throw new TypeError(`a suggestion is no rule: ${faults.join('; ')}`)
  return rule
}
