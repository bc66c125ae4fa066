/** Variables of the dashboards. The same name means the same everywhere, so that links can carry them along. */
// biome-ignore-all lint/suspicious/noTemplateCurlyInString: Grafana's own placeholders.
import * as sdk from '@grafana/grafana-foundation-sdk/dashboard'
import { AS_ROUTER, FLOWS, kindIs, NODES, OF_TAILNET } from './influxql.ts'

const DATASOURCE_UID = 'tailflux-influxdb'
/** Data sources of the panels: of everything, and of `tailnet_node` where it has its own bucket (2.x) or database (3.x). */
export const DS = '${ds}'
export const NODES_DS = '${nodes_ds}'

/** What an installation with a long-lived `tailnet_node` changes. */
export interface NodesPlace {
  /** InfluxQL after FROM: `"tailnet_node"` or `"<retention policy>"."tailnet_node"`. */
  readonly source: string
  /** Uid of the data source that has it. */
  readonly datasource: string
}
export const SAME_BUCKET: NodesPlace = { source: '"tailnet_node"', datasource: DATASOURCE_UID }

function datasource(name: string, label: string, uid: string, hide: boolean): sdk.DatasourceVariableBuilder {
  return new sdk.DatasourceVariableBuilder(name)
    .label(label)
    .type('influxdb')
    .current({ text: uid, value: uid })
    .hide(hide ? sdk.VariableHide.HideVariable : sdk.VariableHide.DontHide)
}

export function sources(place: NodesPlace) {
  return [
    datasource('ds', 'Data source', DATASOURCE_UID, false).description('The InfluxDB that tailflux writes to.'),
    datasource('nodes_ds', 'Node totals', place.datasource, true).description(
      'The data source of tailnet_node, where it has a bucket of its own.',
    ),
    new sdk.ConstantVariableBuilder('nodes').value(place.source).description('What tailnet_node is called in queries.'),
  ]
}

const ALL = { text: 'All', value: '$__all' }

function tagValues(name: string, label: string, query: string, datasourceUid: string): sdk.QueryVariableBuilder {
  return new sdk.QueryVariableBuilder(name)
    .label(label)
    .datasource({ type: 'influxdb', uid: datasourceUid })
    .query(query)
    .definition(query)
    .refresh(sdk.VariableRefresh.OnTimeRangeChanged)
    .sort(sdk.VariableSort.NaturalAsc)
}

export const tailnet = () =>
  tagValues('tailnet', 'Tailnet', `SHOW TAG VALUES FROM ${NODES} WITH KEY = "tailnet"`, NODES_DS)
    .includeAll(true)
    .allValue('.*')
    .current(ALL)
    .description('Which tailnet, where one database holds several.')

/** Names of devices. With `all`, no choice means every device. */
export const node = (all: boolean) => {
  const query = `SHOW TAG VALUES FROM ${NODES} WITH KEY = "node_name" WHERE ${OF_TAILNET}`
  const variable = tagValues('node', 'Node', query, NODES_DS)
    .multi(true)
    .description('Devices by name, as reporters. Ids are in the tables.')
  return all ? variable.includeAll(true).allValue('.*').current(ALL) : variable.includeAll(false)
}

/** Names of the devices that route: those that report traffic of others. */
export const router = (name: string, label: string, kind: 'subnet' | 'exit') =>
  tagValues(
    name,
    label,
    `SHOW TAG VALUES FROM ${FLOWS} WITH KEY = "node_name" WHERE ${kindIs(kind)} AND ${AS_ROUTER} AND ${OF_TAILNET}`,
    DS,
  )
    .multi(true)
    .includeAll(true)
    .allValue('.*')
    .current(ALL)
    .description(`Devices that report ${kind} traffic of other devices.`)

export const end = (name: 'src' | 'dst', label: string) =>
  tagValues(
    name,
    label,
    `SHOW TAG VALUES FROM ${FLOWS} WITH KEY = "${name}_name" WHERE "kind" = '$kind' AND ${OF_TAILNET}`,
    DS,
  )
    .multi(true)
    .includeAll(true)
    .allValue('.*')
    .current(ALL)
    .description('A click on a row of the tables sets it.')

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
