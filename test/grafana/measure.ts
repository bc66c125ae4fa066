/** `npm run dashboards:measure -- [nodes] [days]`: how long the dashboards' queries take on a real InfluxDB 1.x, and how many series there
 * are. The tables go into docs/grafana.md. */
import { execFileSync } from 'node:child_process'
import { PORTS } from '../../src/flatten/ports.ts'
import { askingPanels, readDashboards } from './dashboards.ts'
import { DB, type DemoInflux, startDemoInflux } from './demo-influx.ts'
import { ALL, ask, expanded, intervalMs, type View, viewOf } from './grafana.ts'

const nodes = Number(process.argv[2] ?? 50)
const days = Number(process.argv[3] ?? 7)
const HOUR_MS = 3_600_000
const TO_MS = Date.UTC(2026, 9, 15, 15, 0, 0)
const SEED = 4
const RANGES = { '6 h': 6, '24 h': 24, '7 d': 168 }

const demo = await fill(days * 24, 'service')
try {
  const size = execFileSync('du', ['-sm', demo.influx.dir], { encoding: 'utf8' }).split('\t')[0]
  console.log(
    `${nodes} nodes, ${days} days: ${demo.messages} messages, ${demo.lines} points, ${(demo.fillMs / 1000).toFixed(0)} s to fill, ${size} MB on disk`,
  )
  for (const measurement of ['tailnet_flow', 'tailnet_node', 'tailflux_window'])
    console.log(`series of ${measurement}: ${await seriesOf(demo, measurement)}`)
  for (const [name, hours] of Object.entries(RANGES).filter(([, hours]) => hours <= days * 24))
    await measureRange(name, hours)
} finally {
  await demo.influx.stop()
}
for (const ports of PORTS) {
  const day = await fill(24, ports)
  console.log(
    `ports ${ports}, one day: ${day.lines} points, ${await seriesOf(day, 'tailnet_flow')} series of tailnet_flow`,
  )
  await day.influx.stop()
}

function fill(hours: number, ports: (typeof PORTS)[number]): Promise<DemoInflux> {
  const toNs = BigInt(TO_MS) * 1_000_000n
  return startDemoInflux({
    nodes,
    seed: SEED,
    fromNs: toNs - BigInt(hours * HOUR_MS) * 1_000_000n,
    toNs,
    ports,
    index: 'tsi1',
  })
}

async function seriesOf({ influx }: DemoInflux, measurement: string): Promise<number> {
  const [result] = await influx.query(`SHOW SERIES EXACT CARDINALITY FROM "${measurement}"`, DB)
  return Number(result?.series?.[0]?.values[0]?.[0] ?? 0)
}

/** Every query of every dashboard once, one after the other; Grafana asks several at a time. */
async function measureRange(name: string, hours: number): Promise<void> {
  for (const dashboard of readDashboards()) {
    const node = dashboard.uid === 'tailflux-node' ? ['files-1'] : ALL
    const view: View = { fromMs: TO_MS - hours * HOUR_MS, toMs: TO_MS, values: { kind: 'virtual', node } }
    const times: { ms: number; panel: string }[] = []
    for (const panel of askingPanels(dashboard)) {
      const own = viewOf(view, panel, dashboard.templating.list)
      for (const target of panel.targets!) {
        const query = expanded(target.query, own, dashboard.templating.list, intervalMs(own, panel))
        const begun = performance.now()
        await ask(demo.influx, DB, query, target)
        times.push({ ms: performance.now() - begun, panel: panel.title })
      }
    }
    times.sort((a, b) => b.ms - a.ms)
    const total = times.reduce((sum, { ms }) => sum + ms, 0)
    const median = times[times.length >> 1]!.ms
    const [slowest] = times
    console.log(
      `${name} ${dashboard.title}: ${times.length} queries, ${seconds(total)} together, median ${seconds(median)}, slowest ${seconds(slowest!.ms)} (${slowest!.panel})`,
    )
  }
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(2)} s`
}
