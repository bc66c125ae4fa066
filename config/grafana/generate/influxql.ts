/** InfluxQL as all of InfluxDB 1.x, 2.x (through DBRP) and 3.x speak it. What one of them lacks is refused by a test.
 *
 * Two rules hold everywhere. The time filter stands in the inner query of a subquery, or InfluxDB 1.x answers with no rows. Products are
 * made with floats (`8000.0`), so that they neither overflow int64 nor divide as integers. */
// biome-ignore-all lint/suspicious/noTemplateCurlyInString: Grafana's own placeholders.
import type * as cog from '@grafana/grafana-foundation-sdk/cog'
import { READ_UP_TO } from '../../../src/rollup/hours/tiers.ts'
import { DS, type Language, type Marks, type TierField, type TierQuery } from './language.ts'
import { type Column, type Condition, type From, OF_TAILNET, type Query, type Source } from './query.ts'

/** What stands after FROM. Hidden variables hold the names of tiers, and the place of raw points. */
const FROM: Readonly<Record<Source, string>> = {
  edges: '${edges:raw}',
  edge_sums: '${edge_sums:raw}',
  nodes: '${nodes:raw}',
  flows: '${flows:raw}',
  devices: '"tailnet_device"',
  minutes: '"tailflux_minute"',
  windows: '"tailflux_window"',
}
/** A tier that is in the main place and kept longest: SHOW TAG VALUES sees only that place on InfluxDB 2.x and 3.x. */
const NODES_KEPT = '"tailnet_node_1h"'
/** The newest two minutes are not in the database yet. */
const NOW_DELAY = '2m'

/** Grafana has no length of the range for this data source, only its ends. */
const TIMES = {
  shown: '$timeFilter',
  previous: 'time >= ${__from}ms - ${__to}ms + ${__from}ms AND time < ${__from}ms',
  'two days': 'time >= ${__to}ms - 2d AND time < ${__to}ms',
} as const

const quoted = (name: string) => `"${name}"`

function condition(one: Condition): string {
  if ('any' in one) return `(${one.any.map(condition).join(' OR ')})`
  if ('isTrue' in one) return `${quoted(one.isTrue)} = true`
  const tag = quoted(one.tag)
  if ('is' in one) return `${tag} = '${one.is}'`
  if ('isNot' in one) return `${tag} != '${one.isNot}'`
  if ('chosen' in one) return `${tag} =~ /^$${one.chosen}$/`
  return 'text' in one ? `${tag} =~ /^\${${one.text}:regex}$/` : `${tag} =~ /^${one.begins}/`
}

function where({ where: conditions, time }: Pick<From, 'where' | 'time'>): string {
  return [...[...conditions, OF_TAILNET].map(condition), TIMES[time ?? 'shown']].join(' AND ')
}

function grouped(by: readonly string[] = [], interval?: string, fill?: string): string {
  const parts = [...(interval === undefined ? [] : [`time(${interval})`]), ...by.map(quoted)]
  if (parts.length === 0) return ''
  return ` GROUP BY ${parts.join(', ')}${fill === undefined ? '' : ` fill(${fill})`}`
}

const named = ([expression, as]: Column) => `${expression} AS ${quoted(as)}`

function totals(columns: readonly Column[], of: From): string {
  return `SELECT ${columns.map(named).join(', ')} FROM ${FROM[of.from]} WHERE ${where(of)}${grouped(of.by)}`
}

function graph(column: Column, of: From, fill: string): string {
  return `SELECT ${named(column)} FROM ${FROM[of.from]} WHERE ${where(of)}${grouped(of.by, '$__interval', fill)}`
}

function influxql(query: Query): string {
  const { of } = query
  switch (query.form) {
    case 'totals': {
      if (!query.isCounted) return totals(query.columns, of)
      const [counted, ...others] = query.columns.map(([, as]) => quoted(as))
      const shown = [counted, ...others, ...(of.by ?? []).map(quoted)].join(', ')
      return `SELECT ${shown} FROM (${totals(query.columns, of)}) WHERE ${counted} > 0`
    }
    case 'graph':
      return graph(query.column, of, query.fill)
    case 'percentile': {
      const [bytes, as] = query.column
      const means = graph([`(${bytes}) * 8000.0 / $__interval_ms`, 'bps'], of, '0')
      return `SELECT percentile("bps", 95) AS ${quoted(as)} FROM (${means})${grouped(of.by)}`
    }
    case 'top': {
      const [largest, ...others] = query.columns.map(([, as]) => quoted(as))
      const shown = [...others, ...(of.by ?? []).map(quoted)].join(', ')
      const inner = totals(query.columns, of)
      return `SELECT TOP(${largest}, $topn) AS ${largest}, ${shown} FROM (${inner}) WHERE ${largest} > 0`
    }
    case 'rows':
      return `SELECT count("n") AS ${quoted(query.as)} FROM (${totals([['sum("flows")', 'n']], of)}) WHERE "n" > 0`
  }
}

