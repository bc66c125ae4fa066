/** What panels must show, computed from the rows without a database: groups, buckets and sums in plain JavaScript. */
import { DAY_MS, type Rows } from './simulated-rows.ts'

export type TierName = 'minutes' | 'hours' | 'days'
type Value = number | string | boolean
export interface Row {
  readonly timeMs: number
  readonly tags: Readonly<Record<string, string>>
  readonly fields: Readonly<Record<string, Value>>
}

/** All that stands in the database. */
export interface Tables {
  readonly tiers: Readonly<Record<TierName, Rows>>
  readonly flows: readonly Row[]
  readonly devices: readonly Row[]
  readonly minutes: readonly Row[]
  readonly windows: readonly Row[]
}
/** What one view reads. */
export interface Truth extends Omit<Tables, 'tiers'> {
  readonly edges: readonly Row[]
  /** Edges of the tier that tables of all of them read. */
  readonly sums: readonly Row[]
  readonly nodes: readonly Row[]
}

/** ms; the end is part of it unless `open`. */
export interface Range {
  readonly fromMs: number
  readonly toMs: number
  readonly open?: boolean
}

type Computed = number | string | null
export interface Spec {
  readonly of: readonly Row[]
  readonly keep: (row: Row) => boolean
  readonly range: Range
  /** Tags that make a group. */
  readonly by: readonly string[]
  /** Length of a bucket when the answer is over time. */
  readonly intervalMs?: number
  /** Buckets without rows: 0, or absent. */
  readonly fill?: 0 | 'none'
  readonly values: Readonly<Record<string, (rows: readonly Row[], range: Range) => Computed>>
}

export type Answer = Readonly<Record<string, string | number | null>>

/** Groups in no special order; `time` in ms where it is over time. */
export function evaluate(spec: Spec): Answer[] {
  const { of, keep, range, by, intervalMs, fill = 0, values } = spec
  const kept = of.filter((row) => within(row, range) && keep(row))
  const answers: Answer[] = []
  const groups = Map.groupBy(kept, (row) => JSON.stringify(by.map((tag) => row.tags[tag])))
  for (const rows of groups.values()) {
    const tags = Object.fromEntries(by.map((tag) => [tag, rows[0]!.tags[tag]!]))
    if (intervalMs === undefined) {
      answers.push({ ...tags, ...computed(values, rows, range) })
      continue
    }
    const buckets = Map.groupBy(rows, ({ timeMs }) => timeMs - (timeMs % intervalMs))
    for (let ms = range.fromMs - (range.fromMs % intervalMs); ms <= range.toMs; ms += intervalMs) {
      const bucket = buckets.get(ms)
      if (bucket === undefined && fill === 'none') continue
      answers.push({ time: ms, ...tags, ...(bucket === undefined ? zeros(values) : computed(values, bucket, range)) })
    }
  }
  return answers
}

function computed(values: Spec['values'], rows: readonly Row[], range: Range): Record<string, Computed> {
  return Object.fromEntries(Object.entries(values).map(([name, compute]) => [name, compute(rows, range)]))
}

function zeros(values: Spec['values']): Record<string, number> {
  return Object.fromEntries(Object.keys(values).map((name) => [name, 0]))
}

export function within({ timeMs }: Row, { fromMs, toMs, open = false }: Range): boolean {
  return timeMs >= fromMs && (open ? timeMs < toMs : timeMs <= toMs)
}

const numberIn = (row: Row, field: string) => Number(row.fields[field])
const newest = (rows: readonly Row[]) => rows.reduce((last, row) => (row.timeMs >= last.timeMs ? row : last))

export const sumOf =
  (...fields: readonly string[]) =>
  (rows: readonly Row[]) =>
    rows.reduce((sum, row) => sum + fields.reduce((part, field) => part + numberIn(row, field), 0), 0)
export const maxOf = (field: string) => (rows: readonly Row[]) => Math.max(...rows.map((row) => numberIn(row, field)))
export const meanOf = (field: string) => (rows: readonly Row[]) => sumOf(field)(rows) / rows.length
export const lastOf = (field: string) => (rows: readonly Row[]) => newest(rows).fields[field] as number | string
export const lastTime = (rows: readonly Row[]) => newest(rows).timeMs
/** Combinations of tags of which anything was counted. */
export const distinct = (tags: readonly string[]) => (rows: readonly Row[]) =>
  new Set(
    rows.filter((row) => numberIn(row, 'flows') > 0).map((row) => JSON.stringify(tags.map((tag) => row.tags[tag]))),
  ).size
export const ratioOf = (factor: number, part: string, whole: string) => (rows: readonly Row[]) =>
  (factor * sumOf(part)(rows)) / sumOf(whole)(rows)

/** The value that 95 % of the means do not exceed, in bits/s; empty stretches count as 0. Means of five minutes, or of a step where it is longer. */
export const percentile95 =
  (stepMs: number, ...fields: readonly string[]) =>
  (rows: readonly Row[], range: Range) => {
    const buckets = Map.groupBy(rows, ({ timeMs }) => timeMs - (timeMs % stepMs))
    const means: number[] = []
    const last = range.open ? range.toMs - 1 : range.toMs
    for (let ms = range.fromMs - (range.fromMs % stepMs); ms <= last; ms += stepMs)
      means.push((sumOf(...fields)(buckets.get(ms) ?? []) * 8) / (stepMs / 1000))
    return nearestRank(means, 95)
  }

/** InfluxQL's percentile: the nearest rank, no interpolation. */
export function nearestRank(values: readonly number[], percent: number): number | null {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.floor((sorted.length * percent) / 100 + 0.5) - 1] ?? null
}

/** Which tier a range must be read from: the shortest steps that are meant for its length, or for so many times as long, and still hold its beginning. */
export function tierFor({ fromMs, toMs }: Range, oldestMs: Readonly<Record<TierName, number>>, times = 1): TierName {
  const length = times * (toMs - fromMs)
  if (length <= 2 * DAY_MS && fromMs >= oldestMs.minutes) return 'minutes'
  return length <= 30 * DAY_MS && fromMs >= oldestMs.hours ? 'hours' : 'days'
}
