/** Every query of every panel and variable against a real InfluxDB that holds rows of three tiers, in places of their own: the columns and the numbers that
 * it returns are those that the rows give in plain JavaScript. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { EDGE, edgeTable, NODE, nodeTable, type RowTable } from '../../src/rollup/rows/row-table.ts'
import { askingPanels, type Dashboard, type Panel, readDashboards, type Target } from './dashboards.ts'
import { type Choice, EXPECTED, type Moment } from './expected.ts'
import { ALL, ask, choices, expanded, type Frame, intervalMs, opened, type View, viewOf } from './grafana.ts'
import { type Answer, type TierName, tierFor } from './model.ts'
import { DB, type Stretch, TAILNET, TIERS } from './rows-influx.ts'
import { ROWS_ON } from './rows-server.ts'
import { DAY_MS, HOUR_MS, type Row } from './simulated-rows.ts'
import { startWorld, type World } from './world.ts'

/** A Thursday, 14:00 UTC: office hours. */
const TO_MS = Date.UTC(2026, 9, 15, 14, 0, 0)
const MIDNIGHT_MS = TO_MS - 14 * HOUR_MS
const HOLDS: Readonly<Record<TierName, readonly Stretch[]>> = {
  // As far as the views below look, and a day earlier what they compare with.
  minutes: [
    [TO_MS - 26 * HOUR_MS, TO_MS - 24 * HOUR_MS],
    [TO_MS - 15 * HOUR_MS, TO_MS],
  ],
  hours: [[TO_MS - 13 * DAY_MS, TO_MS]],
  days: [[MIDNIGHT_MS - 90 * DAY_MS, MIDNIGHT_MS]],
}
const OLDEST_MS = { minutes: HOLDS.minutes[0]![0], hours: HOLDS.hours[0]![0], days: HOLDS.days[0]![0] }

let world: World
before(async () => {
  world = await startWorld({ nodes: 12, seed: 7, toMs: TO_MS, holds: HOLDS })
})
after(() => world?.stored.influx.stop())

/** Ends are off every whole minute, as they are for people. */
const END_MS = TO_MS - 73_456
const RANGES: Readonly<Record<string, { readonly fromMs: number; readonly toMs: number; readonly tier: TierName }>> = {
  'some hours': { fromMs: END_MS - 1.75 * HOUR_MS, toMs: END_MS, tier: 'minutes' },
  'most of a day, of which tables read hours': { fromMs: END_MS - 14 * HOUR_MS, toMs: END_MS, tier: 'minutes' },
  'some days': { fromMs: END_MS - 5 * DAY_MS, toMs: END_MS, tier: 'hours' },
  'some weeks': { fromMs: END_MS - 40 * DAY_MS, toMs: END_MS, tier: 'days' },
  'some hours of last week, of which the minutes are gone': {
    fromMs: END_MS - 8 * DAY_MS,
    toMs: END_MS - 8 * DAY_MS + 7 * HOUR_MS,
    tier: 'hours',
  },
  'two days of last month, of which the hours are gone': {
    fromMs: END_MS - 20 * DAY_MS,
    toMs: END_MS - 18 * DAY_MS,
    tier: 'days',
  },
}

const named = (rows: readonly Row[], tag: string) => [...new Set(rows.map(({ tags }) => tags[tag]!))].sort()

/** What a person may have chosen. The first device has a name with everything that is special somewhere. */
function choicesToTry(): Omit<Choice, 'nodeIds'>[] {
  const { edges } = world.tables.tiers.minutes
  const names = named(world.tables.tiers.hours.nodes, 'node_name')
  const some = names.filter((name, index) => name.includes('(') || index % 4 === 0)
  const busiest = (kind: string, src?: string) =>
    edges.findLast(({ tags }) => tags['kind'] === kind && (src === undefined || tags['src_name'] === src))!.tags
  const common = { node: undefined, owner: undefined, topn: 10 }
  return [
    { ...common, kind: 'virtual', src: busiest('virtual')['src_name']!, dst: busiest('virtual')['dst_name']! },
    { ...common, kind: 'subnet', src: busiest('subnet')['src_name']!, dst: busiest('subnet')['dst_name']!, topn: 5 },
    { ...common, kind: 'exit', src: busiest('exit')['src_name']!, dst: 'none', topn: 25 },
    {
      kind: 'virtual',
      node: some,
      owner: ['tag:db,tag:prod', 'ann@example.org'],
      src: "ann's (old) p.c, =1",
      dst: busiest('virtual', "ann's (old) p.c, =1")['dst_name']!,
      topn: 50,
    },
  ]
}

