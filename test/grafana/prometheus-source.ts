/** A small interpreter of what Grafana's Prometheus data source does with a query in MetricsQL: variables, macros, ranges in whole steps, answers.
 * Facts: github.com/grafana/grafana, packages/grafana-prometheus (`interpolateQueryExpr`, `prometheusSpecialRegexEscape`, `PrometheusMetricFindQuery`) and
 * pkg/promlib (`interpolateVariables`, `AlignTimeRange`, `QueryRange`, `QueryInstant`). */
import type { VictoriaMetrics } from '../services/victoria-metrics.ts'
import type { PrometheusTarget, Variable } from './dashboards.ts'
import { openedBy, replaced, type View } from './grafana.ts'

/** The query that reaches the database. */
export function expandedExpr(expr: string, view: View, variables: readonly Variable[], intervalMs: number): string {
  const rangeMs = view.toMs - view.fromMs
  const globals = new Map([
    ['__interval', durationText(intervalMs)],
    ['__interval_ms', String(intervalMs)],
    ['__range_ms', String(rangeMs)],
    ['__range_s', String(Math.round(rangeMs / 1000))],
  ])
  return replaced(expr, view, variables, globals, formatted)
}

function durationText(ms: number): string {
  for (const [unit, length] of [
    ['d', 86_400_000],
    ['h', 3_600_000],
    ['m', 60_000],
    ['s', 1000],
  ] as const)
    if (ms % length === 0) return `${ms / length}${unit}`
  return `${ms}ms`
}

/** Inside a text in double quotes, backslashes are read twice: by the text and by the regular expression. */
function formatted(variable: Variable, value: string | readonly string[], format: string | undefined): string {
  const values = typeof value === 'string' ? [value] : value
  if (format === 'doublequote') return values.map((one) => `"${one.replaceAll('"', '\\"')}"`).join()
  if (format !== undefined) throw new Error(`format ${format} is not interpreted here`)
  if (!variable.multi && !variable.includeAll)
    return values.map((one) => one.replaceAll('\\', '\\\\').replaceAll("'", "\\\\'")).join()
  const escaped = values.map((one) =>
    one.replaceAll('\\', '\\\\\\\\').replaceAll(/[$^*{}[\]'+?.()|]/g, (character) => `\\\\${character}`),
  )
  return escaped.length === 1 ? escaped[0]! : `(${escaped.join('|')})`
}

export interface Series {
  readonly labels: Readonly<Record<string, string>>
  /** The legend with its labels filled in. */
  readonly name: string
  /** [ms, value] */
  readonly values: readonly (readonly [number, number])[]
}

/** Asks as Grafana does: once at the end of the range, or once for each step of it. */
export async function askExpr(
  { url }: VictoriaMetrics,
  { expr, instant, legendFormat = '' }: Pick<PrometheusTarget, 'expr' | 'instant' | 'legendFormat'>,
  view: Pick<View, 'fromMs' | 'toMs'>,
  intervalMs: number,
): Promise<Series[]> {
  const aligned = (ms: number) => String((Math.floor(ms / intervalMs) * intervalMs) / 1000)
  const [path, times] = instant
    ? ['query', { time: String(view.toMs / 1000) }]
    : ['query_range', { start: aligned(view.fromMs), end: aligned(view.toMs), step: String(intervalMs / 1000) }]
  const answer = await fetch(`${url}/api/v1/${path}`, {
    method: 'POST',
    body: new URLSearchParams({ query: expr, ...times }),
  })
  const { data, error } = (await answer.json()) as {
    error?: string
    data: { result: { metric: Record<string, string>; value?: [number, string]; values?: [number, string][] }[] }
  }
  if (error !== undefined) throw new Error(`${expr}: ${error}`)
  return data.result.map(({ metric, value, values = [] }) => ({
    labels: metric,
    name: legendFormat.replaceAll(/\{\{(\w+)\}\}/g, (_match, label: string) => metric[label] ?? ''),
    values: (value === undefined ? values : [value]).map(([s, text]) => [Math.round(s * 1000), Number(text)]),
  }))
}

/** The choices of a query variable: `label_values(filter, label)` or `query_result(expression)`. */
export async function choicesOf(
  victoria: VictoriaMetrics,
  variable: Variable,
  view: View,
  variables: readonly Variable[],
): Promise<string[]> {
  const query = expandedExpr(variable.query, view, variables, 60_000)
  const [, filter, label] = /^label_values\((?:(.+),\s*)([a-zA-Z_]\w*)\)$/.exec(query) ?? []
  if (label !== undefined) {
    const times = { start: String(view.fromMs / 1000), end: String(view.toMs / 1000) }
    const answer = await fetch(`${victoria.url}/api/v1/series?${new URLSearchParams({ 'match[]': filter!, ...times })}`)
    const { data } = (await answer.json()) as { data: Record<string, string>[] }
    return [...new Set(data.map((labels) => labels[label]).filter((value) => value !== undefined))].sort()
  }
  const [, expr] = /^query_result\((.*)\)$/s.exec(query) ?? []
  if (expr === undefined) throw new Error(`${query} is neither label_values nor query_result`)
  const [, pattern] = /^\/(.*)\/$/.exec(variable.regex ?? '') ?? []
  const series = await askExpr(victoria, { expr, instant: true }, view, 60_000)
  return series.map(({ labels }) => {
    const text = `{${Object.entries(labels)
      .map(([key, value]) => `${key}="${value}"`)
      .join()}}`
    return new RegExp(pattern!).exec(text)![1]!
  })
}

export function openedIn(victoria: VictoriaMetrics, view: View, variables: readonly Variable[]): Promise<View> {
  return openedBy((variable, at) => choicesOf(victoria, variable, at, variables), view, variables)
}
