/** Marks on every graph: when an alert began to fire and when it was over, from the points that tailflux writes about its own alerts, and minutes
 * whose records are not complete.
 *
 * The SDK knows nothing of what a data source asks for annotations: `target` is the query of Grafana's InfluxDB data source in its InfluxQL mode, with
 * the columns that it looks for. It reads `query`, `titleColumn`, `textColumn`, `tagsColumn` and `timeEndColumn` from there when `fromAnnotations` is
 * set (github.com/grafana/grafana, public/app/plugins/datasource/influxdb: `annotationEvents` in datasource.ts, InfluxQuery in types.ts). Where the answer
 * comes through Grafana's backend, columns are called `measurement.column` and found by a part of their name, and the first that is neither
 * text nor tags is taken for the title (response_parser.ts): so the title is asked for first, and the names must not contain one another. */
import type * as cog from '@grafana/grafana-foundation-sdk/cog'
import { type AnnotationQuery, AnnotationQueryBuilder } from '@grafana/grafana-foundation-sdk/dashboard'
import { MINUTES, where } from './influxql.ts'
import { DS } from './variables.ts'

const EVENTS = '"tailflux_event"'

interface Marks {
  readonly name: string
  readonly color: string
  readonly from: string
  readonly conditions: readonly string[]
  readonly title: string
  readonly text: string
  readonly tags: string
}

export function marks(): cog.Builder<AnnotationQuery>[] {
  return [
    annotation(alerts('Alerts', 'firing', 'red')),
    annotation(alerts('Alerts that are over', 'resolved', 'green')),
    annotation({
      name: 'Minutes with a gap',
      color: 'yellow',
      from: MINUTES,
      conditions: ['"gap" = true'],
      title: 'gap',
      text: 'points',
      tags: 'tailnet',
    }),
  ]
}

function alerts(name: string, state: 'firing' | 'resolved', color: string): Marks {
  // What late records disproved has been written once more, as such.
  const conditions = [`"type" = 'alert'`, `"state" = '${state}'`, '"refuted" = false']
  return { name, color, from: EVENTS, conditions, title: 'title', text: 'text', tags: 'tags' }
}

function annotation({ name, color, from, conditions, title, text, tags }: Marks): cog.Builder<AnnotationQuery> {
  const datasource = { type: 'influxdb', uid: DS }
  const target = {
    refId: 'Anno',
    datasource,
    query: `SELECT "${title}", "${text}", "${tags}" FROM ${from} WHERE ${where({ from, where: conditions })}`,
    rawQuery: true,
    textEditor: true,
    fromAnnotations: true,
    titleColumn: title,
    textColumn: text,
    tagsColumn: tags,
    timeEndColumn: '',
    name,
  }
  return new AnnotationQueryBuilder()
    .name(name)
    .datasource(datasource)
    .enable(true)
    .iconColor(color)
    .target({ build: () => target as unknown as cog.Dataquery })
}
