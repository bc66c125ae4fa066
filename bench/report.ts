/** What a measurement hands over, and how all of them become one table, one list of goals and one JSON file. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { BENCH_DIR } from './inputs.ts'
import { type Machine, machineText } from './machine.ts'
import type { Summary } from './stats.ts'

/** Runs of everything that is quick enough to be run several times. */
export const RUNS = 5

export type Progress = (what: string) => void

/** One line of the table; what does not apply is left out. */
export interface Row {
  readonly measurement: string
  readonly input: string
  readonly route: string
  /** Entries per second. */
  readonly rate?: Summary
  /** CPU seconds of the process per million entries. */
  readonly cpu?: Summary
  /** Peak of the resident memory, bytes. */
  readonly peak?: Summary
  readonly remark?: string
}

/** Something that must be shown; without a bound it is reported for the record. */
export interface GoalResult {
  readonly goal: string
  readonly figure: number
  readonly atLeast?: number
  readonly atMost?: number
  readonly unit?: string
}

export interface Measured {
  readonly rows: readonly Row[]
  readonly goalResults: readonly GoalResult[]
  /** For the JSON file. */
  readonly figures: unknown
}

export interface Report {
  readonly machine: Machine
  readonly seconds: number
  readonly measured: Readonly<Record<string, Measured>>
}

function holds({ figure, atLeast, atMost }: GoalResult): boolean {
  return figure >= (atLeast ?? Number.NEGATIVE_INFINITY) && figure <= (atMost ?? Number.POSITIVE_INFINITY)
}

const HEAD = ['measurement', 'input', 'route', 'entries/s', '±', 'CPU s/M', '±', 'peak MB', '±', 'remark']

export function reportText(report: Report): string {
  const all = Object.values(report.measured)
  const rows = all.flatMap(({ rows }) => rows).map(cellsOf)
  const widths = HEAD.map((head, column) => Math.max(head.length, ...rows.map((row) => row[column]!.length)))
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, column) => (column < 3 || column > 8 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!)))
      .join(' | ')
      .trimEnd()
  const goals = all.flatMap(({ goalResults }) => goalResults).map(goalText)
  return [
    machineText(report.machine),
    `Medians; ± is half the distance between the quartiles. ${Math.round(report.seconds)} s in all.`,
    '',
    line(HEAD),
    widths.map((width) => '-'.repeat(width)).join('-|-'),
    ...rows.map(line),
    '',
    ...goals,
    '',
  ].join('\n')
}

function goalText(goalResult: GoalResult): string {
  const { goal, figure, atLeast, atMost, unit = '' } = goalResult
  if (atLeast === undefined && atMost === undefined) return `for the record  ${goal}: ${figure.toFixed(2)}${unit}`
  const bound = atLeast === undefined ? `at most ${atMost}${unit}` : `at least ${atLeast}${unit}`
  return `${holds(goalResult) ? 'holds          ' : 'FALLS SHORT    '} ${goal}: ${figure.toFixed(2)}${unit} (${bound})`
}

function cellsOf(row: Row): string[] {
  const { measurement, input, route, rate, cpu, peak, remark = '' } = row
  return [
    measurement,
    input,
    route,
    rate === undefined ? '' : Math.round(rate.median).toLocaleString('en'),
    percent(rate),
    cpu === undefined ? '' : cpu.median.toFixed(2),
    percent(cpu),
    peak === undefined ? '' : (peak.median / 1e6).toFixed(0),
    percent(peak),
    remark,
  ]
}

function percent(summary: Summary | undefined): string {
  return summary === undefined || summary.runs.length < 2 ? '' : `${(summary.spread * 100).toFixed(0)}%`
}

/** Writes `bench.txt` and `bench.json`; returns where. */
export function writeReport(report: Report): string {
  mkdirSync(BENCH_DIR, { recursive: true })
  writeFileSync(join(BENCH_DIR, 'bench.txt'), reportText(report))
  const goalResults = Object.values(report.measured).flatMap(({ goalResults }) =>
    goalResults.map((goalResult) => ({ ...goalResult, holds: holds(goalResult) })),
  )
  const json = JSON.stringify(
    { ...report, goalResults },
    (_key, value) => (typeof value === 'bigint' ? String(value) : value),
    2,
  )
  writeFileSync(join(BENCH_DIR, 'bench.json'), `${json}\n`)
  return BENCH_DIR
}
