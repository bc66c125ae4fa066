/** Variables of the dashboards. The same name means the same everywhere, so that links can carry them along. */
// biome-ignore-all lint/suspicious/noTemplateCurlyInString: Grafana's own placeholders.
import * as sdk from '@grafana/grafana-foundation-sdk/dashboard'
import { NODES_KEPT, OF_NODES, OF_TAILNET, roleIs } from './influxql.ts'

const DATASOURCE_UID = 'tailflux-influxdb'
/** Data source of all panels. */
export const DS = '${ds}'

const source = () =>
  new sdk.DatasourceVariableBuilder('ds')
    .label('Data source')
    .type('influxdb')
    .current({ text: DATASOURCE_UID, value: DATASOURCE_UID })
    .description('The InfluxDB that tailflux writes to.')

const ALL = { text: 'All', value: '$__all' }

function query(name: string, text: string): sdk.QueryVariableBuilder {
  return new sdk.QueryVariableBuilder(name)
    .datasource({ type: 'influxdb', uid: DS })
    .query(text)
    .definition(text)
    .refresh(sdk.VariableRefresh.OnTimeRangeChanged)
}

function tagValues(name: string, label: string, text: string): sdk.QueryVariableBuilder {
  return query(name, text).label(label).sort(sdk.VariableSort.NaturalAsc)
}

const tailnet = () =>
  tagValues('tailnet', 'Tailnet', `SHOW TAG VALUES FROM ${NODES_KEPT} WITH KEY = "tailnet"`)
    .includeAll(true)
    .allValue('.*')
    .current(ALL)
    .description('Which tailnet, where one database holds several.')

/** Tables read minutes up to half a day, hours up to a week, and days beyond. */
const SUMS_STEPS = 4

/** What a tier of the rows is called in queries, or how long its steps are: a field of `tailflux_tier`. Chosen is the tier with the shortest steps that
 * is meant for a range this long, or for so many times as long, and still holds its beginning. */
function ofTier(name: string, field: string, current: string, times = 1): sdk.QueryVariableBuilder {
  const tiers = `SELECT last("max_ms") AS "m", "oldest_ms" AS "o", "${field}" AS "${field}" FROM "tailflux_tier" WHERE ${OF_TAILNET} AND time > now() - 10d GROUP BY "tier"`
  // Grafana has no length of the range for this data source: its ends stand on both sides of the comparison.
  const fits = `"m"${times === 1 ? '' : ` / ${times}`} + \${__from} >= \${__to} AND "o" <= \${__from}`
  return query(name, `SELECT "${field}" FROM (SELECT bottom("m", 1), "${field}" FROM (${tiers}) WHERE ${fits})`)
    .hide(sdk.VariableHide.HideVariable)
    .current({ text: current, value: current })
}
const edges = () => ofTier('edges', 'edge', '"tailnet_edge"').description('Edges of the tier that fits the range.')
const edge_sums = () =>
  ofTier('edge_sums', 'edge', '"tailnet_edge"', SUMS_STEPS).description(
    'Edges of a tier with longer steps, for tables.',
  )
const nodes = () =>
  ofTier('nodes', 'node', '"tailnet_node"').description('Rows of nodes of the tier that fits the range.')
const step = () => ofTier('step', 'step', '1m').description('Length of a step of that tier: graphs are never finer.')
const mean = () =>
  ofTier('mean', 'mean', '5m').description('Length of the means of which the 95th percentile is taken.')
const VARIABLES = { edges, edge_sums, nodes, step, mean }

/** The data source, the tailnet, and what the dashboard needs of the tier. */
export const common = (...names: readonly (keyof typeof VARIABLES)[]) => [
  source(),
  tailnet(),
  ...names.map((name) => VARIABLES[name]()),
]

/** Raw points: in the place of their own where retention is set. */
export const flows = () =>
  query('flows', `SELECT last("flow") AS "flow" FROM "tailflux_tier" WHERE ${OF_TAILNET} AND time > now() - 10d`)
    .hide(sdk.VariableHide.HideVariable)
    .current({ text: '"tailnet_flow"', value: '"tailnet_flow"' })
    .description('Raw points.')

/** Names of devices. With `all`, no choice means every device. */
export const node = (all: boolean) => {
  const variable = tagValues(
    'node',
    'Node',
    `SHOW TAG VALUES FROM ${NODES_KEPT} WITH KEY = "node_name" WHERE ${OF_TAILNET}`,
  )
    .multi(true)
    .description('Devices by name. Ids are in the tables.')
  return all ? variable.includeAll(true).allValue('.*').current(ALL) : variable.includeAll(false)
}

/** The ids behind the chosen names, for raw points, which have no names. */
export const nodeIds = () =>
  query('node_id', `SHOW TAG VALUES FROM ${NODES_KEPT} WITH KEY = "node" WHERE ${OF_NODES} AND ${OF_TAILNET}`)
    .hide(sdk.VariableHide.HideVariable)
    .multi(true)
    .includeAll(true)
    .current(ALL)
    .description('Ids of the chosen devices.')

export const owner = () =>
  tagValues('owner', 'Owner', `SHOW TAG VALUES FROM ${NODES_KEPT} WITH KEY = "owner" WHERE ${OF_TAILNET}`)
    .multi(true)
    .includeAll(true)
    .allValue('.*')
    .current(ALL)
    .description('Tags of a device, else its user. At either endpoint.')

/** Names of the devices that carry traffic of others. */
export const router = (name: string, label: string, role: 'router' | 'exit') =>
  tagValues(
    name,
    label,
    `SHOW TAG VALUES FROM ${NODES_KEPT} WITH KEY = "node_name" WHERE ${roleIs(role)} AND ${OF_TAILNET}`,
  )
    .multi(true)
    .includeAll(true)
    .allValue('.*')
    .current(ALL)
    .description('Devices that report traffic of other devices.')

/** One endpoint of the pair that is looked at. Nothing is chosen at first. */
export const endpoint = (name: 'src' | 'dst', label: string) =>
  new sdk.TextBoxVariableBuilder(name)
    .label(label)
    .defaultValue('none chosen')
    .current({ text: 'none chosen', value: 'none chosen' })
    .description('A click on a pair in the tables sets it.')

function choice(name: string, label: string, values: readonly string[], current: string): sdk.CustomVariableBuilder {
  return new sdk.CustomVariableBuilder(name)
    .label(label)
    .values(values.join(','))
    .options(values.map((value) => ({ text: value, value, selected: value === current })))
    .current({ text: current, value: current })
}

export const kind = () =>
  choice('kind', 'Kind', ['virtual', 'subnet', 'exit'], 'virtual').description(
    'virtual: between devices; subnet: through subnet routers; exit: through exit nodes. One at a time: they are never added up.',
  )
export const topn = () =>
  choice('topn', 'Rows', ['5', '10', '25', '50'], '10').description('How many rows the top tables show.')
export const shift = () =>
  choice('shift', 'Compare with', ['1d', '7d', '28d'], '1d').description(
    'How much earlier the panels on the right lie.',
  )
