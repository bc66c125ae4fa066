/** The committed dashboards, read as Grafana would read them. */
import { readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'

const GRAFANA = resolve(import.meta.dirname, '../../config/grafana')
export const FOLDER = join(GRAFANA, 'dashboards')
/** The same dashboards in MetricsQL. */
export const METRICSQL_FOLDER = join(GRAFANA, 'dashboards-victoriametrics')

export interface Target {
  readonly refId: string
  readonly query: string
  readonly rawQuery: boolean
  readonly resultFormat: 'time_series' | 'table'
  readonly alias?: string
  readonly datasource: { readonly type: string; readonly uid: string }
}

/** A target in MetricsQL, of Grafana's Prometheus data source. */
export interface PrometheusTarget {
  readonly refId: string
  readonly expr: string
  readonly instant: boolean
  readonly range: boolean
  readonly format: 'time_series' | 'table'
  readonly legendFormat?: string
  readonly datasource: { readonly type: string; readonly uid: string }
}

export interface Override {
  readonly matcher: { readonly id: string; readonly options: string }
  readonly properties: readonly { readonly id: string; readonly value: unknown }[]
}

export interface Panel<T = Target> {
  readonly id: number
  readonly type: string
  readonly title: string
  readonly description?: string
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number }
  readonly datasource?: { readonly type: string; readonly uid: string }
  readonly targets?: readonly T[]
  readonly interval?: string
  readonly maxDataPoints?: number
  readonly timeShift?: string
  readonly options?: Readonly<Record<string, unknown>>
  readonly transformations?: readonly { readonly id: string; readonly options: Readonly<Record<string, unknown>> }[]
  readonly fieldConfig?: {
    readonly defaults: { readonly unit?: string; readonly decimals?: number } & Readonly<Record<string, unknown>>
    readonly overrides: readonly Override[]
  }
}

export interface Variable {
  readonly type: string
  readonly name: string
  readonly query: string
  readonly regex?: string
  readonly multi?: boolean
  readonly includeAll?: boolean
  readonly allValue?: string
  /** 2: not shown. */
  readonly hide?: number
  readonly current?: { readonly text: string; readonly value: string }
  readonly options?: readonly { readonly text: string; readonly value: string; readonly selected?: boolean }[]
  readonly datasource?: { readonly type: string; readonly uid: string }
}

/** Marks on graphs. `target`: as Grafana's InfluxDB data source has it in InfluxQL mode. */
export interface Annotation {
  /** Of a Prometheus data source. */
  readonly expr?: string
  readonly step?: string
  readonly titleFormat?: string
  readonly textFormat?: string
  readonly tagKeys?: string
  readonly name: string
  readonly enable: boolean
  readonly iconColor: string
  readonly datasource: { readonly type: string; readonly uid: string }
  readonly target: {
    readonly query: string
    readonly titleColumn: string
    readonly textColumn: string
    readonly tagsColumn: string
    readonly timeEndColumn: string
  }
}

export interface Dashboard<T = Target> {
  readonly uid: string
  readonly title: string
  readonly description: string
  readonly tags: readonly string[]
  readonly panels: readonly Panel<T>[]
  readonly annotations: { readonly list: readonly Annotation[] }
  readonly templating: { readonly list: readonly Variable[] }
  readonly links: readonly { readonly type: string; readonly tags: readonly string[] }[]
  readonly timepicker: { readonly nowDelay?: string }
  readonly time: { readonly from: string; readonly to: string }
  readonly editable: boolean
}

export function dashboardNames(folder = FOLDER): string[] {
  return readdirSync(folder).sort()
}

function read<T>(folder: string, name: string): Dashboard<T> {
  return JSON.parse(readFileSync(join(folder, name), 'utf8')) as Dashboard<T>
}

export function readDashboards(): Dashboard[] {
  return dashboardNames().map((name) => read(FOLDER, name))
}

export function readMetricsqlDashboards(): Dashboard<PrometheusTarget>[] {
  return dashboardNames(METRICSQL_FOLDER).map((name) => read(METRICSQL_FOLDER, name))
}

/** Panels that ask the database: all but headings and texts. */
export function askingPanels<T>(dashboard: Dashboard<T>): Panel<T>[] {
  return dashboard.panels.filter((panel) => panel.type !== 'row' && panel.type !== 'text')
}
