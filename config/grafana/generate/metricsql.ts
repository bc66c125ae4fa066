/** MetricsQL, the language of VictoriaMetrics. A field of a measurement is a metric there: `tailnet_edge_tx_bytes`.
 *
 * A row stands at the begin of its minute, hour or day, and `[d]` takes what lies after t-d up to t. So that a range begins and an interval ends where they do in
 * InfluxQL, windows are one millisecond longer, or are moved by one: VictoriaMetrics keeps milliseconds. `1ms-1m` is one offset; a second one around the
 * first would fill what a series lacks with its last value. */
// biome-ignore-all lint/suspicious/noTemplateCurlyInString: Grafana's own placeholders.
import type * as cog from '@grafana/grafana-foundation-sdk/cog'
import { SECOND } from '../../../src/base/clock.ts'
import { READ_UP_TO } from '../../../src/rollup/hours/tiers.ts'
import { DS, type Language, type Marks, REF_IDS, type TierField, type TierQuery } from './language.ts'
import { type Column, type Condition, type From, OF_TAILNET, type Query, type Source } from './query.ts'

/** What metrics begin with. Hidden variables hold the names of tiers. */
const PREFIX: Readonly<Partial<Record<Source, string>>> = {
  edges: '${edges}',
  edge_sums: '${edge_sums}',
  nodes: '${nodes}',
  flows: 'tailnet_flow',
  minutes: 'tailflux_minute',
  windows: 'tailflux_window',
}
/** Rows of nodes of any tier: a database that is young has no hours yet. */
const ANY_NODES = '__name__=~"tailnet_node(_1h|_1d)?_flows"'
/** Rows are written once, 16 minutes after the end of their minute. */
const NOW_DELAY = '17m'
const STEP = '[$__interval] offset 1ms-$__interval'
const ALL_OF_IT = '[${__range_ms}ms1ms]'
const PERIODS = { shown: ALL_OF_IT, previous: '[${__range_ms}ms] offset ${__range_ms}ms1ms' } as const

/** Alternatives that exclude each other, each a list of matchers: a filter of VictoriaMetrics has no "or", and what two alternatives have in common would count
 * twice. Where the first one is `.*`, the others match nothing and cost nothing. */
type Alternatives = readonly (readonly string[])[]

function alternatives(conditions: readonly Condition[]): Alternatives {
  return conditions.reduce<Alternatives>(
    (all, one) => all.flatMap((some) => ways(one).map((way) => [...some, ...way])),
    [[]],
  )
}

function ways(one: Condition): Alternatives {
  if (!('any' in one)) return [[matcher(one)]]
  return one.any.map((way, index) => [...one.any.slice(0, index).map((before) => matcher(before, true)), matcher(way)])
}

function matcher(one: Condition, isNot = false): string {
  if ('any' in one || 'isTrue' in one) throw new RangeError(`no matcher says ${JSON.stringify(one)}`)
  const [equal, like] = isNot ? ['!=', '!~'] : ['=', '=~']
  if ('is' in one) return `${one.tag}${equal}"${one.is}"`
  if ('isNot' in one) return `${one.tag}${isNot ? '=' : '!='}"${one.isNot}"`
  if ('chosen' in one) return `${one.tag}${like}"$${one.chosen}"`
  // Grafana writes the quotes, and escapes what is inside.
  if ('text' in one) return `${one.tag}${equal}\${${one.text}:doublequote}`
  return `${one.tag}${like}"${one.begins.replaceAll('\\', '\\\\')}.*"`
}

/** A function of what each series has in a window, for all series of a field. */
function rolled(name: string, field: string, { from, where }: From, window: string): string {
  const prefix = PREFIX[from]
  if (prefix === undefined) throw new RangeError(`${from} are not in VictoriaMetrics`)
  const argument = name.startsWith('quantile') ? '0.95, ' : ''
  return alternatives([...where, OF_TAILNET])
    .map((matchers) => `${name}(${argument}${prefix}_${field}{${matchers.join(',')}}${window})`)
    .join(', ')
}

type Aggregate = (field: string, of: From, window: string) => string

const grouped = (name: string, inner: string, by: readonly string[] = []) =>
  `${name}(${inner})${by.length === 0 ? '' : ` by (${by.join(', ')})`}`
const over =
  (aggregate: string, rollup: string): Aggregate =>
  (field, of, window) =>
    grouped(aggregate, rolled(rollup, field, of, window), of.by)
const sum = over('sum', 'sum_over_time')
const count = over('sum', 'count_over_time')

const AGGREGATES: Readonly<Record<string, Aggregate>> = {
  sum,
  count,
  max: over('max', 'max_over_time'),
  mean: (...given) => `(${sum(...given)} / ${count(...given)})`,
  /** Of the series whose newest sample is the newest of all. */
  last: (field, of, window) =>
    `sum(${rolled('last_over_time', field, of, window)} and topk(1, ${rolled('tlast_over_time', field, of, window)}))`,
  /** Of each series, and the largest of these: no function sees the samples of several series at once. */
  percentile: over('max', 'quantile_over_time'),
}

/** Arithmetic is the same in both languages. */
function computed([expression]: Column, of: From, window: string): string {
  return expression.replaceAll(/(\w+)\("(\w+)"(?:, 95)?\)/g, (_call, name: string, field: string) => {
    const aggregate = AGGREGATES[name]
    if (aggregate === undefined) throw new RangeError(`${name}() of ${expression} is not in MetricsQL`)
    // What is true or false is 1 or 0 there.
    const flag = of.where.find((one) => 'isTrue' in one)
    if (flag === undefined) return aggregate(field, of, window)
    return sum(flag.isTrue, { ...of, where: of.where.filter((one) => one !== flag) }, window)
  })
}

