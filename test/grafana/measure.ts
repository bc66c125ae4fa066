/** `npm run dashboards:measure -- [nodes] [days] [one in]`: how long the dashboards' queries take on a real InfluxDB 1.x that holds the rows of a made-up tailnet: one
 * edge in ten new each day, and devices renamed. The tables go into docs/grafana.md. Each tier is filled as far as the ranges below read it; with `one in`, only one minute
 * and hour in so many, which changes the number of series little. */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { askingPanels, readDashboards } from './dashboards.ts'
import { ALL, ask, expanded, intervalMs, opened, type View, viewOf } from './grafana.ts'
import { DB, type RowsInflux, type Stretch, startRowsInflux, TIERS } from './rows-influx.ts'
import { DAY_MS, HOUR_MS, simulatedRows } from './simulated-rows.ts'

const nodes = Number(process.argv[2] ?? 200)
const days = Number(process.argv[3] ?? 30)
const oneIn = Number(process.argv[4] ?? 1)
const TO_MS = Date.UTC(2026, 9, 15, 15, 0, 0)
const RANGES = { '6 h': 6, '24 h': 24, '7 d': 7 * 24, '30 d': 30 * 24 }
const HELD_MS = { minutes: Math.min(days, 1) * DAY_MS, hours: days * DAY_MS, days: days * DAY_MS }
/** Of each query, the fastest of so many: other work on the machine only makes it slower. */
const RUNS = 2
/** Ticks of the kernel in a second, in which CPU time of a process is told. */
const TICKS = 100

const rows = simulatedRows({ nodes, seed: 4 })
const stored = await startRowsInflux(rows)
const { influx } = stored
try {
  await fillAll(stored)
  for (const [name, hours] of Object.entries(RANGES).filter(([, hours]) => hours <= days * 24))
    await measureRange(name, hours)
} finally {
  await influx.stop()
}

async function fillAll({ fill, announce }: RowsInflux): Promise<void> {
  for (const tier of TIERS) {
    const begun = performance.now()
    const stretches: Stretch[] = []
    const every = tier.name === 'days' ? 1 : oneIn
    const fromMs = Math.ceil((TO_MS - HELD_MS[tier.name]) / tier.stepMs) * tier.stepMs
    for (let ms = fromMs; ms < TO_MS; ms += tier.stepMs * every) stretches.push([ms, ms + tier.stepMs])
    const count = await fill(tier, stretches)
    console.log(`${tier.name}: ${count} rows, ${seconds(performance.now() - begun)} to fill`)
  }
  await announce({ minutes: TO_MS - HELD_MS.minutes, hours: TO_MS - HELD_MS.hours, days: 0 })
  const size = execFileSync('du', ['-sm', influx.dir], { encoding: 'utf8' }).split('\t')[0]
  console.log(`${nodes} nodes: ${size} MB on disk`)
  const [result] = await influx.query('SHOW SERIES EXACT CARDINALITY', DB)
  console.log(
    `series of the main place: ${JSON.stringify(result?.series?.map(({ name, values }) => [name, values[0]?.[0]]))}`,
  )
}

interface Time {
  readonly panel: string
  readonly ms: number
  readonly cpuMs: number
}

/** Every query of every dashboard, one after the other; Grafana asks several at a time. A panel is as slow as its queries together. */
async function measureRange(name: string, hours: number): Promise<void> {
  for (const dashboard of readDashboards().filter(({ uid }) => uid !== 'tailflux-health')) {
    const variables = dashboard.templating.list
    const pair = rows.at(TO_MS - HOUR_MS, HOUR_MS).edges.find(({ tags }) => tags['kind'] === 'virtual')!.tags
    const node = dashboard.uid === 'tailflux-node' ? [pair['src_name']!] : ALL
    const values = { kind: 'virtual', node, src: pair['src_name']!, dst: pair['dst_name']! }
    const chosen: View = { fromMs: TO_MS - hours * HOUR_MS, toMs: TO_MS, values }
    const view = await opened(influx, DB, chosen, variables)
    const times: Time[] = []
    for (const panel of askingPanels(dashboard)) {
      const own = viewOf(view, panel, variables)
      const interval = intervalMs(own, panel, variables)
      let [ms, cpuMs] = [0, 0]
      for (const target of panel.targets!) {
        const query = expanded(target.query, own, variables, interval)
        let best = { ms: Number.POSITIVE_INFINITY, cpuMs: 0 }
        for (let run = 0; run < RUNS; run++) {
          const [begun, cpuBegun] = [performance.now(), cpu()]
          await ask(influx, DB, query, target)
          const taken = performance.now() - begun
          if (taken < best.ms) best = { ms: taken, cpuMs: cpu() - cpuBegun }
        }
        ms += best.ms
        cpuMs += best.cpuMs
      }
      times.push({ panel: panel.title, ms, cpuMs })
    }
    times.sort((a, b) => b.ms - a.ms)
    const all = (of: 'ms' | 'cpuMs') => times.reduce((sum, one) => sum + one[of], 0)
    const [slowest] = times
    console.log(
      `${name} ${dashboard.title}: ${times.length} panels, ${seconds(all('ms'))} together (CPU ${seconds(all('cpuMs'))}), median ${seconds(times[times.length >> 1]!.ms)}, slowest ${seconds(slowest!.ms)} (CPU ${seconds(slowest!.cpuMs)}, ${slowest!.panel}), second ${seconds(times[1]!.ms)} (${times[1]!.panel})`,
    )
  }
}

/** CPU time of the database so far. */
function cpu(): number {
  const stat = readFileSync(`/proc/${influx.pid}/stat`, 'utf8').split(') ')[1]!.split(' ')
  return ((Number(stat[11]) + Number(stat[12])) * 1000) / TICKS
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(2)} s`
}
