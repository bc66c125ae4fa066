/** Variables of the dashboards. The same name means the same everywhere, so that links can carry them along. */
// biome-ignore-all lint/suspicious/noTemplateCurlyInString: Grafana's own placeholders.

import type * as cog from '@grafana/grafana-foundation-sdk/cog'
import * as sdk from '@grafana/grafana-foundation-sdk/dashboard'
import { DS, type Language, type TierField } from './language.ts'
import { type Condition, OF_NODES, OF_TAILNET, roleIs } from './query.ts'

/** A variable as it is defined; undefined where a language has no need of it. */
export type Variable = (language: Language) => cog.Builder<sdk.VariableModel> | undefined

const source: Variable = ({ type, uid, datasourceText }) =>
  new sdk.DatasourceVariableBuilder('ds')
    .label('Data source')
    .type(type)
    .current({ text: uid, value: uid })
    .description(datasourceText)

const ALL = { text: 'All', value: '$__all' }

function query({ type }: Language, name: string, text: string): sdk.QueryVariableBuilder {
  return new sdk.QueryVariableBuilder(name)
    .datasource({ type, uid: DS })
    .query(text)
    .definition(text)
    .refresh(sdk.VariableRefresh.OnTimeRangeChanged)
}

interface TagValues {
  readonly name: string
  readonly label: string
  readonly tag: string
  readonly where: readonly Condition[]
}

function tagValues(language: Language, { name, label, tag, where }: TagValues): sdk.QueryVariableBuilder {
  return query(language, name, language.tagValues(tag, where)).label(label).sort(sdk.VariableSort.NaturalAsc)
}

const tailnet: Variable = (language) =>
  tagValues(language, { name: 'tailnet', label: 'Tailnet', tag: 'tailnet', where: [] })
    .includeAll(true)
    .allValue('.*')
    .current(ALL)
    .description('Which tailnet, where one database holds several.')

/** Tables read minutes up to half a day, hours up to a week, and days beyond. */
const SUMS_STEPS = 4

interface OfTier {
  readonly name: string
  readonly field: TierField
  readonly description: string
  readonly times?: number
}

/** What a tier of the rows is called in queries, or how long its steps are. */
function ofTier({ name, field, description, times = 1 }: OfTier): Variable {
  return (language) => {
    const { text, current, regex } = language.tier(field, times)
    const variable = query(language, name, text)
      .hide(sdk.VariableHide.HideVariable)
      .current({ text: current, value: current })
      .description(description)
    return regex === undefined ? variable : variable.regex(regex)
  }
}
const VARIABLES = {
  edges: ofTier({
    name: 'edges',
    field: 'edge',
    description: 'Edges of the tier that fits the range.',
  }),
  edge_sums: ofTier({
    name: 'edge_sums',
    field: 'edge',
    times: SUMS_STEPS,
    description: 'Edges of a tier with longer steps, for tables.',
  }),
  nodes: ofTier({
    name: 'nodes',
    field: 'node',
    description: 'Rows of nodes of the tier that fits the range.',
  }),
  step: ofTier({
    name: 'step',
    field: 'step',
    description: 'Length of a step of that tier: graphs are never finer.',
  }),
  mean: ofTier({
    name: 'mean',
    field: 'mean',
    description: 'Length of the means of which the 95th percentile is taken.',
  }),
}

/** The data source, the tailnet, and what the dashboard needs of the tier. */
export const common = (...names: readonly (keyof typeof VARIABLES)[]): readonly Variable[] => [
  source,
  tailnet,
  ...names.map((name) => VARIABLES[name]),
]

/** Raw points: in the place of their own where retention is set. */
export const flows = (): Variable => (language) =>
  language.flows === undefined
    ? undefined
    : query(language, 'flows', language.flows)
        .hide(sdk.VariableHide.HideVariable)
        .current({ text: '"tailnet_flow"', value: '"tailnet_flow"' })
        .description('Raw points.')

/** Names of devices. With `all`, no choice means every device. */
export const node =
  (all: boolean): Variable =>
  (language) => {
    const variable = tagValues(language, { name: 'node', label: 'Node', tag: 'node_name', where: [OF_TAILNET] })
      .multi(true)
      .description('Devices by name. Ids are in the tables.')
    return all ? variable.includeAll(true).allValue('.*').current(ALL) : variable.includeAll(false)
  }

/** The ids behind the chosen names, for raw points, which have no names. */
export const nodeIds = (): Variable => (language) =>
  query(language, 'node_id', language.tagValues('node', [OF_NODES, OF_TAILNET]))
    .hide(sdk.VariableHide.HideVariable)
    .multi(true)
    .includeAll(true)
    .current(ALL)
    .description('Ids of the chosen devices.')

export const owner = (): Variable => (language) =>
  tagValues(language, { name: 'owner', label: 'Owner', tag: 'owner', where: [OF_TAILNET] })
    .multi(true)
    .includeAll(true)
    .allValue('.*')
    .current(ALL)
    .description('Tags of a device, else its user. At either endpoint.')

/** Names of the devices that carry traffic of others. */
export const router =
  (name: string, label: string, role: 'router' | 'exit'): Variable =>
  (language) =>
    tagValues(language, { name, label, tag: 'node_name', where: [roleIs(role), OF_TAILNET] })
      .multi(true)
      .includeAll(true)
      .allValue('.*')
      .current(ALL)
      .description('Devices that report traffic of other devices.')

/** One endpoint of the pair that is looked at. Nothing is chosen at first. */
export const endpoint =
  (name: 'src' | 'dst', label: string): Variable =>
  () =>
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

export const kind = (): Variable => () =>
  choice('kind', 'Kind', ['virtual', 'subnet', 'exit'], 'virtual').description(
    'virtual: between devices; subnet: through subnet routers; exit: through exit nodes. One at a time: they are never added up.',
  )
export const topn = (): Variable => () =>
  choice('topn', 'Rows', ['5', '10', '25', '50'], '10').description('How many rows the top tables show.')
export const shift = (): Variable => () =>
  choice('shift', 'Compare with', ['1d', '7d', '28d'], '1d').description(
    'How much earlier the panels on the right lie.',
  )
