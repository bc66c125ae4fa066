/** Thresholds from what was seen: for each question that people ask, the busiest windows of the last days, and a threshold well above them. Either
 * the database is asked by InfluxQL, or the lines of the embedded store are added up here. */

import { formatDuration } from '../../base/units.ts'
import { partsOfLine } from '../../sink/line-protocol/line-parts.ts'
import { isBytes } from '../amount.ts'
import { fieldsOf, type QueryOptions, seenQuery } from '../export/grafana-query.ts'
import { sourceOf } from '../export/rule-source.ts'
import type { Rule } from './rule.ts'
import { ruleOf } from './rule-schema.ts'

/** One series of an answer: rows of [time, value]. */
interface SeenSeries {
  readonly tags: Readonly<Record<string, string>>
  readonly p99: number
  readonly max: number
}

export interface Suggestion {
  readonly rule: Readonly<Record<string, unknown>>
  /** What was seen, for people. */
  readonly text: string
}

/** Rules without their thresholds. */
const CANDIDATES: readonly {
  readonly key: string
  readonly rule: Readonly<Record<string, unknown>>
  readonly isRate?: boolean
}[] = [
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
const ROUTERS = ['router', 'exit']

export interface SuggestSource {
  /** Per group, over windows with traffic in the last `days`. */
  seen(rule: Rule, days: number): Promise<readonly SeenSeries[]>
}

export async function suggest(source: SuggestSource, days: number): Promise<Suggestion[]> {
  const suggestions: Suggestion[] = []
  for (const { key, rule: given, isRate = false } of CANDIDATES) {
    const rule = parsed({ ...given, [key]: key === 'above' ? '1GB' : 1 })
    const series = (await source.seen(rule, days)).filter(({ max }) => max > 0)
    if (series.length === 0) continue
    const most = series.reduce((largest, one) => Math.max(largest, one.max), 0)
    const usual = series.reduce((largest, one) => Math.max(largest, one.p99), 0)
    const threshold = Math.max(usual * ABOVE_USUAL, most * ABOVE_MOST)
    const seconds = Number(rule.windowNs / 1_000_000_000n)
    const busiest = series
      .toSorted((one, other) => other.max - one.max || (nameOf(one.tags) < nameOf(other.tags) ? -1 : 1))
      .slice(0, SERIES_MAX)
    const words = busiest.map(({ tags, max }) => `${nameOf(tags)} ${short(rule, max, isRate ? seconds : undefined)}`)
    suggestions.push({
      rule: { ...given, [key]: rounded(rule, threshold, isRate ? seconds : undefined) },
      text: `the most in ${formatDuration(seconds * 1000)}: ${words.join(', ')}${series.length > SERIES_MAX ? ` (of ${series.length})` : ''}`,
    })
  }
  return suggestions
}

/** Answers from a database that speaks InfluxQL. `ask` returns series with their tags and one row with `p` and `m`. */
export function influxSource(
  ask: (
    query: string,
  ) => Promise<readonly { tags: Readonly<Record<string, string>>; row: Readonly<Record<string, number>> }[]>,
  options: QueryOptions,
): SuggestSource {
  return {
    async seen(rule, days) {
      const answers = await ask(seenQuery(rule, options, days))
      return answers.map(({ tags, row }) => ({ tags, p99: row['p'] ?? 0, max: row['m'] ?? 0 }))
    },
  }
}

/** Answers from lines of the embedded store. `lines` gives those of a measurement that are not older than so many days. */
export function linesSource(
  lines: (measurement: string, days: number) => Iterable<string>,
  tailnet: string,
): SuggestSource {
  return {
    async seen(rule, days) {
      const windows = new Map<string, { tags: Record<string, string>; sums: Map<bigint, number> }>()
      const { measurement, tags: names } = sourceOf(rule)
      const measured = fieldsOf(rule)
      for (const line of lines(measurement, days)) {
        const { tags, fields, timestampNs } = partsOfLine(line)
        const isWanted = tags['tailnet'] === tailnet && (rule.kinds as readonly string[]).includes(tags['kind'] ?? '')
        if (!isWanted || (rule.where.proto && !rule.where.proto.includes(tags['proto'] ?? ''))) continue
        if (rule.isRouter && !ROUTERS.includes(tags['role'] ?? '')) continue
        const own = Object.fromEntries(names.map((tag) => [tag, tags[tag] ?? '']))
        const key = JSON.stringify(own)
        const group = windows.get(key) ?? { tags: own, sums: new Map<bigint, number>() }
        windows.set(key, group)
        const window = timestampNs / rule.windowNs
        group.sums.set(
          window,
          measured.reduce((sum, name) => sum + Number(fields[name] ?? 0), group.sums.get(window) ?? 0),
        )
      }
      return [...windows.values()].map(({ tags, sums }) => {
        const values = [...sums.values()].toSorted((one, other) => one - other)
        return { tags, p99: values[Math.max(0, Math.ceil(values.length * 0.99) - 1)] ?? 0, max: values.at(-1) ?? 0 }
      })
    },
  }
}

function nameOf(tags: Readonly<Record<string, string>>): string {
  const node = tags['node_name'] ?? tags['node']
  if (node !== undefined) return node
  return tags['src_name'] === undefined ? 'the tailnet' : `${tags['src_name']} to ${tags['dst_name']}`
}

function short(rule: Rule, value: number, seconds: number | undefined): string {
  return String(rounded(rule, value, seconds))
}

/** Two significant digits, rounded up, as the settings write it. */
function rounded(rule: Rule, value: number, seconds: number | undefined): string | number {
  if (!isBytes(rule.measure)) return Math.max(1, roundUp(value))
  const [amount, units] =
    seconds === undefined
      ? [
          roundUp(value),
          [
            ['TB', 1e12],
            ['GB', 1e9],
            ['MB', 1e6],
            ['kB', 1e3],
            ['B', 1],
          ] as const,
        ]
      : [
          roundUp((value * 8) / seconds),
          [
            ['Gbps', 1e9],
            ['Mbps', 1e6],
            ['kbps', 1e3],
            ['bps', 1],
          ] as const,
        ]
  const [unit, size] = units.find(([, one]) => amount >= one) ?? units.at(-1) ?? ['', 1]
  return `${Number((amount / size).toPrecision(2))}${unit}`
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
