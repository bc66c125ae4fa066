/** All dashboards in both languages, as the text of the files that are provisioned. */
import { exitNodes } from './exit.ts'
import { health } from './health.ts'
import { INFLUXQL } from './influxql.ts'
import type { Language } from './language.ts'
import { METRICSQL } from './metricsql.ts'
import { nodeDashboard } from './node.ts'
import { overview } from './overview.ts'
import { paths } from './paths.ts'
import { subnetRouters } from './subnet.ts'
import { talkers } from './talkers.ts'

const DASHBOARDS = [overview, nodeDashboard, talkers, subnetRouters, exitNodes, paths, health]

/** Folders of config/grafana, and the language of the dashboards there. */
export const FOLDERS: Readonly<Record<string, Language>> = {
  dashboards: INFLUXQL,
  'dashboards-victoriametrics': METRICSQL,
}

/** File names and contents. */
export function dashboardFiles(language: Language): Map<string, string> {
  return new Map(
    DASHBOARDS.map((define) => {
      const dashboard = define()(language)
      return [`${dashboard.uid}.json`, `${JSON.stringify(dashboard, undefined, 2)}\n`]
    }),
  )
}
