/** Every query of every panel and variable against a real InfluxDB that holds a stretch of the demo tailnet: the columns and the numbers
 * that it returns are those that the simulation's own records give. `TAILFLUX_TEST_GRAFANA=day` takes 50 nodes and a whole day. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { after, before, test } from 'node:test'
import { dashboardFiles } from '../../config/grafana/generate/all.ts'
import { askingPanels, type Dashboard, type Panel, readDashboards, type Target } from './dashboards.ts'
import { DB, type DemoInflux, startDemoInflux, TAILNET } from './demo-influx.ts'
import { type Choice, EXPECTED, type Moment } from './expected.ts'
import { ALL, ask, choices, expanded, type Frame, intervalMs, type View, viewOf } from './grafana.ts'
import type { Answer, Truth } from './model.ts'
import { truthOf } from './model.ts'

const wholeDay = process.env['TAILFLUX_TEST_GRAFANA'] === 'day'
const HOUR_MS = 3_600_000
/** A Thursday, 14:00 UTC: office hours, with a night before them. */
const TO_MS = Date.UTC(2026, 9, 15, 14, 0, 0)
const DEMO = wholeDay
  ? { nodes: 50, hours: 24, shownHours: 12, shift: '7d' }
  : { nodes: 12, hours: 4, shownHours: 1.75, shift: '1d' }
const SEED = 7

let demo: DemoInflux
let truth: Truth
before(async () => {
  const toNs = BigInt(TO_MS) * 1_000_000n
  demo = await startDemoInflux({
    nodes: DEMO.nodes,
    seed: SEED,
    fromNs: toNs - BigInt(DEMO.hours * HOUR_MS) * 1_000_000n,
    toNs,
  })
  truth = truthOf(demo)
})

after(() => demo?.influx.stop())

/** The end is off every whole minute, as it is for people. */
const SHOWN = { toMs: TO_MS - 73_456, fromMs: TO_MS - 73_456 - DEMO.shownHours * HOUR_MS }

function firstNames(count: number): string[] {
  const names = [
    ...new Set(truth.nodes.filter((row) => row.tags['kind'] === 'virtual').map((row) => row.tags['node_name']!)),
  ]
  return names.sort().filter((_, index) => index % Math.ceil(names.length / count) === 0)
}

/** What a person may have chosen. */
function choicesToTry(): Choice[] {
  const some = firstNames(3)
  return [
    { kind: 'virtual', node: undefined, src: undefined, dst: undefined, topn: 10 },
    { kind: 'subnet', node: undefined, src: undefined, dst: undefined, topn: 5 },
    { kind: 'exit', node: undefined, src: undefined, dst: undefined, topn: 25 },
    { kind: 'virtual', node: some, src: some.slice(0, 1), dst: undefined, topn: 50 },
  ]
}

function viewFor(choice: Choice, dashboard: Dashboard): View {
  const values: Record<string, string | readonly string[]> = { kind: choice.kind, topn: String(choice.topn) }
  // The node dashboard always has a choice.
  const chosen = choice.node ?? (dashboard.uid === 'tailflux-node' ? firstNames(2) : undefined)
  values['node'] = chosen ?? ALL
  values['src'] = choice.src ?? ALL
  values['dst'] = choice.dst ?? ALL
  values['shift'] = wholeDay ? '7d' : '1d'
  return { ...SHOWN, values }
}

for (const dashboard of readDashboards()) {
  test(`${dashboard.title}: every query returns its columns and the right numbers`, async () => {
    const expected = EXPECTED[dashboard.uid] ?? {}
    const asked: string[] = []
    let withRows = 0
    for (const choice of choicesToTry()) {
      const view = viewFor(choice, dashboard)
      const named = view.values['node'] === ALL ? undefined : (view.values['node'] as readonly string[])
      for (const panel of askingPanels(dashboard)) {
        // What lies earlier is in the database only if the demo reaches back so far: shifted panels are moved back to what there is.
        const own = panel.timeShift === undefined ? view : earlier(view, panel, dashboard)
        const interval = intervalMs(own, panel)
        const moment: Moment = {
          truth,
          choice: { ...choice, node: named },
          range: { fromNs: BigInt(own.fromMs) * 1_000_000n, toNs: BigInt(own.toMs) * 1_000_000n },
          intervalNs: BigInt(interval) * 1_000_000n,
        }
        for (const target of panel.targets!) {
          const key = `${panel.id}${target.refId}`
          asked.push(key)
          const query = expanded(target.query, own, dashboard.templating.list, interval)
          const frames = await ask(demo.influx, DB, query, target)
          const right = expected[key]
          assert.ok(right, `${dashboard.uid} ${key} (${panel.title}) has no expectation`)
          const answers = right(moment)
          withRows += answers.length > 0 ? 1 : 0
          compare(`${panel.title}, ${JSON.stringify(view.values)}: ${query}`, panel, target, frames, answers)
        }
      }
    }
    const unasked = Object.keys(expected).filter((key) => !asked.includes(key))
    assert.deepEqual(unasked, [], 'expectations without a query')
    // A model and a database that are both empty would agree about everything.
    assert.ok(withRows > asked.length / 2, `${withRows} of ${asked.length} answers have rows`)
  })

  test(`${dashboard.title}: every variable offers what there is`, async () => {
    const view = viewFor(choicesToTry()[0]!, dashboard)
    for (const variable of dashboard.templating.list.filter(({ type }) => type === 'query')) {
      const offered = await choices(demo.influx, DB, variable, view, dashboard.templating.list)
      assert.deepEqual(offered, rightChoices(variable.name), variable.name)
    }
  })
}