function viewFor(choice: Omit<Choice, 'nodeIds'>, dashboard: Dashboard, range: Pick<View, 'fromMs' | 'toMs'>) {
  const { kind, topn, owner = ALL, src, dst } = choice
  // The node dashboard always has a choice.
  const node = choice.node ?? (dashboard.uid === 'tailflux-node' ? choicesToTry()[3]!.node : undefined)
  const nodeIds =
    node &&
    named(
      world.tables.tiers.hours.nodes.filter(({ tags }) => node.includes(tags['node_name']!)),
      'node',
    )
  const values = { kind, topn: String(topn), node: node ?? ALL, owner, src, dst, shift: '1d' }
  const view: View = { fromMs: range.fromMs, toMs: range.toMs, values }
  return { view, full: { ...choice, node, nodeIds } satisfies Choice }
}

test('the rows are what tailflux writes', () => {
  const end = { id: 'n', name: 'n', owner: 'o', isNode: true }
  const counters = { txBytes: 1n, rxBytes: 1n, txPkts: 1n, rxPkts: 1n, flows: 1n }
  const edges = edgeTable('t', [
    { kind: 'virtual', proto: 'tcp', port: '1', path: 'none', src: end, dst: end, ...counters, reporters: 1 },
  ])
  const nodes = nodeTable('t', [
    { node: end, os: 'x', kind: 'virtual', role: 'peer', ...counters, peers: 1, derpTxBytes: 1n, derpRxBytes: 1n },
  ])
  const tagsOf = (table: RowTable) => [...table.keys()][0]!.split(',').map((text) => text.split('=')[0]!)
  for (const [table, { fields }, [row]] of [
    [edges, EDGE, world.tables.tiers.minutes.edges],
    [nodes, NODE, world.tables.tiers.minutes.nodes],
  ] as const) {
    assert.deepEqual(Object.keys(row!.tags).sort(), tagsOf(table).sort())
    assert.deepEqual(Object.keys(row!.fields).sort(), [...fields].sort())
  }
})

test('the tier is the one with the shortest steps that fits the range and still holds it', async () => {
  const { templating } = readDashboards().find(({ uid }) => uid === 'tailflux-talkers')!
  const tierOf = async (fromMs: number, toMs: number) => {
    const { values } = await opened(world.stored.influx, DB, { fromMs, toMs, values: {} }, templating.list)
    const sums = TIERS.find(({ name }) => name === tierFor({ fromMs, toMs }, OLDEST_MS, 4))!
    assert.ok(String(values['edge_sums']).endsWith(`"tailnet_edge${sums.suffix}"`), String(values['edge_sums']))
    const tier = TIERS.find(({ step }) => step === values['step'])!
    const place = tier.policy === undefined ? '' : `"${DB}"."${tier.policy}".`
    assert.deepEqual(
      [values['edges'], values['nodes'], values['mean']],
      [`${place}"tailnet_edge${tier.suffix}"`, `${place}"tailnet_node${tier.suffix}"`, tier.mean],
    )
    return tier.name
  }
  for (const [name, { fromMs, toMs, tier }] of Object.entries(RANGES))
    assert.equal(await tierOf(fromMs, toMs), tier, name)
  for (const [fromMs, toMs] of [
    [TO_MS - 2 * DAY_MS, TO_MS],
    [TO_MS - 12 * HOUR_MS, TO_MS],
    [TO_MS - 12 * HOUR_MS - 1, TO_MS],
    [OLDEST_MS.minutes, TO_MS],
    [OLDEST_MS.minutes - 1, TO_MS],
    [OLDEST_MS.hours, TO_MS],
    [OLDEST_MS.hours - 1, OLDEST_MS.hours + HOUR_MS],
  ] as const)
    assert.equal(await tierOf(fromMs, toMs), tierFor({ fromMs, toMs }, OLDEST_MS))
})

