/** Every query of every panel in MetricsQL on a real VictoriaMetrics 1.79 shows what the same panel in InfluxQL shows on a real InfluxDB 1.6.7 that holds the same
 * rows. docs/victoriametrics.md explains the differences; each of them is computed here, so that nothing else can differ. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { startVictoriaMetrics, type VictoriaMetrics } from '../services/victoria-metrics.ts'
import {
  askingPanels,
  type Dashboard,
  type Panel,
  type PrometheusTarget,
  readDashboards,
  readMetricsqlDashboards,
  type Target,
} from './dashboards.ts'
import { ALL, ask, expanded, intervalMs, opened, type View, viewOf } from './grafana.ts'
import { type TierName, within } from './model.ts'
import { askExpr, choicesOf, expandedExpr, openedIn, type Series } from './prometheus-source.ts'
import { DB, TIERS } from './rows-influx.ts'
import { DAY_MS, HOUR_MS, type Row } from './simulated-rows.ts'
import { fillVictoria } from './victoria-rows.ts'
import { startWorld, type World } from './world.ts'

/** A Thursday, 14:00 UTC: office hours. */
const TO_MS = Date.UTC(2026, 9, 15, 14, 0, 0)
const MIDNIGHT_MS = TO_MS - 14 * HOUR_MS
/** Ends are off every whole minute, as they are for people; one range is whole days. */
const END_MS = TO_MS - 73_456
const RANGES: Readonly<Record<string, { readonly fromMs: number; readonly toMs: number; readonly tier: TierName }>> = {
  'some hours': { fromMs: END_MS - 1.75 * HOUR_MS, toMs: END_MS, tier: 'minutes' },
  'most of a day, of which tables read hours': { fromMs: END_MS - 14 * HOUR_MS, toMs: END_MS, tier: 'minutes' },
  'some whole days': { fromMs: MIDNIGHT_MS - 5 * DAY_MS, toMs: MIDNIGHT_MS - 1, tier: 'hours' },
  'some weeks': { fromMs: END_MS - 40 * DAY_MS, toMs: END_MS, tier: 'days' },
}

let world: World
let victoria: VictoriaMetrics
before(async () => {
  world = await startWorld({
    ...{ nodes: 12, seed: 7, toMs: TO_MS },
    holds: {
      minutes: [
        [TO_MS - 39 * HOUR_MS, TO_MS - 38 * HOUR_MS],
        [TO_MS - 26 * HOUR_MS, TO_MS - 24 * HOUR_MS],
        [TO_MS - 15 * HOUR_MS, TO_MS],
      ],
      hours: [[TO_MS - 13 * DAY_MS, TO_MS]],
      days: [[MIDNIGHT_MS - 90 * DAY_MS, MIDNIGHT_MS]],
    },
  })
  victoria = await startVictoriaMetrics()
  await fillVictoria(victoria, world.tables)
})
after(async () => {
  await world?.stored.influx.stop()
  await victoria?.stop()
})

interface Choice {
  readonly kind: string
  readonly topn: string
  readonly node: string | readonly string[]
  readonly owner: string | readonly string[]
  readonly src: string
  readonly dst: string
}

const namesOf = (rows: readonly Row[]) => [...new Set(rows.map(({ tags }) => tags['node_name']!))].sort()
/** The first device has a name with everything that is special somewhere. */
const someNames = () =>
  namesOf(world.tables.tiers.hours.nodes).filter((name, index) => name.includes('(') || index % 4 === 0)

function choicesToTry(): Choice[] {
  const { edges } = world.tables.tiers.minutes
  const busiest = (kind: string, src?: string) =>
    edges.findLast(({ tags }) => tags['kind'] === kind && (src === undefined || tags['src_name'] === src))!.tags
  const odd = "ann's (old) p.c, =1"
  const all = { node: ALL, owner: ALL }
  return [
    {
      ...{ ...all, kind: 'virtual', topn: '10' },
      src: busiest('virtual')['src_name']!,
      dst: busiest('virtual')['dst_name']!,
    },
    { ...all, kind: 'subnet', topn: '5', src: busiest('subnet')['src_name']!, dst: busiest('subnet')['dst_name']! },
    {
      ...{ kind: 'virtual', topn: '50', node: someNames(), owner: ['tag:db,tag:prod', 'ann@example.org'] },
      src: odd,
      dst: busiest('virtual', odd)['dst_name']!,
    },
  ]
}