/** One expression per column. */
function metricsql(query: Query): readonly string[] {
  const { of } = query
  if (of.time === 'two days') throw new RangeError('only the query of devices reads two days')
  const window = PERIODS[of.time ?? 'shown']
  switch (query.form) {
    case 'graph': {
      const text = computed(query.column, of, STEP)
      return [query.fill === 'none' ? text : `(${text}) default 0`]
    }
    case 'totals':
    case 'top': {
      const texts = query.columns.map((column) => computed(column, of, window))
      if (query.form === 'totals' && !query.isCounted) return texts
      const exist = `(${texts[0]}) > 0`
      const rows = query.form === 'top' ? `topk($topn, ${exist})` : exist
      return [rows, ...texts.slice(1).map((text) => `(${text}) and ${rows}`)]
    }
    case 'percentile': {
      const bytes = computed(query.column, of, STEP).replaceAll('$__interval', '$mean')
      const means = `((${bytes}) * 8 / $mean) default 0`
      return [`quantile_over_time(0.95, (${means})${window.replace(']', ':$mean]')})`]
    }
    case 'rows':
      return [`count((${computed(['sum("flows")', query.as], of, window)}) > 0)`]
  }
}

/** The model of Grafana's Prometheus data source, as far as it is used. */
interface PrometheusQuery extends cog.Dataquery {
  readonly refId: string
  readonly datasource: { readonly type: 'prometheus'; readonly uid: string }
  readonly expr: string
  readonly editorMode: 'code'
  /** A number at the end of the range, or one for each interval. */
  readonly instant: boolean
  readonly range: boolean
  readonly format: 'time_series' | 'table'
  readonly legendFormat?: string
}

function target(expr: string, refId: string, isRange: boolean, alias?: string): cog.Builder<cog.Dataquery> {
  return {
    build(): PrometheusQuery {
      return {
        refId,
        datasource: { type: 'prometheus', uid: DS },
        expr,
        editorMode: 'code',
        instant: !isRange,
        range: isRange,
        format: alias === undefined ? 'table' : 'time_series',
        ...(alias === undefined ? {} : { legendFormat: alias.replaceAll(/\$tag_(\w+)/g, '{{$1}}') }),
        _implementsDataqueryVariant() {},
      }
    },
  }
}

/** The tier is chosen by the length of the range alone: VictoriaMetrics keeps all of them equally long. */
function tier(field: TierField, times: number): TierQuery {
  const longestS = READ_UP_TO.map(({ rangeNs }) => Number(rangeNs / SECOND) / times)
  const values = READ_UP_TO.map(
    ({ suffix, step, mean }) => ({ edge: `tailnet_edge${suffix}`, node: `tailnet_node${suffix}`, step, mean })[field],
  )
  const ranges = values.map((value, index) => {
    const above = index === 0 ? [] : [`> ${longestS[index - 1]}`]
    // Whatever is longer than all of them reads the last one.
    const limits = [...above, ...(index < values.length - 1 ? [`<= ${longestS[index]}`] : [])].join(' ')
    return `label_set(vector($__range_s) ${limits}, "tier", "${value}")`
  })
  return { text: `query_result(${ranges.join(' or ')})`, current: values[0]!, regex: '/tier="([^"]+)"/' }
}

/** A mark where anything was counted in an interval. Grafana's Prometheus data source takes `titleFormat`, `textFormat` and `tagKeys` from the annotation
 * itself, and an event for each value above zero (github.com/grafana/grafana, packages/grafana-prometheus, `PrometheusAnnotationSupport`). */
function marks(): readonly Marks[] {
  const mark = (name: string, color: string, expr: string, title: string): Marks => ({
    ...{ name, color },
    target: { refId: 'Anno', expr, interval: '60s', editorMode: 'code', range: true, instant: false },
    also: { expr, step: '60s', titleFormat: title, textFormat: '', tagKeys: 'tailnet' },
  })
  const ofAlerts = (state: string) =>
    `count_over_time(tailflux_event_value{type="alert",state="${state}",${matcher(OF_TAILNET)}}${STEP})`
  return [
    mark('Alerts', 'red', ofAlerts('firing'), '{{alert}} fires'),
    mark('Alerts that are over', 'green', ofAlerts('resolved'), '{{alert}} is over'),
    mark('Minutes with a gap', 'yellow', `sum_over_time(tailflux_minute_gap{${matcher(OF_TAILNET)}}${STEP})`, 'gap'),
  ]
}

export const METRICSQL: Language = {
  type: 'prometheus',
  uid: 'tailflux-victoriametrics',
  datasourceText: 'The VictoriaMetrics that tailflux writes to, as a data source of type Prometheus.',
  nowDelay: NOW_DELAY,
  series: (query, { refId, alias }) => target(metricsql(query)[0]!, refId, query.form === 'graph', alias),
  table: (query) => metricsql(query).map((expr, index) => target(expr, REF_IDS[index]!, false)),
  tableColumns: (query) => {
    const names = 'columns' in query ? query.columns.map(([, as]) => as) : []
    return Object.fromEntries(
      names.map((name, index) => [name, names.length === 1 ? 'Value' : `Value #${REF_IDS[index]}`]),
    )
  },
  joinsTables: true,
  numberInterval: () => undefined,
  tagValues: (tag, conditions) =>
    `label_values({${[ANY_NODES, ...conditions.map((one) => matcher(one))].join(',')}}, ${tag})`,
  tier,
  flows: undefined,
  hasTexts: false,
  marks,
}
