/** A small interpreter of what Grafana does with an InfluxQL query: variables in the browser, macros in the backend, the answer as frames.
 * Facts: Grafana's documentation of variable syntax and global variables, and its InfluxDB data source (InfluxQL mode). */
import type { QueryResult } from '../services/influxd.ts'
import type { Annotation, Panel, Target, Variable } from './dashboards.ts'
import type { Queried } from './rows-server.ts'

export interface View {
  readonly fromMs: number
  readonly toMs: number
  /** Chosen values by variable; `$__all` for All. What is absent has its default. */
  readonly values: Readonly<Record<string, string | readonly string[]>>
  /** Width of a panel in points; 800 unless given. */
  readonly maxDataPoints?: number
}

export const ALL = '$__all'
const VARIABLE = /\$(\w+)|\[\[(\w+?)(?::(\w+))?\]\]|\$\{(\w+)(?:\.([^:^}]+))?(?::([^}]+))?\}/g
/** Grafana rounds intervals to these, ms: [up to, becomes]. */
const ROUNDED: readonly (readonly [number, number])[] = [
  [1_500, 1_000],
  [7_500, 5_000],
  [12_500, 10_000],
  [17_500, 15_000],
  [25_000, 20_000],
  [45_000, 30_000],
  [90_000, 60_000],
  [210_000, 120_000],
  [450_000, 300_000],
  [750_000, 600_000],
  [1_050_000, 900_000],
  [1_500_000, 1_200_000],
  [2_700_000, 1_800_000],
  [5_400_000, 3_600_000],
  [9_000_000, 7_200_000],
  [16_200_000, 10_800_000],
  [32_400_000, 21_600_000],
  [86_400_000, 43_200_000],
]
const DURATION_MS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }

export function durationMs(text: string): number {
  const [, amount, unit] = /^(\d+)([smhd])$/.exec(text) ?? []
  if (amount === undefined) throw new Error(`${text} is no duration`)
  return Number(amount) * DURATION_MS[unit!]!
}

/** The interval of a panel's graph. Its shortest may be a variable (`PanelQueryRunner`, `SceneQueryRunner`). */
export function intervalMs(
  view: View,
  panel: Pick<Panel, 'interval' | 'maxDataPoints'>,
  variables: readonly Variable[],
): number {
  const wanted = (view.toMs - view.fromMs) / (panel.maxDataPoints ?? view.maxDataPoints ?? 800)
  const rounded = ROUNDED.find(([upTo]) => wanted < upTo)?.[1] ?? 86_400_000
  const least = panel.interval === undefined ? 0 : durationMs(replaced(panel.interval, view, variables, new Map()))
  return Math.max(rounded, least)
}

/** The range that a panel shows: its own shift applied. */
export function viewOf(view: View, panel: Pick<Panel, 'timeShift'>, variables: readonly Variable[]): View {
  if (panel.timeShift === undefined) return view
  const shift = durationMs(replaced(panel.timeShift, view, variables, new Map()))
  return { ...view, fromMs: view.fromMs - shift, toMs: view.toMs - shift }
}

/** The query that reaches the database. */
export function expanded(query: string, view: View, variables: readonly Variable[], interval: number): string {
  const globals = new Map([
    ['__from', String(view.fromMs)],
    ['__to', String(view.toMs)],
    ['__interval_ms', String(interval)],
    ['__interval', interval % 60_000 === 0 ? `${interval / 60_000}m` : `${interval / 1_000}s`],
    // Left alone by the browser, replaced by the backend.
    ['timeFilter', `time >= ${view.fromMs}ms and time <= ${view.toMs}ms`],
  ])
  return replaced(query, view, variables, globals)
}

/** `format`: how the data source writes a value into a query. */
export function replaced(
  text: string,
  view: View,
  variables: readonly Variable[],
  globals: ReadonlyMap<string, string>,
  format: typeof formatted = formatted,
): string {
  return text.replaceAll(VARIABLE, (_match, plain, square, squareFormat, curly, _path, curlyFormat) => {
    const name: string = plain ?? square ?? curly
    const global = globals.get(name)
    if (global !== undefined) return global
    const variable = variables.find((one) => one.name === name)
    if (variable === undefined) throw new Error(`nobody knows the variable ${name} in ${text}`)
    const value = view.values[name] ?? defaultOf(variable)
    return value === ALL ? valueForAll(variable) : format(variable, value, squareFormat ?? curlyFormat)
  })
}

function valueForAll({ name, allValue }: Variable): string {
  if (allValue === undefined) throw new Error(`${name} has no value for All`)
  return allValue
}

function defaultOf(variable: Variable): string {
  if (variable.type === 'constant') return variable.query
  const value = variable.current?.value
  if (value === undefined) throw new Error(`${variable.name} has no default: choose a value`)
  return value
}

