/** InfluxQL as all of InfluxDB 1.x, 2.x (through DBRP) and 3.x speak it. What one of them lacks is refused by a test.
 *
 * Two rules hold everywhere. The time filter stands in the inner query of a subquery, or InfluxDB 1.x answers with no rows. Products are
 * made with floats (`8000.0`), so that they neither overflow int64 nor divide as integers. */
// biome-ignore-all lint/suspicious/noTemplateCurlyInString: Grafana's own placeholders.
import type * as cog from '@grafana/grafana-foundation-sdk/cog'

/** Hidden variables with what stands after FROM: rows of the tier that fits the range shown, and raw points. */
export const EDGES = '${edges:raw}'
/** The same for tables of all edges, which read a tier with longer steps: what they cost is the number of rows, and they show no steps. */
export const EDGE_SUMS = '${edge_sums:raw}'
export const NODES = '${nodes:raw}'
export const FLOWS = '${flows:raw}'
/** A tier that is in the main place and kept longest: SHOW TAG VALUES sees only that place on InfluxDB 2.x and 3.x. */
export const NODES_KEPT = '"tailnet_node_1h"'
export const DEVICES = '"tailnet_device"'
export const MINUTES = '"tailflux_minute"'
export const WINDOWS = '"tailflux_window"'

export const OF_TAILNET = '"tailnet" =~ /^$tailnet$/'
export const OF_KIND = `"kind" = '$kind'`
/** The reporting device, of rows of nodes. */
export const OF_NODES = '"node_name" =~ /^$node$/'
/** One endpoint or the other, of edges. */
export const ENDPOINT_IS_NODE = '("src_name" =~ /^$node$/ OR "dst_name" =~ /^$node$/)'
export const ENDPOINT_IS_OWNED = '("src_owner" =~ /^$owner$/ OR "dst_owner" =~ /^$owner$/)'
export const kindIs = (kind: 'virtual' | 'subnet' | 'exit' | 'physical') => `"kind" = '${kind}'`
export const roleIs = (role: 'peer' | 'client' | 'router' | 'exit') => `"role" = '${role}'`
/** Edges of exit traffic with an endpoint that is told. The others cannot be matched with what the exit node says, so they are in no total. */
export const IS_MATCHED = `"path" != 'unknown'`

/** Tailscale Services: an address that Tailscale gives out and no device has, so that it stands in place of a device's id. Clients say subnet if the address
 * is among the routes, else exit. */
export const OF_SERVICES = `(${kindIs('subnet')} OR ${kindIs('exit')})`
export const DST_IS_SERVICE = String.raw`"dst" =~ /^(100\.(6[4-9]|[7-9][0-9]|1[01][0-9]|12[0-7])\.|fd7a:115c:a1e0:(:|ab12:))/`

const PERIOD = '$timeFilter'
/** Grafana has no length of the range for this data source, only its ends. */
const PREVIOUS = 'time >= ${__from}ms - ${__to}ms + ${__from}ms AND time < ${__from}ms'

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

/** Groups in which anything was counted: rows that stand with zeros are no longer true. */
export function selectCounted(what: string, counted: string, also: readonly string[], source: From): string {
  const columns = [counted, ...also, ...(source.by ?? [])].map(quoted)
  return `SELECT ${columns.join(', ')} FROM (${select(what, source)}) WHERE ${quoted(counted)} > 0`
}

/** One value per interval of the graph. `fill(0)` is right for traffic: no row means no traffic. */
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

/** Both directions of edges, or both of what one device carries for others. Never of devices that talk to each other: what one sends another receives. */
export const BOTH_WAYS = 'sum("tx_bytes") + sum("rx_bytes")'
export const bitsPerSecondBothWays = (as: string) => `(${BOTH_WAYS}) * 8000.0 / $__interval_ms AS ${quoted(as)}`
export const bitsPerSecond = (field: string, as: string) =>
  `sum(${quoted(field)}) * 8000.0 / $__interval_ms AS ${quoted(as)}`
export const sum = (field: string, as: string) => `sum(${quoted(field)}) AS ${quoted(as)}`
/** Percent of one sum in another. */
export const share = (part: string, whole: string, as: string) =>
  `100.0 * sum(${quoted(part)}) / sum(${quoted(whole)}) AS ${quoted(as)}`

/** The 95th percentile of means over the panel's interval, `$mean`: five minutes, as transit is billed, or the step of a longer tier. `bytes`: a sum. */
export function percentile95(bytes: string, as: string, source: From): string {
  const inner = `SELECT (${bytes}) * 8000.0 / $__interval_ms AS "bps" FROM ${source.from} WHERE ${where(source)}${grouped(source.by, '$__interval', '0')}`
  return `SELECT percentile("bps", 95) AS ${quoted(as)} FROM (${inner})${grouped(source.by)}`
}

/** The largest rows by the first column, as many as the variable says and without zeros; `source.by` gives the tags that make a row. Every field that
 * is summed costs as much as the whole query with one, so that tables have few columns. */
export function topRows(columns: readonly (readonly [expression: string, as: string])[], source: From): string {
  const [largest, ...others] = columns.map(([, as]) => quoted(as))
  const shown = [...others, ...(source.by ?? []).map(quoted)].join(', ')
  const inner = select(columns.map(([expression, as]) => `${expression} AS ${quoted(as)}`).join(', '), source)
  return `SELECT TOP(${largest}, $topn) AS ${largest}, ${shown} FROM (${inner}) WHERE ${largest} > 0`
}
/** Columns of a table of edges. An edge has each byte once, so both directions may be added. */
export const EDGE_BYTES = [
  [BOTH_WAYS, 'bytes'],
  ['sum("tx_bytes")', 'forth'],
  ['sum("rx_bytes")', 'back'],
] as const
/** Columns of a table of devices: what they sent and received themselves. */
export const NODE_BYTES = [
  ['sum("tx_bytes")', 'sent'],
  ['sum("rx_bytes")', 'received'],
] as const

/** How many combinations of `by` counted anything. */
export function countRows(as: string, source: From): string {
  return `SELECT count("n") AS ${quoted(as)} FROM (${select('sum("flows") AS "n"', source)}) WHERE "n" > 0`
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