for (const dashboard of readDashboards()) {
  for (const [rangeName, range] of Object.entries(RANGES)) {
    test(`${dashboard.title}, ${rangeName}: every query returns its columns and the right numbers`, async () => {
      const expected = EXPECTED[dashboard.uid] ?? {}
      const { tiers, ...others } = world.tables
      const { edges: sums } = tiers[tierFor(range, OLDEST_MS, 4)]
      const truth = { ...others, ...tiers[range.tier], sums }
      const asked: string[] = []
      let withRows = 0
      for (const choice of choicesToTry()) {
        const { view: chosen, full } = viewFor(choice, dashboard, range)
        const variables = dashboard.templating.list
        const view = await opened(world.stored.influx, DB, chosen, variables)
        for (const panel of askingPanels(dashboard)) {
          const own = viewOf(view, panel, variables)
          const interval = intervalMs(own, panel, variables)
          const moment: Moment = { truth, choice: full, range: own, intervalMs: interval }
          for (const target of panel.targets!) {
            const key = `${panel.id}${target.refId}`
            asked.push(key)
            const query = expanded(target.query, own, variables, interval)
            const frames = await ask(world.stored.influx, DB, query, target)
            // InfluxDB 3 (3.10.1) finds no 95th percentile of fewer than ten values: docs/influxdb3.md.
            if (ROWS_ON === 'v3' && frames.length === 0 && /^SELECT percentile\(/.test(query)) continue
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
      if (rangeName === 'some hours')
        assert.ok(withRows > asked.length * 0.7, `${withRows} of ${asked.length} answers have rows`)
    })
  }

  // InfluxDB 3 lists values of tags from the last day only, and these rows are older.
  const skip = ROWS_ON === 'v3' && 'values of tags are those of the last day'
  test(`${dashboard.title}: every variable offers what there is`, { skip }, async () => {
    const variables = dashboard.templating.list
    const { view, full } = viewFor(choicesToTry()[0]!, dashboard, RANGES['some hours']!)
    for (const variable of variables.filter(({ type, hide }) => type === 'query' && hide !== 2)) {
      const offered = await choices(world.stored.influx, DB, variable, view, variables)
      assert.deepEqual(offered, rightChoices(variable.name), variable.name)
    }
    const ids = variables.find(({ name }) => name === 'node_id')
    if (ids) assert.deepEqual(await choices(world.stored.influx, DB, ids, view, variables), full.nodeIds)
  })
}

function rightChoices(variable: string): string[] {
  const { nodes } = world.tables.tiers.hours
  switch (variable) {
    case 'tailnet':
      return [TAILNET]
    case 'node':
      return named(nodes, 'node_name')
    case 'owner':
      return named(nodes, 'owner')
    case 'router':
    case 'exit_node':
      return named(
        nodes.filter(({ tags }) => tags['role'] === (variable === 'router' ? 'router' : 'exit')),
        'node_name',
      )
    default:
      throw new Error(`no expectation for the variable ${variable}`)
  }
}

test('a total of edges and the sum of what each sender reports differ by what silent devices sent, and by nothing else', () => {
  const { edges, nodes } = world.tables.tiers.minutes
  const silent = new Set(world.rows.nodes.filter(({ isSilent }) => isSilent).map(({ id }) => id))
  let once = 0
  let bySilent = 0
  for (const { tags, fields } of edges.filter(({ tags }) => tags['kind'] === 'virtual')) {
    once += fields['tx_bytes']! + fields['rx_bytes']!
    bySilent += silent.has(tags['src']!) ? fields['tx_bytes']! : 0
    bySilent += silent.has(tags['dst']!) ? fields['rx_bytes']! : 0
  }
  const reported = nodes
    .filter(({ tags }) => tags['kind'] === 'virtual')
    .reduce((sum, { fields }) => sum + fields['tx_bytes']!, 0)
  assert.ok(bySilent > 0)
  assert.equal(reported, once - bySilent)
})

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
  const column = Object.keys(expected[0] ?? {}).find((name) => ['bytes', 'sent', 'download'].includes(name))!
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