/** A row as people see it: its columns by their titles, or the name of a series; and a time where there are several. */
type Shown = Readonly<Record<string, string | number>>

for (const one of readMetricsqlDashboards()) {
  for (const [rangeName, range] of Object.entries(RANGES)) {
    test(`${one.title}, ${rangeName}: VictoriaMetrics shows what InfluxDB shows`, async (t) => {
      const other = readDashboards().find(({ uid }) => uid === one.uid)!
      let [compared, empty] = [0, 0]
      for (const choice of choicesToTry()) {
        const node = one.uid === 'tailflux-node' && choice.node === ALL ? someNames() : choice.node
        const chosen: View = { ...range, values: { ...choice, node, shift: '1d' } }
        const view = {
          influx: await opened(world.stored.influx, DB, chosen, other.templating.list),
          victoria: await openedIn(victoria, chosen, one.templating.list),
        }
        const tier = TIERS.find(({ name }) => name === range.tier)!
        if (one.uid !== 'tailflux-health') assert.equal(view.victoria.values['step'], tier.step)
        for (const panel of askingPanels(one)) {
          const twin = other.panels.find(({ id }) => id === panel.id)!
          const pair: Pair = { what: `${one.uid} ${panel.id} (${panel.title})`, one, other, panel, twin, view }
          const [found, right] = await (panel.type === 'table' ? tables(pair) : series(pair))
          compared += right.length
          if (right.length === 0) empty += 1
          assertSame(`${pair.what}, ${JSON.stringify(view.victoria.values)}`, found, right)
        }
      }
      t.diagnostic(`${compared} values compared, ${empty} panels empty`)
      assert.ok(compared > 20)
    })
  }

  test(`${one.title}: every variable offers what there is`, async () => {
    const view: View = { ...RANGES['some hours']!, values: { node: someNames() } }
    const { nodes } = world.tables.tiers.minutes
    const isIn = ({ timeMs }: Row) => timeMs >= MIDNIGHT_MS - DAY_MS
    for (const variable of one.templating.list.filter(({ type, hide }) => type === 'query' && hide !== 2)) {
      const offered = await choicesOf(victoria, variable, view, one.templating.list)
      // VictoriaMetrics finds series by the day.
      const tag = { router: 'node_name', exit_node: 'node_name', node: 'node_name' }[variable.name] ?? variable.name
      const role = { router: 'router', exit_node: 'exit' }[variable.name]
      const rows = nodes.filter((row) => isIn(row) && (role === undefined || row.tags['role'] === role))
      for (const { tags } of rows) assert.ok(offered.includes(tags[tag]!), `${variable.name}: ${tags[tag]}`)
      const known = new Set(
        Object.values(world.tables.tiers).flatMap(({ nodes }) => nodes.map(({ tags }) => tags[tag])),
      )
      for (const value of offered) assert.ok(known.has(value), `${variable.name}: ${value}`)
    }
  })
}

interface Pair {
  readonly what: string
  readonly one: Dashboard<PrometheusTarget>
  readonly other: Dashboard
  readonly panel: Panel<PrometheusTarget>
  readonly twin: Panel
  readonly view: { readonly influx: View; readonly victoria: View }
}

/** Columns that people see, by the names that the data source gives them. */
function titlesOf({ transformations = [] }: Panel<unknown>): Readonly<Record<string, string>> {
  return transformations.find(({ id }) => id === 'organize')!.options['renameByName'] as Record<string, string>
}

