/** What a query language has to say. The dashboards are defined once; influxql.ts and metricsql.ts are the two languages. */
import type * as cog from '@grafana/grafana-foundation-sdk/cog'
import type { Condition, Query } from './query.ts'

/** The variable that holds the data source. */
// biome-ignore lint/suspicious/noTemplateCurlyInString: Grafana's own placeholder.
export const DS = '${ds}'
/** Names of the queries of a panel. */
export const REF_IDS = 'ABCDEFGH'

export interface Language {
  /** Type of Grafana's data source. */
  readonly type: 'influxdb' | 'prometheus'
  /** Of the data source that is provisioned. */
  readonly uid: string
  readonly datasourceText: string
  /** The newest data is at least this old. */
  readonly nowDelay: string
  /** One query of a graph or number. `alias`: `$tag_<tag>` stands for a tag's value. */
  series(query: Query, options: { readonly refId: string; readonly alias: string }): cog.Builder<cog.Dataquery>
  /** The queries of a table. */
  table(query: Query): readonly cog.Builder<cog.Dataquery>[]
  /** What Grafana calls the columns of these that are not tags, by their names in the definition, and what makes one table of the answers. */
  readonly tableColumns: (query: Query) => Readonly<Record<string, string>>
  readonly joinsTables: boolean
  /** Interval that a number needs; undefined: none. */
  readonly numberInterval: (queries: readonly Query[]) => { readonly interval: string } | undefined
  /** Values of a tag that devices have. */
  tagValues(tag: string, where: readonly Condition[]): string
  /** One property of the tier that fits a range this long, or so many times as long. */
  tier(field: TierField, times: number): TierQuery
  /** The place of raw points; undefined where nothing has a place of its own. */
  readonly flows: string | undefined
  /** Texts are stored too: names and addresses of devices through time. */
  readonly hasTexts: boolean
  marks(): readonly Marks[]
}

/** What the rows of edges or of nodes are called in queries; the length of a step, and of the means of which the 95th percentile is taken. */
export type TierField = 'edge' | 'node' | 'step' | 'mean'

export interface TierQuery {
  readonly text: string
  /** The value for the shortest tier. */
  readonly current: string
  /** The part of an answer that is the value. */
  readonly regex?: string
}

/** Marks on every graph. `target`: the query as the data source has it for annotations. */
export interface Marks {
  readonly name: string
  readonly color: string
  readonly target: Readonly<Record<string, unknown>>
  /** Keys beside `target` that this data source reads. */
  readonly also?: Readonly<Record<string, unknown>>
}
