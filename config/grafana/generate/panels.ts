/** The few forms of panel that all dashboards are made of. Core panels only. */
// biome-ignore-all lint/suspicious/noTemplateCurlyInString: Grafana's own placeholders.
import type * as cog from '@grafana/grafana-foundation-sdk/cog'
import * as common from '@grafana/grafana-foundation-sdk/common'
import type * as sdk from '@grafana/grafana-foundation-sdk/dashboard'
import {
  DashboardLinkBuilder,
  DashboardLinkType,
  ThresholdsConfigBuilder,
  ThresholdsMode,
} from '@grafana/grafana-foundation-sdk/dashboard'
import { PanelBuilder as StatBuilder } from '@grafana/grafana-foundation-sdk/stat'
import { PanelBuilder as TableBuilder } from '@grafana/grafana-foundation-sdk/table'
import { PanelBuilder as TextBuilder, TextMode } from '@grafana/grafana-foundation-sdk/text'
import { PanelBuilder as SeriesBuilder } from '@grafana/grafana-foundation-sdk/timeseries'
import { DS, type Language, REF_IDS } from './language.ts'
import type { Query } from './query.ts'

/** A panel that has no place yet. */
interface PanelBuilder extends cog.Builder<sdk.Panel> {
  gridPos(position: sdk.GridPos): PanelBuilder
}
/** A panel as it is defined: its queries are in no language yet. */
export type Panel = (language: Language) => PanelBuilder

interface Common {
  /** Fixed forever: alert rules and links may point at it. */
  readonly id: number
  readonly title: string
  /** What the numbers count. */
  readonly description: string
  readonly unit: string
  readonly decimals?: number
}

type Named = readonly [alias: string, query: Query]

/** Shortest interval of graphs: a step of the tier that is read. */
const STEP = '$step'
const POINTS_MAX = 1_000_000

const datasource = ({ type }: Language) => ({ type, uid: DS })

function targets({ series }: Language, queries: readonly Named[]): cog.Builder<cog.Dataquery>[] {
  return queries.map(([alias, query], i) => series(query, { refId: REF_IDS[i]!, alias }))
}

export interface StatOptions extends Common {
  readonly queries: readonly Named[]
  readonly color?: string
}

/** Big numbers, one per query: this period, and where it makes sense the one before. */
export function stat(options: StatOptions): Panel {
  return (language) => statIn(language, options)
}

function statIn(language: Language, options: StatOptions): PanelBuilder {
  const { color = 'blue' } = options
  const panel = new StatBuilder()
    .id(options.id)
    .title(options.title)
    .description(options.description)
    .datasource(datasource(language))
    .targets(targets(language, options.queries))
    .unit(options.unit)
    .noValue('none')
    .reduceOptions(reduce('lastNotNull'))
    .graphMode(common.BigValueGraphMode.None)
    .colorMode(common.BigValueColorMode.Value)
    .textMode(options.queries.length > 1 ? common.BigValueTextMode.ValueAndName : common.BigValueTextMode.Value)
    .thresholds(new ThresholdsConfigBuilder().mode(ThresholdsMode.Absolute).steps([{ value: null, color }]))
  if (options.decimals !== undefined) panel.decimals(options.decimals)
  const needs = language.numberInterval(options.queries.map(([, query]) => query))
  if (needs !== undefined) panel.interval(needs.interval).maxDataPoints(POINTS_MAX)
  return panel
}

function reduce(calculation: string): cog.Builder<common.ReduceDataOptions> {
  return { build: () => ({ calcs: [calculation], fields: '', values: false }) }
}

export interface SeriesOptions extends Common {
  readonly queries: readonly Named[]
  /** Colours by regular expression on the series' name. */
  readonly colors?: Readonly<Record<string, string>>
  /** What is shown in place of a series' name. */
  readonly names?: Readonly<Record<string, string>>
  /** Series whose name matches are drawn below zero. */
  readonly below?: string
  /** Series whose name matches are dashed and not filled. */
  readonly dashed?: string
  /** Only for parts of one and the same kind. */
  readonly stacked?: boolean
  /** Shows an earlier time: the variable `shift`. */
  readonly shifted?: boolean
  readonly max?: number
  /** Shortest interval, for what is no row of a tier. */
  readonly interval?: string
  /** What the legend shows of each series. Not the last value: its interval is rarely complete. */
  readonly calculations?: readonly string[]
}

/** A graph over half of the width, and beside it the same of an earlier time, with the next id. */
export function withEarlier(options: SeriesOptions): readonly (readonly [width: number, panel: Panel])[] {
  return [
    [12, series(options)],
    [12, series({ ...options, id: options.id + 1, shifted: true })],
  ]
}

export function series(options: SeriesOptions): Panel {
  return (language) => seriesIn(language, options)
}

