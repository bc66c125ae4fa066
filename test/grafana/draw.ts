/** `npm run dashboards:draw`: fills a real InfluxDB with thirty hours of a demo tailnet, asks every query of every dashboard, and draws what
 * it answers where the dashboard puts it, into docs/grafana/*.svg. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { Influxd } from '../services/influxd.ts'
import { askingPanels, type Dashboard, type Panel, readDashboards } from './dashboards.ts'
import { DB, startDemoInflux } from './demo-influx.ts'
import { type Answered, drawPanel, escaped, label } from './draw-panels.ts'
import { ALL, ask, choices, expanded, type Frame, intervalMs, type View, viewOf } from './grafana.ts'

const OUT = resolve(import.meta.dirname, '../../docs/grafana')
const WIDTH = 1240
const COLUMN = WIDTH / 24
const ROW = 34
const HEAD = 46
const GAP = 4
const HOUR_MS = 3_600_000
const TO_MS = Date.UTC(2026, 9, 15, 15, 0, 0)

const toNs = BigInt(TO_MS) * 1_000_000n
const demo = await startDemoInflux({ nodes: 50, seed: 4, fromNs: toNs - BigInt(31 * HOUR_MS) * 1_000_000n, toNs })
try {
  mkdirSync(OUT, { recursive: true })
  for (const dashboard of readDashboards()) {
    const path = join(OUT, `${dashboard.uid.replace('tailflux-', '')}.svg`)
    writeFileSync(path, await draw(dashboard, demo.influx))
    console.log(path)
  }
} finally {
  await demo.influx.stop()
}

async function draw(dashboard: Dashboard, influx: Influxd): Promise<string> {
  const values = { kind: 'virtual', node: dashboard.uid === 'tailflux-node' ? ['files-1'] : ALL }
  // The last interval is complete.
  const view: View = { fromMs: TO_MS - 6 * HOUR_MS, toMs: TO_MS - 1, values, maxDataPoints: 300 }
  const asking = new Set(askingPanels(dashboard))
  const parts: string[] = []
  for (const panel of dashboard.panels) {
    const { x, y, w, h } = panel.gridPos
    const box = { x: x * COLUMN + GAP / 2, y: HEAD + y * ROW + GAP / 2, w: w * COLUMN - GAP, h: h * ROW - GAP }
    if (panel.type === 'row') parts.push(label(box.x + 4, box.y + 20, panel.title, { size: 14, bold: true }))
    else
      parts.push(
        drawPanel(
          panel,
          box,
          await answer(dashboard, panel, view, influx, asking.has(panel)),
          titleOf(panel, dashboard, view),
        ),
      )
  }
  const height = HEAD + Math.max(...dashboard.panels.map(({ gridPos }) => gridPos.y + gridPos.h)) * ROW + 6
  const shown = await variablesText(dashboard, view, influx)
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" font-family="Inter, Helvetica, Arial, sans-serif">`,
    `<title>${escaped(dashboard.title)}: a drawing from query results, no screenshot</title>`,
    `<rect width="100%" height="100%" fill="#111217"/>`,
    label(8, 28, dashboard.title, { size: 18, bold: true }),
    label(WIDTH - 8, 28, shown, { size: 12, color: '#8e8ea0', anchor: 'end' }),
    ...parts,
    '</svg>\n',
  ].join('\n')
}

async function answer(
  dashboard: Dashboard,
  panel: Panel,
  view: View,
  influx: Influxd,
  asks: boolean,
): Promise<Answered> {
  const variables = dashboard.templating.list
  const own = viewOf(view, panel, variables)
  const interval = intervalMs(own, panel)
  const frames: Frame[][] = []
  if (asks)
    for (const target of panel.targets!)
      frames.push(await ask(influx, DB, expanded(target.query, own, variables, interval), target))
  return { frames, view: own }
}

/** Variables in titles. */
function titleOf(panel: Panel, dashboard: Dashboard, view: View): string {
  return panel.title.includes('$') ? expanded(panel.title, view, dashboard.templating.list, 60_000) : panel.title
}

async function variablesText(dashboard: Dashboard, view: View, influx: Influxd): Promise<string> {
  const shown = dashboard.templating.list.filter((variable) => (variable as { hide?: number }).hide !== 2)
  const texts: string[] = []
  for (const variable of shown) {
    const chosen = view.values[variable.name]
    const offered =
      variable.type === 'query'
        ? ` of ${(await choices(influx, DB, variable, view, dashboard.templating.list)).length}`
        : ''
    const text = Array.isArray(chosen)
      ? chosen.join()
      : chosen === ALL || chosen === undefined
        ? (variable.current?.text ?? 'All')
        : String(chosen)
    texts.push(`${(variable as { label?: string }).label ?? variable.name}: ${text}${offered}`)
  }
  return texts.join('   ')
}