/** How the InfluxDB data source writes a value into a query. */
function formatted(variable: Variable, value: string | readonly string[], format: string | undefined): string {
  if (format !== undefined && format !== 'raw' && format !== 'regex')
    throw new Error(`format ${format} is not interpreted here`)
  if (format === 'raw' || (format === undefined && !variable.multi && !variable.includeAll))
    return typeof value === 'string' ? value : value.join()
  const escaped = (typeof value === 'string' ? [value] : value).map((one) =>
    one.replace(/[\\^$*+?.()|[\]{}/]/g, '\\$&'),
  )
  return escaped.length === 1 ? escaped[0]! : `(${escaped.join('|')})`
}

export interface Frame {
  /** The alias with its tags filled in; in tables the measurement. */
  readonly name: string
  readonly tags: Readonly<Record<string, string>>
  readonly columns: readonly string[]
  readonly rows: readonly (readonly (string | number | null)[])[]
}

/** A server that answers InfluxQL. */
type Asked = Pick<Queried, 'url' | 'query' | 'adminHeaders'>

/** Asks as Grafana does (times in ms) and returns what it makes of the answer. */
export async function ask(
  influx: Asked,
  db: string,
  query: string,
  target: Pick<Target, 'alias' | 'resultFormat'>,
): Promise<Frame[]> {
  const answer = await fetch(`${influx.url}/query?db=${db}&epoch=ms`, {
    method: 'POST',
    headers: influx.adminHeaders,
    body: new URLSearchParams({ q: query }),
  })
  const body = (await answer.json()) as { results?: QueryResult[]; error?: string }
  const error = body.error ?? body.results?.find((result) => result.error !== undefined)?.error
  if (error !== undefined) throw new Error(`${query}: ${error}`)
  const series = body.results?.[0]?.series ?? []
  if (target.resultFormat === 'time_series') {
    return series.map(({ name = '', tags = {}, columns, values }) => ({
      name: (target.alias ?? name).replaceAll(/\$tag_(\w+)/g, (_match, tag: string) => tags[tag] ?? ''),
      tags,
      columns,
      rows: values as Frame['rows'],
    }))
  }
  if (series.length === 0) return []
  const tagNames = Object.keys(series[0]!.tags ?? {})
  const columns = [...tagNames, ...series[0]!.columns.map((column) => (column === 'time' ? 'Time' : column))]
  const rows = series.flatMap(({ tags = {}, values }) =>
    (values as (string | number | null)[][]).map((row) => [...tagNames.map((tag) => tags[tag] ?? ''), ...row]),
  )
  return [{ name: series[0]!.name ?? '', tags: {}, columns, rows }]
}

/** The choices of a query variable. */
export async function choices(
  influx: Asked,
  db: string,
  variable: Variable,
  view: View,
  variables: readonly Variable[],
): Promise<string[]> {
  const query = expanded(variable.query, view, variables, 60_000)
  const results = await influx.query(query, db)
  const found = (results[0]?.series ?? []).flatMap(({ values }) => values.map((row) => String(row[1])))
  return [...new Set(found)].sort()
}

export function opened(influx: Asked, db: string, view: View, variables: readonly Variable[]): Promise<View> {
  return openedBy((variable, at) => choices(influx, db, variable, at, variables), view, variables)
}

/** The view with hidden variables asked for, as Grafana does when a dashboard opens and when its range changes: the first answer, or all. */
export async function openedBy(
  choicesOf: (variable: Variable, view: View) => Promise<string[]>,
  view: View,
  variables: readonly Variable[],
): Promise<View> {
  let { values } = view
  for (const variable of variables.filter(({ type, hide }) => type === 'query' && hide === 2)) {
    const found = await choicesOf(variable, { ...view, values })
    if (found.length === 0) throw new Error(`${variable.name} has no value: ${variable.query}`)
    values = { ...values, [variable.name]: variable.multi ? found : found[0]! }
  }
  return { ...view, values }
}

export interface Mark {
  readonly timeMs: number
  readonly title: string
  readonly text: string
  readonly tags: readonly string[]
}

/** What Grafana makes of the answer to an annotation's query, in either of its two ways: older ones look for columns by their names
 * (`getAnnotations` in influx_series.ts), later ones for parts of `measurement.column` (`transformAnnotationResponse` in response_parser.ts). */
export function marksOf(
  results: readonly QueryResult[],
  { titleColumn, textColumn, tagsColumn }: Annotation['target'],
  way: 'browser' | 'backend',
): Mark[] {
  return (results[0]?.series ?? []).flatMap(({ name, columns, values }) => {
    let [time, title, text, tags] = [-1, -1, -1, -1]
    for (const [index, column] of columns.entries()) {
      const isNamed = (wanted: string) => (way === 'browser' ? column === wanted : `${name}.${column}`.includes(wanted))
      if (column === 'time') time = index
      // In the second way the whole name is never that of the title.
      else if (way === 'browser' && column === titleColumn) title = index
      else if (isNamed(tagsColumn)) tags = index
      else if (isNamed(textColumn)) text = index
      else if (title < 0) title = index
    }
    return values.map((row) => ({
      timeMs: Number(row[time]),
      title: String(row[title]),
      text: String(row[text]),
      tags: String(row[tags]).split(','),
    }))
  })
}