function seriesIn(language: Language, options: SeriesOptions): PanelBuilder {
  const { calculations = ['mean', 'max'], interval = STEP } = options
  const panel = new SeriesBuilder()
    .id(options.id)
    .title(options.shifted ? `${options.title}, $shift earlier` : options.title)
    .description(options.description)
    .datasource(datasource(language))
    .targets(targets(language, options.queries))
    .interval(interval)
    .unit(options.unit)
    .lineWidth(1)
    .fillOpacity(options.stacked ? 40 : 12)
    .showPoints(common.VisibilityMode.Never)
    .stacking({
      build: () => ({ mode: options.stacked ? common.StackingMode.Normal : common.StackingMode.None, group: 'A' }),
    })
    .tooltip({ build: () => ({ mode: common.TooltipDisplayMode.Multi, sort: common.SortOrder.Descending }) })
    .legend({
      build: () => ({
        displayMode: common.LegendDisplayMode.Table,
        placement: common.LegendPlacement.Bottom,
        showLegend: true,
        calcs: [...calculations],
      }),
    })
  if (options.below === undefined) panel.min(0)
  if (options.max !== undefined) panel.max(options.max)
  if (options.decimals !== undefined) panel.decimals(options.decimals)
  if (options.shifted) panel.timeShift('${shift}')
  for (const [name, fixedColor] of Object.entries(options.colors ?? {}))
    panel.overrideByRegexp(name, [{ id: 'color', value: { mode: 'fixed', fixedColor } }])
  for (const [name, value] of Object.entries(options.names ?? {}))
    panel.overrideByName(name, [{ id: 'displayName', value }])
  if (options.below !== undefined)
    panel.overrideByRegexp(options.below, [{ id: 'custom.transform', value: common.GraphTransform.NegativeY }])
  if (options.dashed !== undefined) {
    panel.overrideByRegexp(options.dashed, [
      { id: 'custom.lineStyle', value: { fill: 'dash', dash: [8, 6] } },
      { id: 'custom.fillOpacity', value: 0 },
    ])
  }
  return panel
}

export interface Column {
  /** Of the query: a tag or a name after AS. */
  readonly name: string
  readonly title: string
  readonly unit?: string
  readonly decimals?: number
  /** A bar behind the number. */
  readonly bar?: boolean
  readonly link?: { readonly title: string; readonly url: string }
  /** What is shown in place of a value. */
  readonly texts?: Readonly<Record<string, string>>
  readonly width?: number
}

export interface TableOptions extends Omit<Common, 'unit'> {
  readonly query: Query
  /** In the order shown. */
  readonly columns: readonly Column[]
  /** Name of the column, largest first. */
  readonly sortBy: string
  /** Show the time of each row under this title. */
  readonly time?: string
}

/** Columns come from Grafana in any order, so they are always put in order by name. */
export function table(options: TableOptions): Panel {
  return (language) => tableIn(language, options)
}

function tableIn(language: Language, options: TableOptions): PanelBuilder {
  const { columns, time } = options
  const names = language.tableColumns(options.query)
  const nameOf = (name: string) => names[name] ?? name
  const panel = new TableBuilder()
    .id(options.id)
    .title(options.title)
    .description(options.description)
    .datasource(datasource(language))
    .targets([...language.table(options.query)])
    .noValue('-')
    .cellHeight(common.TableCellHeight.Sm)
    .sortBy([{ build: () => ({ displayName: options.sortBy, desc: true }) }])
  if (language.joinsTables) panel.withTransformation({ id: 'merge', options: {} })
  panel.withTransformation({
    id: 'organize',
    options: {
      excludeByName: time === undefined ? { Time: true } : {},
      indexByName: Object.fromEntries(
        [...columns.map(({ name }) => nameOf(name)), 'Time'].map((name, index) => [name, index]),
      ),
      renameByName: Object.fromEntries([
        ...columns.map(({ name, title }) => [nameOf(name), title]),
        ...(time === undefined ? [] : [['Time', time]]),
      ]),
    },
  })
  for (const column of columns) {
    const properties = [
      ...(column.unit === undefined ? [] : [{ id: 'unit', value: column.unit }]),
      ...(column.decimals === undefined ? [] : [{ id: 'decimals', value: column.decimals }]),
      ...(column.width === undefined ? [] : [{ id: 'custom.width', value: column.width }]),
      ...(column.bar
        ? [{ id: 'custom.cellOptions', value: { type: 'gauge', mode: 'basic', valueDisplayMode: 'text' } }]
        : []),
      ...(column.texts === undefined ? [] : [{ id: 'mappings', value: [mapping(column.texts)] }]),
      ...(column.link === undefined ? [] : [{ id: 'links', value: [dataLink(column.link)] }]),
    ]
    if (properties.length > 0) panel.overrideByName(column.title, properties)
  }
  return panel
}

function mapping(texts: Readonly<Record<string, string>>): sdk.ValueMap {
  const options = Object.entries(texts).map(([value, text], index) => [value, { text, index }] as const)
  return { type: 'value' as sdk.MappingType.ValueToText, options: Object.fromEntries(options) }
}

function dataLink({ title, url }: { readonly title: string; readonly url: string }): sdk.DashboardLink {
  const link = new DashboardLinkBuilder(title).type(DashboardLinkType.Link).url(url).build()
  // A link of a cell has no more than these.
  return { title: link.title, url: link.url, targetBlank: false } as sdk.DashboardLink
}

export function text(id: number, title: string, description: string, content: string): Panel {
  return () => new TextBuilder().id(id).title(title).description(description).mode(TextMode.Markdown).content(content)
}
