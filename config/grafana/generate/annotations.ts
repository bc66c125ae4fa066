/** Alerts as marks on every graph: when one began to fire, and when it was over, from the points that tailflux writes about its own alerts.
 *
 * The SDK knows nothing of what a data source asks for annotations: `target` is the query of Grafana's InfluxDB data source in its InfluxQL mode, with
 * the columns that it looks for. It reads `query`, `titleColumn`, `textColumn`, `tagsColumn` and `timeEndColumn` from there when `fromAnnotations` is
 * set (github.com/grafana/grafana, public/app/plugins/datasource/influxdb: `annotationEvents` in datasource.ts, InfluxQuery in types.ts). Where the answer
 * comes through Grafana's backend, columns are called `measurement.column` and found by a part of their name, and the first that is neither
 * text nor tags is taken for the title (response_parser.ts): so the title is asked for first, and the names must not contain one another. */
import type * as cog from '@grafana/grafana-foundation-sdk/cog'
import { type AnnotationQuery, AnnotationQueryBuilder } from '@grafana/grafana-foundation-sdk/dashboard'
import { where } from './influxql.ts'
import { DS } from './variables.ts'

const EVENTS = '"tailflux_event"'

export function alertMarks(): cog.Builder<AnnotationQuery>[] {
  return [marks('Alerts', 'firing', 'red'), marks('Alerts that are over', 'resolved', 'green')]
}

function marks(name: string, state: 'firing' | 'resolved', color: string): cog.Builder<AnnotationQuery> {
  const datasource = { type: 'influxdb', uid: DS }
  // What late records disproved has been written once more, as such.
  const conditions = [`"type" = 'alert'`, `"state" = '${state}'`, '"refuted" = false']
  const target = {
    refId: 'Anno',
    datasource,
    query: `SELECT "title", "text", "tags" FROM ${EVENTS} WHERE ${where({ from: EVENTS, where: conditions })}`,
    rawQuery: true,
    textEditor: true,
    fromAnnotations: true,
    titleColumn: 'title',
    textColumn: 'text',
    tagsColumn: 'tags',
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
