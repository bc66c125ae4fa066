/** InfluxQL as all of InfluxDB 1.x, 2.x (through DBRP) and 3.x speak it. What one of them lacks is refused by a test.
 *
 * Two rules hold everywhere. The time filter stands in the inner query of a subquery, or InfluxDB 1.x answers with no rows. Products are
 * made with floats (`8000.0`), so that they neither overflow int64 nor divide as integers. */
// biome-ignore-all lint/suspicious/noTemplateCurlyInString: Grafana's own placeholders.
import type * as cog from '@grafana/grafana-foundation-sdk/cog'

/** Hidden variable: where `tailnet_node` is read from, `"tailnet_node"` or, on 1.x and 2.x, `"policy"."tailnet_node"`. */
export const NODES = '${nodes:raw}'
export const FLOWS = '"tailnet_flow"'
export const WINDOWS = '"tailflux_window"'

export const OF_TAILNET = '"tailnet" =~ /^$tailnet$/'
export const OF_KIND = `"kind" = '$kind'`
export const OF_NODES = '"node_name" =~ /^$node$/'
export const kindIs = (kind: 'virtual' | 'subnet' | 'exit' | 'physical') => `"kind" = '${kind}'`

/** An address that Tailscale gives to devices: 100.64.0.0/10 and fd7a:115c:a1e0::/48 without the 4via6 part, with or without port. */
const DEVICE = String.raw`/^\[?(100\.(6[4-9]|[7-9][0-9]|1[01][0-9]|12[0-7])\.|fd7a:115c:a1e0:(:|ab12:))/`
export const SRC_IS_DEVICE = `"src" =~ ${DEVICE}`
const SRC_IS_OTHER = `"src" !~ ${DEVICE}`
export const DST_IS_DEVICE = `"dst" =~ ${DEVICE}`
const DST_IS_OTHER = `"dst" !~ ${DEVICE}`
/** What a subnet router or an exit node reports: its own side is not a device, the far side is the device that it serves. */
export const AS_ROUTER = `${SRC_IS_OTHER} AND ${DST_IS_DEVICE}`
/** What the device itself reports of the same traffic. */
export const AS_CLIENT = `${SRC_IS_DEVICE} AND ${DST_IS_OTHER}`

const PERIOD = '$timeFilter'
const PREVIOUS = 'time >= ${__from}ms - ${__range_ms}ms AND time < ${__from}ms'
/** The end of the range: a mean over whole minutes instead of a last bucket that is only partly filled. */
const LAST_MINUTES = 'time >= ${__to}ms - 5m AND time < ${__to}ms'
const LAST_MINUTES_SECONDS = 300

export interface From {
  readonly from: string
  readonly where: readonly string[]
  /** The period shown unless given. */
  readonly time?: string
  /** Tags, not quoted. */
  readonly by?: readonly string[]
}

export function where({ where: conditions, time = PERIOD }: From): string {
  return [...conditions, OF_TAILNET, time].join(' AND ')
}

function grouped(by: readonly string[] = [], interval?: string, fill?: string): string {
  const parts = [...(interval === undefined ? [] : [`time(${interval})`]), ...by.map(quoted)]
  if (parts.length === 0) return ''
  return ` GROUP BY ${parts.join(', ')}${fill === undefined ? '' : ` fill(${fill})`}`
}

function quoted(name: string): string {
  return `"${name}"`
}

/** `what`: the columns, such as `sum("tx_bytes") AS "sent"`; one row per combination of the tags in `by`. */
export function select(what: string, source: From): string {
  return `SELECT ${what} FROM ${source.from} WHERE ${where(source)}${grouped(source.by)}`
}

/** One value per interval of the graph. `fill(0)` is right for traffic: no message means no traffic. */
export function overTime(what: string, source: From, fill: '0' | 'none' = '0'): string {
  return `SELECT ${what} FROM ${source.from} WHERE ${where(source)}${grouped(source.by, '$__interval', fill)}`
}

/** One question about the period shown and about the one before it. */
export function bothPeriods(ask: (source: From) => string, source: From): readonly [string, string][] {
  return [
    ['this period', ask(source)],
    ['previous period', ask({ ...source, time: PREVIOUS })],
  ]
}

export const bitsPerSecond = (field: string, as: string) =>
  `sum(${quoted(field)}) * 8000.0 / $__interval_ms AS ${quoted(as)}`
export const packetsPerSecond = (field: string, as: string) =>
  `sum(${quoted(field)}) * 1000.0 / $__interval_ms AS ${quoted(as)}`
export const sum = (field: string, as: string) => `sum(${quoted(field)}) AS ${quoted(as)}`
/** Percent of one sum in another. */
export const share = (part: string, whole: string, as: string) =>
  `100.0 * sum(${quoted(part)}) / sum(${quoted(whole)}) AS ${quoted(as)}`

/** Mean bits/s of the last five minutes of the range. */
export function currentRate(field: string, as: string, source: From): string {
  return select(`sum(${quoted(field)}) * 8.0 / ${LAST_MINUTES_SECONDS} AS ${quoted(as)}`, {
    ...source,
    time: LAST_MINUTES,
  })
}

/** The 95th percentile of five-minute means, as transit is billed. */
export function percentile95(field: string, as: string, source: From): string {
  const inner = `SELECT sum(${quoted(field)}) * 8.0 / 300 AS "bps" FROM ${source.from} WHERE ${where(source)}${grouped(source.by, '5m', '0')}`
  return `SELECT percentile("bps", 95) AS ${quoted(as)} FROM (${inner})${grouped(source.by)}`
}

/** The largest rows by `top`, as many as the variable says; `by` gives the tags that make a row, `also` further sums of it. */
export function topRows(
  top: readonly [field: string, as: string],
  also: readonly (readonly [string, string])[],
  source: From,
): string {
  const by = source.by ?? []
  const columns = [...also.map(([, as]) => as), ...by].map(quoted)
  const inner = select([top, ...also].map(([field, as]) => sum(field, as)).join(', '), source)
  return `SELECT TOP(${quoted(top[1])}, $topn) AS ${quoted(top[1])}, ${columns.join(', ')} FROM (${inner})`
}

/** How many combinations of `by` there were. */
export function countRows(as: string, source: From): string {
  return `SELECT count("n") AS ${quoted(as)} FROM (${select('sum("flows") AS "n"', source)})`
}

/** The same per interval of the graph. */
export function countRowsOverTime(as: string, source: From): string {
  const inner = `SELECT sum("flows") AS "n" FROM ${source.from} WHERE ${where(source)}${grouped(source.by, '$__interval', 'none')}`
  return `SELECT count("n") AS ${quoted(as)} FROM (${inner}) WHERE ${source.time ?? PERIOD} GROUP BY time($__interval) fill(0)`
}

export interface QueryOptions {
  readonly refId?: string
  /** Name of the series; `$tag_<tag>` stands for a tag's value. */
  readonly alias?: string
  readonly table?: boolean
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

export function influxQuery(
  query: string,
  datasource: string,
  { refId = 'A', alias, table = false }: QueryOptions,
): cog.Builder<cog.Dataquery> {
  return {
    build(): InfluxQuery {
      return {
        refId,
        datasource: { type: 'influxdb', uid: datasource },
        query,
        rawQuery: true,
        resultFormat: table ? 'table' : 'time_series',
        ...(alias === undefined ? {} : { alias }),
        // A mark of the SDK for its own types; functions do not get into the JSON.
        _implementsDataqueryVariant() {},
      }
    },
  }
}
