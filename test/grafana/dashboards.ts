/** The committed dashboards, read as Grafana would read them. */
import { readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'

export const FOLDER = resolve(import.meta.dirname, '../../config/grafana/dashboards')

export interface Target {
  readonly refId: string
  readonly query: string
  readonly rawQuery: boolean
  readonly resultFormat: 'time_series' | 'table'
  readonly alias?: string
  readonly datasource: { readonly type: string; readonly uid: string }
}

export interface Override {
  readonly matcher: { readonly id: string; readonly options: string }
  readonly properties: readonly { readonly id: string; readonly value: unknown }[]
}

export interface Panel {
  readonly id: number
  readonly type: string
  readonly title: string
  readonly description?: string
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number }
  readonly datasource?: { readonly type: string; readonly uid: string }
  readonly targets?: readonly Target[]
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

export interface Dashboard {
  readonly uid: string
  readonly title: string
  readonly description: string
  readonly tags: readonly string[]
  readonly panels: readonly Panel[]
  readonly annotations: { readonly list: readonly Annotation[] }
  readonly templating: { readonly list: readonly Variable[] }
  readonly links: readonly { readonly type: string; readonly tags: readonly string[] }[]
  readonly timepicker: { readonly nowDelay?: string }
  readonly time: { readonly from: string; readonly to: string }
  readonly editable: boolean
}

export function dashboardNames(): string[] {
  return readdirSync(FOLDER).sort()
}

export function readDashboard(name: string): Dashboard {
  return JSON.parse(readFileSync(join(FOLDER, name), 'utf8')) as Dashboard
}

export function readDashboards(): Dashboard[] {
  return dashboardNames().map(readDashboard)
}

/** Panels that ask the database: all but headings and texts. */
export function askingPanels(dashboard: Dashboard): Panel[] {
  return dashboard.panels.filter((panel) => panel.type !== 'row' && panel.type !== 'text')
}