test('a total counts every byte once, though both ends report it', async () => {
  const overview = readDashboards().find(({ uid }) => uid === 'tailflux-overview')!
  const volume = overview.panels.find(({ id }) => id === 2)!.targets![0]!
  const view = viewFor(choicesToTry()[0]!, overview)
  const query = expanded(volume.query, view, overview.templating.list, 60_000)
  const [frame] = await ask(demo.influx, DB, query, volume)
  const total = Number(frame!.rows[0]![frame!.columns.indexOf('sent')])

  // Of each direction between two addresses: the larger of what its sender says it sent and what its receiver says it received.
  const reported = new Map<string, { sent: number; received: number }>()
  const from = BigInt(view.fromMs) * 1_000_000n
  const to = BigInt(view.toMs) * 1_000_000n
  for (const { ns, tags, fields } of truth.flows) {
    if (tags['kind'] !== 'virtual' || ns < from || ns > to) continue
    const there = `${tags['src']} ${tags['dst']}`
    const back = `${tags['dst']} ${tags['src']}`
    const sent = reported.get(there) ?? { sent: 0, received: 0 }
    reported.set(there, { ...sent, sent: sent.sent + fields['tx_bytes']! })
    const received = reported.get(back) ?? { sent: 0, received: 0 }
    reported.set(back, { ...received, received: received.received + fields['rx_bytes']! })
  }
  let once = 0
  for (const { sent, received } of reported.values()) once += Math.max(sent, received)
  // Records at the edges of the range have their twin outside it, and a sleeping node reports later.
  assert.ok(total > once * 0.9 && total <= once, `${total} of ${once} bytes`)
})

test('a tailnet_node in a retention policy of its own gives the same numbers', async () => {
  await demo.influx.query(`CREATE RETENTION POLICY "long" ON "${DB}" DURATION 104w REPLICATION 1`)
  await demo.influx.query(`SELECT * INTO "${DB}"."long"."tailnet_node" FROM "tailnet_node" GROUP BY *`, DB)
  const place = { source: '"long"."tailnet_node"', datasource: 'tailflux-influxdb' }
  const usual = readDashboards().find(({ uid }) => uid === 'tailflux-overview')!
  const own = JSON.parse(dashboardFiles(place).get('tailflux-overview.json')!) as Dashboard
  const view = viewFor(choicesToTry()[0]!, usual)
  for (const panel of askingPanels(own)) {
    for (const target of panel.targets!) {
      const query = expanded(target.query, view, own.templating.list, 60_000)
      const same = expanded(target.query, view, usual.templating.list, 60_000)
      assert.equal(query !== same, target.datasource.uid === '$' + '{nodes_ds}', query)
      assert.deepEqual(await ask(demo.influx, DB, query, target), await ask(demo.influx, DB, same, target), query)
    }
  }
})

test('the hourly sums of the documentation give the same volumes', async () => {
  const text = readFileSync(resolve(import.meta.dirname, '../../docs/grafana.md'), 'utf8')
  const [, policy] = /^(CREATE RETENTION POLICY "hourly".*)$/m.exec(text)!
  const [, query] = /RESAMPLE EVERY 30m FOR 26h BEGIN\n([\s\S]*?)\nEND/.exec(text)!
  await demo.influx.query(policy!)
  const toMs = TO_MS - HOUR_MS
  const fromMs = toMs - 2 * HOUR_MS
  const within = `WHERE time >= ${fromMs}ms AND time < ${toMs}ms GROUP BY`
  await demo.influx.query(query!.replace('GROUP BY', within), DB)
  const overview = readDashboards().find(({ uid }) => uid === 'tailflux-overview')!
  const hourly = JSON.parse(
    dashboardFiles({ source: '"hourly"."tailnet_node"', datasource: 'tailflux-influxdb' }).get(
      'tailflux-overview.json',
    )!,
  ) as Dashboard
  const view = { ...viewFor(choicesToTry()[0]!, overview), fromMs, toMs: toMs - 1 }
  for (const [id, refId] of [
    [2, 'A'],
    [4, 'A'],
    [5, 'A'],
    [20, 'A'],
  ] as const) {
    const target = overview.panels.find((panel) => panel.id === id)!.targets!.find((one) => one.refId === refId)!
    const answers = [overview, hourly].map(({ templating }) =>
      ask(demo.influx, DB, expanded(target.query, view, templating.list, 60_000), target),
    )
    const [raw, summed] = await Promise.all(answers)
    const cells = (frames: readonly Frame[]) => frames.map(({ rows }) => rows.map((row) => row.slice(1)).sort())
    assert.deepEqual(cells(summed!), cells(raw!), `panel ${id}`)
  }
})

