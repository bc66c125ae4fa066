/** `npm run dashboards:draw`: fills a real InfluxDB with the rows of a made-up tailnet, asks every query of every dashboard, and draws what it answers
 * where the dashboard puts it, into docs/grafana/*.svg. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { askingPanels, type Dashboard, type Panel, readDashboards } from './dashboards.ts'
import { type Answered, drawPanel, escaped, label } from './draw-panels.ts'
import { ALL, ask, choices, expanded, type Frame, intervalMs, opened, type View, viewOf } from './grafana.ts'
import { DB } from './rows-influx.ts'
import { DAY_MS, HOUR_MS } from './simulated-rows.ts'
import { startWorld } from './world.ts'

const OUT = resolve(import.meta.dirname, '../../docs/grafana')
const WIDTH = 1240
const COLUMN = WIDTH / 24
const ROW = 34
const HEAD = 46
const GAP = 4
const TO_MS = Date.UTC(2026, 9, 15, 15, 0, 0)

const world = await startWorld({
  nodes: 50,
  seed: 4,
  toMs: TO_MS,
  holds: {
    minutes: [
      [TO_MS - 30 * HOUR_MS, TO_MS - 24 * HOUR_MS],
      [TO_MS - 12 * HOUR_MS, TO_MS],
    ],
    hours: [[TO_MS - 30 * HOUR_MS, TO_MS]],
    days: [[TO_MS - 15 * HOUR_MS - DAY_MS, TO_MS - 15 * HOUR_MS]],
  },
})
const { influx } = world.stored
try {
  mkdirSync(OUT, { recursive: true })
  for (const dashboard of readDashboards()) {
    const path = join(OUT, `${dashboard.uid.replace('tailflux-', '')}.svg`)
    writeFileSync(path, await draw(dashboard))
    console.log(path)
  }
} finally {
  await influx.stop()
}

/** A node, and a pair, that have something to show. */
function chosen(dashboard: Dashboard): View['values'] {
  const pair = world.tables.tiers.minutes.edges.findLast(
    ({ tags }) => tags['kind'] === 'virtual' && tags['port'] === '443',
  )!
  const isNode = dashboard.uid === 'tailflux-node'
  return {
    kind: 'virtual',
    node: isNode ? [pair.tags['dst_name']!] : ALL,
    src: pair.tags['src_name']!,
    dst: pair.tags['dst_name']!,
  }
}

async function draw(dashboard: Dashboard): Promise<string> {
  // The last interval is complete.
  const range = { fromMs: TO_MS - 6 * HOUR_MS, toMs: TO_MS - 1, values: chosen(dashboard), maxDataPoints: 300 }
  const view = await opened(influx, DB, range, dashboard.templating.list)
  const asking = new Set(askingPanels(dashboard))
  const parts: string[] = []
  for (const panel of dashboard.panels) {
    const { x, y, w, h } = panel.gridPos
    const box = { x: x * COLUMN + GAP / 2, y: HEAD + y * ROW + GAP / 2, w: w * COLUMN - GAP, h: h * ROW - GAP }
    if (panel.type === 'row')
      parts.push(label(box.x + 4, box.y + 20, titleOf(panel, dashboard, view), { size: 14, bold: true }))
    else
      parts.push(
        drawPanel(panel, box, await answer(dashboard, panel, view, asking.has(panel)), titleOf(panel, dashboard, view)),
      )
  }
  const height = HEAD + Math.max(...dashboard.panels.map(({ gridPos }) => gridPos.y + gridPos.h)) * ROW + 6
  const shown = await variablesText(dashboard, view)
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

async function answer(dashboard: Dashboard, panel: Panel, view: View, asks: boolean): Promise<Answered> {
  const variables = dashboard.templating.list
  const own = viewOf(view, panel, variables)
  const interval = intervalMs(own, panel, variables)
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

async function variablesText(dashboard: Dashboard, view: View): Promise<string> {
  const shown = dashboard.templating.list.filter(({ hide }) => hide !== 2)
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