/** The model of Grafana's InfluxDB data source in InfluxQL mode; the SDK has no builder for it. */
interface InfluxQuery extends cog.Dataquery {
  readonly refId: string
  readonly datasource: { readonly type: 'influxdb'; readonly uid: string }
  readonly query: string
  readonly rawQuery: true
  readonly resultFormat: 'time_series' | 'table'
  readonly alias?: string
}

function target(query: Query, refId: string, alias?: string): cog.Builder<cog.Dataquery> {
  return {
    build(): InfluxQuery {
      return {
        refId,
        datasource: { type: 'influxdb', uid: DS },
        query: influxql(query),
        rawQuery: true,
        resultFormat: alias === undefined ? 'table' : 'time_series',
        ...(alias === undefined ? {} : { alias }),
        // A mark of the SDK for its own types; functions do not get into the JSON.
        _implementsDataqueryVariant() {},
      }
    },
  }
}

/** What a tier of the rows is called in queries, or how long its steps are: a field of `tailflux_tier`. Chosen is the tier with the shortest steps that
 * is meant for a range this long, or for so many times as long, and still holds its beginning. */
function tier(field: TierField, times: number): TierQuery {
  const tiers = `SELECT last("max_ms") AS "m", "oldest_ms" AS "o", "${field}" AS "${field}" FROM "tailflux_tier" WHERE ${condition(OF_TAILNET)} AND time > now() - 10d GROUP BY "tier"`
  // Grafana has no length of the range for this data source: its ends stand on both sides of the comparison.
  const fits = `"m"${times === 1 ? '' : ` / ${times}`} + \${__from} >= \${__to} AND "o" <= \${__from}`
  const text = `SELECT "${field}" FROM (SELECT bottom("m", 1), "${field}" FROM (${tiers}) WHERE ${fits})`
  const current = field === 'edge' || field === 'node' ? quoted(`tailnet_${field}`) : READ_UP_TO[0][field]
  return { text, current }
}

/** When an alert began to fire and when it was over, from the points that tailflux writes about its own alerts, and minutes whose records are not complete.
 *
 * The SDK knows nothing of what a data source asks for annotations: `target` is the query of Grafana's InfluxDB data source in its InfluxQL mode, with
 * the columns that it looks for. It reads `query`, `titleColumn`, `textColumn`, `tagsColumn` and `timeEndColumn` from there when `fromAnnotations` is
 * set (github.com/grafana/grafana, public/app/plugins/datasource/influxdb: `annotationEvents` in datasource.ts, InfluxQuery in types.ts). Where the answer
 * comes through Grafana's backend, columns are called `measurement.column` and found by a part of their name, and the first that is neither
 * text nor tags is taken for the title (response_parser.ts): so the title is asked for first, and the names must not contain one another. */
function marks(): readonly Marks[] {
  const alerts = (name: string, state: 'firing' | 'resolved', color: string) => {
    // What late records disproved has been written once more, as such.
    const conditions = `"type" = 'alert' AND "state" = '${state}' AND "refuted" = false AND ${where({ where: [] })}`
    return mark(name, color, `SELECT "title", "text", "tags" FROM "tailflux_event" WHERE ${conditions}`, [
      'title',
      'text',
      'tags',
    ])
  }
  const gaps = `SELECT "gap", "points", "tailnet" FROM "tailflux_minute" WHERE ${where({ where: [{ isTrue: 'gap' }] })}`
  return [
    alerts('Alerts', 'firing', 'red'),
    alerts('Alerts that are over', 'resolved', 'green'),
    mark('Minutes with a gap', 'yellow', gaps, ['gap', 'points', 'tailnet']),
  ]
}

function mark(name: string, color: string, query: string, [title, text, tags]: readonly string[]): Marks {
  const target = {
    refId: 'Anno',
    datasource: { type: 'influxdb', uid: DS },
    query,
    rawQuery: true,
    textEditor: true,
    fromAnnotations: true,
    titleColumn: title,
    textColumn: text,
    tagsColumn: tags,
    timeEndColumn: '',
    name,
  }
  return { name, color, target }
}

export const INFLUXQL: Language = {
  type: 'influxdb',
  uid: 'tailflux-influxdb',
  datasourceText: 'The InfluxDB that tailflux writes to.',
  nowDelay: NOW_DELAY,
  series: (query, { refId, alias }) => target(query, refId, alias),
  table: (query) => [target(query, 'A')],
  tableColumns: () => ({}),
  joinsTables: false,
  // No width of a panel changes what stands in one number.
  numberInterval: (queries) => (queries.some(({ form }) => form === 'percentile') ? { interval: '$mean' } : undefined),
  tagValues: (tag, conditions) => {
    const filter = conditions.length === 0 ? '' : ` WHERE ${conditions.map(condition).join(' AND ')}`
    return `SHOW TAG VALUES FROM ${NODES_KEPT} WITH KEY = "${tag}"${filter}`
  },
  tier,
  flows: `SELECT last("flow") AS "flow" FROM "tailflux_tier" WHERE ${condition(OF_TAILNET)} AND time > now() - 10d`,
  hasTexts: true,
  marks,
}