async function tables({ what, one, other, panel, twin, view }: Pair): Promise<readonly [Shown[], Shown[]]> {
  const titles = titlesOf(panel)
  const rows = new Map<string, Record<string, string | number>>()
  for (const target of panel.targets!) {
    const interval = intervalMs(view.victoria, panel, one.templating.list)
    const expr = expandedExpr(target.expr, view.victoria, one.templating.list, interval)
    const value = panel.targets!.length === 1 ? 'Value' : `Value #${target.refId}`
    assert.equal(target.format, 'table')
    // Grafana's transformation `merge`: rows with equal labels are one row.
    for (const { labels, values } of await askExpr(victoria, { ...target, expr }, view.victoria, interval)) {
      const key = JSON.stringify(Object.entries(labels).sort())
      const row = rows.get(key) ?? Object.fromEntries(Object.entries(labels).map(([tag, text]) => [titles[tag]!, text]))
      row[titles[value]!] = values[0]![1]
      rows.set(key, row)
    }
  }
  const found = [...rows.values()]
  for (const row of found) assert.deepEqual(Object.keys(row).sort(), Object.values(titles).sort(), `${what}: columns`)
  // The directory's own table: VictoriaMetrics stores no texts, and shows what rows of nodes say.
  if (one.uid === 'tailflux-node' && panel.id === 40) return [found, idsIn(view.victoria)]

  const [target] = twin.targets!
  const query = expanded(target!.query, view.influx, other.templating.list, 60_000)
  const [frame] = await ask(world.stored.influx, DB, query, target!)
  const right = (frame?.rows ?? []).map((row) =>
    Object.fromEntries(
      frame!.columns
        .map((column, index) => [titlesOf(twin)[column], row[index] ?? 'none'] as const)
        .filter((column): column is [string, string | number] => column[0] !== undefined),
    ),
  )
  if (!query.includes('TOP(')) return [found, right]
  return [sameTies(found, right, panel), right]
}

/** Rows of equal size may stand for each other where the list ends. */
function sameTies(found: Shown[], right: Shown[], panel: Panel<unknown>): Shown[] {
  const [{ displayName }] = panel.options!['sortBy'] as [{ displayName: string }]
  const least = Math.min(...right.map((row) => Number(row[displayName])))
  const isLeast = (row: Shown) => Number(row[displayName]) === least
  if (found.filter(isLeast).length !== right.filter(isLeast).length) return found
  return [...found.filter((row) => !isLeast(row)), ...right.filter(isLeast)]
}

function idsIn(view: View): Shown[] {
  const { node } = view.values
  const tier = TIERS.find(({ step }) => step === view.values['step'])!.name
  const rows = world.tables.tiers[tier].nodes.filter(
    (row) => within(row, view) && node!.includes(row.tags['node_name']!),
  )
  const sums = Map.groupBy(rows, ({ tags: { node_name, node, owner, os } }) =>
    JSON.stringify({ Node: node_name, 'Node id': node, Owner: owner, System: os }),
  )
  return [...sums]
    .map(([tags, ofNode]) => ({
      ...(JSON.parse(tags) as Record<string, string>),
      Flows: ofNode.reduce((sum, { fields }) => sum + fields['flows']!, 0),
    }))
    .filter(({ Flows }) => Flows > 0)
}

async function series(pair: Pair): Promise<readonly [Shown[], Shown[]]> {
  const { what, one, other, panel, twin, view } = pair
  const found: Shown[] = []
  const right: Shown[] = []
  assert.equal(panel.targets!.length, twin.targets!.length, what)
  for (const [index, target] of panel.targets!.entries()) {
    const own = viewOf(view.victoria, panel, one.templating.list)
    const step = intervalMs(own, panel, one.templating.list)
    const expr = expandedExpr(target.expr, own, one.templating.list, step)
    let answer: readonly Series[] = await askExpr(victoria, { ...target, expr }, own, step)
    const expected = await inInflux(pair, twin.targets![index]!, viewOf(view.influx, twin, other.templating.list), step)
    // Where a graph has no series at all, VictoriaMetrics draws its zeros.
    if (expected.length === 0) answer = answer.filter(({ values }) => values.some(([, value]) => value !== 0))
    const times = target.range ? answer : answer.map((one) => ({ ...one, values: [[0, one.values[0]![1]] as const] }))
    for (const { name, values } of times)
      for (const [time, value] of values) found.push({ series: `${index} ${name}`, time, value })
    for (const { name, time, value } of expected) right.push({ series: `${index} ${name}`, time, value })
  }
  return [found, right]
}

interface Value {
  readonly name: string
  readonly time: number
  readonly value: number
}

