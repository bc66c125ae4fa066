/** What the real service writes to VictoriaMetrics is what the dashboards in MetricsQL ask for: the demo as people run it, killed on the way, into a real
 * VictoriaMetrics. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type TestContext, test } from 'node:test'
import { startCli } from '../helpers/cli.ts'
import { eventually } from '../helpers/eventually.ts'
import { temporaryFolder } from '../helpers/temporary-folder.ts'
import { freePort } from '../services/server-process.ts'
import { missing } from '../services/servers.ts'
import { startVictoriaMetrics } from '../services/victoria-metrics.ts'
import { askingPanels, readMetricsqlDashboards } from './dashboards.ts'
import { ALL, intervalMs, type View } from './grafana.ts'
import { askExpr, choicesOf, expandedExpr, openedIn } from './prometheus-source.ts'

const MINUTE_MS = 60_000

test('after some windows of the demo, killed on the way, every panel that is not about earlier shows something', {
  skip: await missing('victoria-metrics'),
}, async (t) => {
  const victoria = await startVictoriaMetrics(t)
  const dataDir = temporaryFolder(t)
  const start = async (context: TestContext) => {
    const port = await freePort()
    const cli = startCli(context, ['demo', '--nodes', '30', '--seed', '5'], {
      INFLUX_URL: victoria.url,
      INFLUX_BUCKET: 'tailflux',
      TAILFLUX_DATA_DIR: dataDir,
      TAILFLUX_HTTP_PORT: String(port),
      TAILFLUX_POLL_LOOKBACK: '4h',
    })
    await cli.until(/Status page/, 'stderr')
    return cli
  }
  const number = async (expr: string, atMs = Date.now()) => {
    const [series] = await askExpr(victoria, { expr, instant: true }, { fromMs: 0, toMs: atMs }, MINUTE_MS)
    return series?.values[0]?.[1] ?? 0
  }

  const first = await start(t)
  // In the middle of its work: minutes of hours ago are written at once, as they are due.
  await eventually(
    'rows of some minutes',
    async () => (await number('count(last_over_time(tailflux_minute_points[6h]))')) > 0,
    50,
  )
  const killed = once(first.child, 'exit')
  first.child.kill('SIGKILL')
  await killed
  const cli = await start(t)

  /** Rows are written 16 minutes after their minute. */
  const toMs = Math.floor(Date.now() / MINUTE_MS) * MINUTE_MS - 20 * MINUTE_MS
  const fromMs = toMs - 100 * MINUTE_MS
  const inRange = '[100m]'
  await eventually(
    'all minutes of the range',
    async () => {
      assert.equal(cli.child.exitCode, null, cli.stderr())
      return (await number(`sum(count_over_time(tailflux_minute_points${inRange}))`, toMs - 1)) === 100
    },
    500,
  )
  // An hour that was read as a whole.
  await eventually(
    'rows of hours',
    async () => (await number('sum(sum_over_time(tailnet_edge_1h_flows[6h]))')) > 0,
    500,
  )

  // Well inside of both ranges: the earlier one may still be in the making, and its edges belong to one of them by the millisecond.
  const ofPair = (field: string, range: string) =>
    `sum(sum_over_time(tailnet_edge_${field}{kind="virtual",path!="unknown"}${range})) by (src_name, dst_name)`
  const earlier = '[98m] offset 101m'
  const talks = await eventually('a pair that talks all the time', async () => {
    const expr = `topk(1, ${ofPair('tx_bytes', inRange)} and ${ofPair('tx_bytes', earlier)} > 0 and ${ofPair('rx_bytes', earlier)} > 0)`
    const [found] = await askExpr(victoria, { expr, instant: true }, { fromMs, toMs }, MINUTE_MS)
    return found
  })
  const empty: string[] = []
  for (const dashboard of readMetricsqlDashboards()) {
    const variables = dashboard.templating.list
    const { src_name: src = '', dst_name: dst = '' } = talks.labels
    const whole: View = { fromMs, toMs, values: { kind: 'virtual', node: ALL, src, dst } }
    const mustChoose = variables.find(({ name, includeAll }) => name === 'node' && !includeAll)
    const node = mustChoose ? (await choicesOf(victoria, mustChoose, whole, variables)).slice(0, 5) : ALL
    const view = await openedIn(victoria, { ...whole, values: { ...whole.values, node } }, variables)
    for (const panel of askingPanels(dashboard).filter(({ timeShift }) => timeShift === undefined)) {
      const step = intervalMs(view, panel, variables)
      for (const target of panel.targets!) {
        const expr = expandedExpr(target.expr, view, variables, step)
        const series = await askExpr(victoria, { ...target, expr }, view, step)
        const isSomething = series.some(({ values }) => values.some(([, value]) => value !== 0))
        if (!isSomething) empty.push(`${dashboard.uid} ${panel.id}${target.refId} ${panel.title}`)
      }
    }
  }
  // A healthy demo has no gaps, all devices may report with right clocks, and at night and at weekends nobody may use a service address.
  const mayBeEmpty = /^tailflux-(health (41[AB]|42B|43B) |subnet 23)/
  assert.deepEqual(
    empty.filter((panel) => !mayBeEmpty.test(panel)),
    [],
  )
  t.diagnostic(`empty: ${empty.join(', ') || 'none'}`)
})
