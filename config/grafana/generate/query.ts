/** What panels ask for, in no language: influxql.ts and metricsql.ts write it in theirs. */

/** Rows of the tier that fits the range shown (`edge_sums`: of a tier with longer steps, for tables of all edges, which show no steps), raw points,
 * devices, and what tailflux says about minutes and windows. */
export type Source = 'edges' | 'edge_sums' | 'nodes' | 'flows' | 'devices' | 'minutes' | 'windows'

export type Condition =
  /** A text, or a variable that holds one of a few words. */
  | { readonly tag: string; readonly is: string }
  | { readonly tag: string; readonly isNot: string }
  /** One of the values chosen in this variable. */
  | { readonly tag: string; readonly chosen: string }
  /** The text of this variable, whatever it is. */
  | { readonly tag: string; readonly text: string }
  /** A regular expression of its beginning. */
  | { readonly tag: string; readonly begins: string }
  | { readonly any: readonly Condition[] }
  /** A field that is true or false. */
  | { readonly isTrue: string }

export interface From {
  readonly from: Source
  readonly where: readonly Condition[]
  /** The period shown unless given. */
  readonly time?: 'previous' | 'two days'
  /** Tags that make a row. */
  readonly by?: readonly string[]
}

/** Arithmetic of sums of fields, such as `sum("tx_bytes") / sum("tx_pkts")`, and its name. Besides `sum` there are `max`, `mean`, `count`, `last` and
 * `percentile("field", 95)`; `$__interval_ms` is the interval of a graph. Numbers have a fraction (`8000.0`), so that nothing divides as integers. */
export type Column = readonly [expression: string, as: string]

export type Query =
  /** One row per combination of the tags in `by`. `isCounted`: only rows whose first column is above zero, since rows that stand with zeros are no
   * longer true. */
  | { readonly form: 'totals'; readonly columns: readonly Column[]; readonly of: From; readonly isCounted: boolean }
  /** One value per interval of the graph. */
  | { readonly form: 'graph'; readonly column: Column; readonly of: From; readonly fill: '0' | 'none' }
  /** The 95th percentile of means over `$mean`, bit/s. `column`: bytes. */
  | { readonly form: 'percentile'; readonly column: Column; readonly of: From }
  /** The largest rows by the first column, as many as the variable says and without zeros. */
  | { readonly form: 'top'; readonly columns: readonly Column[]; readonly of: From }
  /** How many combinations of `by` counted anything. */
  | { readonly form: 'rows'; readonly as: string; readonly of: From }

export const OF_TAILNET: Condition = { tag: 'tailnet', chosen: 'tailnet' }
export const OF_KIND: Condition = { tag: 'kind', is: '$kind' }
/** The reporting device, of rows of nodes. */
export const OF_NODES: Condition = { tag: 'node_name', chosen: 'node' }
/** One endpoint or the other, of edges. */
const endpoint = (what: 'name' | 'owner', variable: string): Condition => ({
  any: [
    { tag: `src_${what}`, chosen: variable },
    { tag: `dst_${what}`, chosen: variable },
  ],
})
export const ENDPOINT_IS_NODE = endpoint('name', 'node')
export const ENDPOINT_IS_OWNED = endpoint('owner', 'owner')
export const kindIs = (kind: 'virtual' | 'subnet' | 'exit' | 'physical'): Condition => ({ tag: 'kind', is: kind })
export const kindIsNot = (kind: 'exit' | 'physical'): Condition => ({ tag: 'kind', isNot: kind })
export const roleIs = (role: 'peer' | 'client' | 'router' | 'exit'): Condition => ({ tag: 'role', is: role })
/** Edges of exit traffic with an endpoint that is told. The others cannot be matched with what the exit node says, so they are in no total. */
export const IS_MATCHED: Condition = { tag: 'path', isNot: 'unknown' }

/** Tailscale Services: an address that Tailscale gives out and no device has, so that it stands in place of a device's id. Clients say subnet if the address
 * is among the routes, else exit. */
export const OF_SERVICES: Condition = { any: [kindIs('subnet'), kindIs('exit')] }
export const DST_IS_SERVICE: Condition = {
  tag: 'dst',
  begins: String.raw`(100\.(6[4-9]|[7-9][0-9]|1[01][0-9]|12[0-7])\.|fd7a:115c:a1e0:(:|ab12:))`,
}

export const select = (column: Column, of: From): Query => selectAll([column], of)
export const selectAll = (columns: readonly Column[], of: From): Query => ({
  form: 'totals',
  columns,
  of,
  isCounted: false,
})
export const selectCounted = (columns: readonly Column[], of: From): Query => ({
  form: 'totals',
  columns,
  of,
  isCounted: true,
})
/** `fill` 0 is right for traffic: no row means no traffic. */
export const overTime = (column: Column, of: From, fill: '0' | 'none' = '0'): Query => ({
  form: 'graph',
  column,
  of,
  fill,
})
/** Five minutes, as transit is billed, or the step of a longer tier. */
export const percentile95 = (bytes: string, as: string, of: From): Query => ({
  form: 'percentile',
  column: [bytes, as],
  of,
})
/** Every field that is summed costs as much as the whole query with one, so that tables have few columns. */
export const topRows = (columns: readonly Column[], of: From): Query => ({ form: 'top', columns, of })
export const countRows = (as: string, of: From): Query => ({ form: 'rows', as, of })

/** One question about the period shown and about the one before it. */
export function bothPeriods(ask: (of: From) => Query, of: From): readonly [string, Query][] {
  return [
    ['this period', ask(of)],
    ['previous period', ask({ ...of, time: 'previous' })],
  ]
}

/** Both directions of edges, or both of what one device carries for others. Never of devices that talk to each other: what one sends another receives. */
export const BOTH_WAYS = 'sum("tx_bytes") + sum("rx_bytes")'
export const bitsPerSecondBothWays = (as: string): Column => [`(${BOTH_WAYS}) * 8000.0 / $__interval_ms`, as]
export const bitsPerSecond = (field: string, as: string): Column => [`sum("${field}") * 8000.0 / $__interval_ms`, as]
export const sum = (field: string, as: string): Column => [`sum("${field}")`, as]
/** Percent of one sum in another. */
export const share = (part: string, whole: string, as: string): Column => [
  `100.0 * sum("${part}") / sum("${whole}")`,
  as,
]
/** Columns of a table of edges. An edge has each byte once, so both directions may be added. */
export const EDGE_BYTES: readonly Column[] = [[BOTH_WAYS, 'bytes'], sum('tx_bytes', 'forth'), sum('rx_bytes', 'back')]
/** Columns of a table of devices: what they sent and received themselves. */
export const NODE_BYTES: readonly Column[] = [sum('tx_bytes', 'sent'), sum('rx_bytes', 'received')]