/** What InfluxDB shows, with what VictoriaMetrics does in another way. */
async function inInflux({ other, twin }: Pair, target: Target, own: View, step: number): Promise<Value[]> {
  const variables = other.templating.list
  const wholeSteps = (fromMs: number, toMs: number) => ({
    ...own,
    fromMs: Math.floor(fromMs / step) * step,
    toMs: Math.floor(toMs / step) * step + step - 1,
  })
  const valuesOf = async (query: string, view: View): Promise<Value[]> => {
    const frames = await ask(world.stored.influx, DB, expanded(query, view, variables, step), target)
    return frames.flatMap(({ name, rows }) =>
      rows
        .filter((row) => row[1] !== null)
        .map((row) => ({ name, time: query.includes('GROUP BY time(') ? Number(row[0]) : 0, value: Number(row[1]) })),
    )
  }
  if (other.uid === 'tailflux-health' && twin.id === 11 && target.alias === '95th percentile') {
    // Of each pass, and the largest of these.
    const { fromMs, toMs } = wholeSteps(own.fromMs, own.toMs)
    const rows = world.tables.windows.filter((row) => within(row, { fromMs, toMs }))
    return [...Map.groupBy(rows, ({ timeMs }) => timeMs - (timeMs % step))].map(([time, bucket]) => {
      const passes = [...Map.groupBy(bucket, ({ tags }) => tags['pass']).values()]
      const each = passes.map((pass) => quantile(pass.map(({ fields }) => Number(fields['duration_ms']))))
      return { name: target.alias!, time, value: Math.max(...each) }
    })
  }
  const [, means] = /^SELECT percentile\("bps", 95\) AS "\w+" FROM \((.*)\)$/.exec(target.query) ?? []
  if (means !== undefined) {
    // Of the means of whole intervals, and between the two nearest ones.
    const isBefore = !means.includes('$timeFilter')
    const [fromMs, toMs] = isBefore ? [2 * own.fromMs - own.toMs, own.fromMs - 1] : [own.fromMs, own.toMs]
    const stepMs = intervalMs(own, twin, variables)
    const inner = means.replace(/time >= \$.* AND time < \$\{__from\}ms/, '$$timeFilter')
    const whole = {
      ...own,
      fromMs: Math.ceil(fromMs / stepMs) * stepMs,
      toMs: Math.floor(toMs / stepMs) * stepMs + stepMs - 1,
    }
    const frames = await ask(world.stored.influx, DB, expanded(inner, whole, variables, stepMs), target)
    const values = frames.flatMap(({ rows }) => rows.map((row) => Number(row[1])))
    if (values.length === 0) return []
    return [{ name: target.alias!, time: 0, value: quantile(values) }]
  }
  // Intervals are whole at both ends of a graph.
  const view = target.query.includes('GROUP BY time(') ? wholeSteps(own.fromMs, own.toMs) : own
  const values = await valuesOf(target.query, view)
  // Zero is a number there.
  if (values.length === 0 && target.query.includes('"gap" = true')) return [{ name: target.alias!, time: 0, value: 0 }]
  return values
}

/** The 95th percentile between the two nearest values. */
function quantile(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const rank = 0.95 * (sorted.length - 1)
  const [lower, upper] = [sorted[Math.floor(rank)]!, sorted[Math.ceil(rank)]!]
  return lower + (upper - lower) * (rank - Math.floor(rank))
}

function assertSame(what: string, found: readonly Shown[], right: readonly Shown[]): void {
  const textsOf = (row: Shown) =>
    JSON.stringify(
      Object.entries(row)
        .filter(([name, value]) => typeof value === 'string' || name === 'time')
        .sort(([a], [b]) => (a < b ? -1 : 1)),
    )
  const byTexts = new Map(right.map((row) => [textsOf(row), row]))
  assert.equal(byTexts.size, right.length, `${what}: rows that cannot be told apart`)
  assert.deepEqual(found.map(textsOf).toSorted(), [...byTexts.keys()].toSorted(), `${what}: rows`)
  for (const row of found) {
    for (const [name, value] of Object.entries(byTexts.get(textsOf(row))!)) {
      if (typeof value === 'string') continue
      const isClose = Math.abs(Number(row[name]) - value) <= Math.abs(value) * 1e-9 + 1e-9
      assert.ok(isClose, `${what}: ${name} is ${row[name]}, not ${value}, in ${JSON.stringify(row)}`)
    }
  }
}