/** A shift of days, on a demo that has hours: the same panel, shifted by as much as there is. */
function earlier(view: View, panel: Panel, dashboard: Dashboard): View {
  const shifted = viewOf(view, panel, dashboard.templating.list)
  assert.equal(view.fromMs - shifted.fromMs, Number.parseInt(DEMO.shift, 10) * 24 * HOUR_MS)
  const back = DEMO.shownHours * HOUR_MS
  return { ...view, fromMs: view.fromMs - back, toMs: view.toMs - back }
}

function rightChoices(variable: string): string[] {
  const names = (rows: Truth['flows'], tag: string) => [...new Set(rows.map((row) => row.tags[tag]!))].sort()
  switch (variable) {
    case 'tailnet':
      return [TAILNET]
    case 'node':
      return names(truth.nodes, 'node_name')
    case 'src':
    case 'dst':
      return names(
        truth.flows.filter((row) => row.tags['kind'] === 'virtual'),
        `${variable}_name`,
      )
    case 'router':
      return names(
        truth.flows.filter((row) => row.tags['kind'] === 'subnet' && row.role === 'router'),
        'node_name',
      )
    case 'exit_node':
      return names(
        truth.flows.filter((row) => row.tags['kind'] === 'exit' && row.role === 'exit' && row.tags['dst'] !== 'none'),
        'node_name',
      )
    default:
      throw new Error(`no expectation for the variable ${variable}`)
  }
}

function compare(
  what: string,
  panel: Panel,
  target: Target,
  frames: readonly Frame[],
  expected: readonly Answer[],
): void {
  const isOverTime = expected.some((answer) => 'time' in answer)
  const found = frames.flatMap((frame) =>
    frame.rows.map((row) => {
      const answer: Record<string, string | number | null> = { ...frame.tags }
      frame.columns.forEach((column, index) => {
        const isTime = column === 'time' || column === 'Time'
        // Times of sums over the whole range mean nothing.
        if (!isTime || isOverTime || expected[0]?.[column] !== undefined) answer[column] = row[index] ?? null
      })
      return answer
    }),
  )
  const limited = target.query.includes('TOP(')
  if (panel.type === 'table' && found.length > 0)
    assert.deepEqual(columnsOf(panel), new Set(Object.keys(found[0]!)), `${what}: columns`)
  if (limited) return compareTop(what, found, expected)
  assert.equal(found.length, expected.length, `${what}: rows`)
  const order = (answers: readonly Answer[]) => answers.toSorted((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1))
  const right = order(expected)
  for (const [index, answer] of order(found).entries()) assertSame(what, answer, right[index]!)
}

/** Rows of equal size may stand for each other where the list ends. */
function compareTop(what: string, found: readonly Answer[], expected: readonly Answer[]): void {
  assert.equal(found.length, expected.length, `${what}: rows`)
  const column = Object.keys(expected[0] ?? {}).find((name) => name === 'sent' || name === 'download')!
  const sizes = (answers: readonly Answer[]) => answers.map((answer) => Number(answer[column])).sort((a, b) => b - a)
  assert.deepEqual(sizes(found), sizes(expected), `${what}: sizes`)
  const smallest = sizes(expected).at(-1)
  const right = new Map(expected.map((answer) => [keyOf(answer), answer]))
  for (const answer of found) {
    const same = right.get(keyOf(answer))
    if (same === undefined)
      assert.equal(answer[column], smallest, `${what}: ${JSON.stringify(answer)} is not one of the largest`)
    else assertSame(what, answer, same)
  }
}

/** Columns that the table names or shows as time. */
function columnsOf(panel: Panel): Set<string> {
  const { renameByName } = panel.transformations![0]!.options as { renameByName: Record<string, string> }
  return new Set(Object.keys(renameByName))
}

function keyOf(answer: Answer): string {
  const texts = Object.entries(answer).filter(([name, value]) => typeof value === 'string' || name === 'time')
  return JSON.stringify(texts.sort(([a], [b]) => (a < b ? -1 : 1)))
}

function assertSame(what: string, found: Answer, right: Answer): void {
  assert.deepEqual(Object.keys(found).sort(), Object.keys(right).sort(), `${what}: columns`)
  for (const [name, value] of Object.entries(right)) {
    const actual = found[name]
    const isClose =
      typeof value === 'number' &&
      typeof actual === 'number' &&
      Math.abs(actual - value) <= Math.abs(value) * 1e-9 + 1e-9
    assert.ok(actual === value || isClose, `${what}: ${name} is ${actual}, not ${value}, in ${JSON.stringify(found)}`)
  }
}
