/** What panels must show, computed from the simulation's own records without a database: groups, buckets and sums in plain JavaScript. */
import type { Role } from '../../src/demo/nodes.ts'
import { type DemoInflux, type DemoWindow, TAILNET } from './demo-influx.ts'

export interface Row {
  readonly ns: bigint
  readonly tags: Readonly<Record<string, string>>
  /** Fields of the point. */
  readonly fields: Readonly<Record<string, number>>
  /** What the reporting device is. */
  readonly role: Role | undefined
}

export interface Truth {
  readonly flows: readonly Row[]
  readonly nodes: readonly Row[]
  readonly windows: readonly Row[]
}

export function truthOf({ tailnet, options, windows }: DemoInflux): Truth {
  const roles = new Map(tailnet.nodes.map((node) => [node.nodeId, node.role]))
  const flows: Row[] = []
  const nodes: Row[] = []
  const { fromNs, toNs, ports = 'service' } = options
  for (const point of tailnet.truth(fromNs, toNs, { tailnet: TAILNET, ports })) {
    const fields = Object.fromEntries(Object.entries(point.fields).map(([name, value]) => [name, Number(value)]))
    const row = { ns: point.timestampNs, tags: point.tags, fields, role: roles.get(point.tags['node']!) }
    if (point.measurement === 'tailnet_flow') flows.push(row)
    else nodes.push(row)
  }
  return { flows, nodes, windows: windows.map(windowRow) }
}

function windowRow(window: DemoWindow): Row {
  const { pass, toNs, messages, entries, points, lagMs, durationMs } = window
  const fields = { watermark: Number(toNs), messages, entries, points, lag_ms: lagMs, duration_ms: durationMs }
  return { ns: toNs, tags: { pass, tailnet: TAILNET }, fields, role: undefined }
}

/** ns; the end is part of it unless `open`. */
export interface Range {
  readonly fromNs: bigint
  readonly toNs: bigint
  readonly open?: boolean
}

export interface Spec {
  readonly of: readonly Row[]
  readonly keep: (row: Row) => boolean
  readonly range: Range
  /** Tags that make a group. */
  readonly by: readonly string[]
  /** Length of a bucket when the answer is over time. */
  readonly intervalNs?: bigint
  /** Buckets without rows: 0, or absent. */
  readonly fill?: 0 | 'none'
  readonly values: Readonly<Record<string, (rows: readonly Row[], range: Range) => number | null>>
  /** Only the largest rows by this value. */
  readonly top?: { readonly by: string; readonly n: number }
}

export type Answer = Readonly<Record<string, string | number | null>>

/** Groups in no special order; `time` in ms where it is over time. */
export function evaluate(spec: Spec): Answer[] {
  const { of, keep, range, by, intervalNs, fill = 0, values } = spec
  const kept = of.filter((row) => within(row, range) && keep(row))
  const answers: Answer[] = []
  const groups = Map.groupBy(kept, (row) => JSON.stringify(by.map((tag) => row.tags[tag])))
  for (const rows of groups.values()) {
    const tags = Object.fromEntries(by.map((tag) => [tag, rows[0]!.tags[tag]!]))
    if (intervalNs === undefined) {
      answers.push({ ...tags, ...computed(values, rows, range) })
      continue
    }
    const buckets = Map.groupBy(rows, ({ ns }) => ns - (ns % intervalNs))
    for (let ns = range.fromNs - (range.fromNs % intervalNs); ns <= range.toNs; ns += intervalNs) {
      const bucket = buckets.get(ns)
      if (bucket === undefined && fill === 'none') continue
      const filled = bucket === undefined ? zeros(values) : computed(values, bucket, range)
      answers.push({ time: Number(ns / 1_000_000n), ...tags, ...filled })
    }
  }
  return answers
}

function computed(values: Spec['values'], rows: readonly Row[], range: Range): Record<string, number | null> {
  return Object.fromEntries(Object.entries(values).map(([name, compute]) => [name, compute(rows, range)]))
}

function zeros(values: Spec['values']): Record<string, number> {
  return Object.fromEntries(Object.keys(values).map((name) => [name, 0]))
}

export function within({ ns }: Row, { fromNs, toNs, open = false }: Range): boolean {
  return ns >= fromNs && (open ? ns < toNs : ns <= toNs)
}

export const sumOf = (field: string) => (rows: readonly Row[]) => rows.reduce((sum, row) => sum + row.fields[field]!, 0)
export const maxOf = (field: string) => (rows: readonly Row[]) => Math.max(...rows.map((row) => row.fields[field]!))
export const lastOf = (field: string) => (rows: readonly Row[]) =>
  rows.reduce((last, row) => (row.ns >= last.ns ? row : last)).fields[field]!
export const distinct = (tags: readonly string[]) => (rows: readonly Row[]) =>
  new Set(rows.map((row) => JSON.stringify(tags.map((tag) => row.tags[tag])))).size
export const ratioOf = (factor: number, part: string, whole: string) => (rows: readonly Row[]) =>
  (factor * sumOf(part)(rows)) / sumOf(whole)(rows)

/** The value that 95 % of the five-minute means do not exceed, in bits/s; empty stretches count as 0. */
export const percentile95 = (field: string) => (rows: readonly Row[], range: Range) => {
  const step = 300_000_000_000n
  const buckets = Map.groupBy(rows, ({ ns }) => ns - (ns % step))
  const means: number[] = []
  const last = range.open ? range.toNs - 1n : range.toNs
  for (let ns = range.fromNs - (range.fromNs % step); ns <= last; ns += step)
    means.push((sumOf(field)(buckets.get(ns) ?? []) * 8) / 300)
  return nearestRank(means, 95)
}

/** InfluxQL's percentile: the nearest rank, no interpolation. */
export function nearestRank(values: readonly number[], percent: number): number | null {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.floor((sorted.length * percent) / 100 + 0.5) - 1] ?? null
}
