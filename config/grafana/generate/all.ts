/** All dashboards, as the text of the files that are provisioned. */
import { exitNodes } from './exit.ts'
import { health } from './health.ts'
import { nodeDashboard } from './node.ts'
import { overview } from './overview.ts'
import { paths } from './paths.ts'
import { subnetRouters } from './subnet.ts'
import { talkers } from './talkers.ts'

const DASHBOARDS = [overview, nodeDashboard, talkers, subnetRouters, exitNodes, paths, health]

/** File names and contents. */
export function dashboardFiles(): Map<string, string> {
  return new Map(
    DASHBOARDS.map((build) => {
      const dashboard = build()
      return [`${dashboard.uid}.json`, `${JSON.stringify(dashboard, undefined, 2)}\n`]
    }),
  )
}
