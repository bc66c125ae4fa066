/** What the real service writes is what the dashboards ask for: the demo as people run it, into a real InfluxDB. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startCli } from '../helpers/cli.ts'
import { eventually } from '../helpers/eventually.ts'
import { temporaryFolder } from '../helpers/temporary-folder.ts'
import { startInfluxd } from '../services/influxd.ts'
import { freePort } from '../services/server-process.ts'
import { askingPanels, readDashboards } from './dashboards.ts'
import { ALL, ask, choices, expanded, intervalMs, opened, type View } from './grafana.ts'

const DB = 'tailflux'
const MINUTE_MS = 60_000

test('after some windows of the demo, every dashboard shows something in every panel that is not about earlier', async (t) => {
  const influx = await startInfluxd(t, { databases: [DB] })
  const port = await freePort()
  const cli = startCli(t, ['demo', '--nodes', '30', '--seed', '5'], {
    INFLUX_URL: influx.url,
    INFLUX_API: 'v1',
    INFLUX_DB: DB,
    TAILFLUX_DATA_DIR: temporaryFolder(t),
    TAILFLUX_HTTP_PORT: String(port),
    TAILFLUX_POLL_LOOKBACK: '6h',
  })
  await cli.until(/Status page/, 'stderr')
  const readTo = async () => {
    assert.equal(cli.child.exitCode, null, cli.stderr())
    const status = (await (await fetch(`http://127.0.0.1:${port}/api/status`)).json()) as { lagSeconds: number | null }
    return status.lagSeconds !== null && status.lagSeconds < 120
  }
  await eventually('the demo to be read', readTo, 100)
  /** A device is valid from the first whole minute after it was learnt. */
  const toMs = (Math.ceil(Date.now() / MINUTE_MS) + 1) * MINUTE_MS
  const fromMs = toMs - 3 * 60 * MINUTE_MS
  // Minutes are settled some 90 s after their end.
  const settledMs = toMs - 5 * MINUTE_MS
  const inRange = `time >= ${fromMs}ms AND time < ${settledMs}ms`
  const count = async (field: string, from: string, where: string) => {
    const [result] = await influx.query(`SELECT count("${field}") FROM "${from}" WHERE ${where}`, DB)
    return Number(result?.series?.[0]?.values[0]?.[1] ?? 0)
  }
  // Rows are made behind the line, of many minutes after a start.
  const minutes = (settledMs - fromMs) / MINUTE_MS
  await eventually(
    'all minutes of the range',
    async () => (await count('points', 'tailflux_minute', inRange)) === minutes,
    200,
  )
  for (const [measurement, back] of [
    ['tailnet_edge_1h', '5h'],
    ['tailnet_edge_1d', '2d'],
  ] as const)
    await eventually(
      `rows of ${measurement}`,
      async () => (await count('flows', measurement, `time > now() - ${back}`)) > 0,
      100,
    )

  const empty: string[] = []
  // A pair that talked in both directions, in the range and in the one before it, which some panels compare with.
  const pairsIn = async (range: string) => {
    const where = `"kind" = 'virtual' AND "tx_pkts" > 0 AND "rx_pkts" > 0 AND ${range}`
    const sums = `SELECT sum("tx_bytes") FROM "tailnet_edge" WHERE ${where} GROUP BY "src_name", "dst_name"`
    const [result] = await influx.query(sums, DB)
    return (result?.series ?? []).map(({ tags = {}, values }) => {
      return { src: tags['src_name'] ?? '', dst: tags['dst_name'] ?? '', bytes: Number(values[0]?.[1]) }
    })
  }
  const nameOf = ({ src, dst }: { src: string; dst: string }) => `${src} ${dst}`
  const earlier = new Set((await pairsIn(`time >= ${2 * fromMs - toMs}ms AND time < ${fromMs}ms`)).map(nameOf))
  const [pair] = (await pairsIn(inRange))
    .filter((one) => earlier.has(nameOf(one)))
    .toSorted((one, other) => other.bytes - one.bytes)
  assert.ok(pair, 'a pair that talks all the time')
  for (const dashboard of readDashboards()) {
    const variables = dashboard.templating.list
    const whole: View = { fromMs, toMs, values: { kind: 'virtual', node: ALL } }
    const mustChoose = variables.find(({ name, includeAll }) => name === 'node' && !includeAll)
    const some = mustChoose ? (await choices(influx, DB, mustChoose, whole, variables)).slice(0, 5) : ALL
    const view = await opened(
      influx,
      DB,
      { ...whole, values: { ...whole.values, node: some, src: pair.src, dst: pair.dst } },
      variables,
    )
    // Shifted panels show a day that the demo has not read.
    for (const panel of askingPanels(dashboard).filter(({ timeShift }) => timeShift === undefined)) {
      for (const target of panel.targets!) {
        const frames = await ask(
          influx,
          DB,
          expanded(target.query, view, variables, intervalMs(view, panel, variables)),
          target,
        )
        if (frames.flatMap(({ rows }) => rows).length === 0)
          empty.push(`${dashboard.uid} ${panel.id}${target.refId} ${panel.title}`)
      }
    }
  }
  // A healthy demo has no gaps, and at night and at weekends nobody may use a service address.
  const used = await count('flows', 'tailnet_flow', `"dst" =~ /^100\\.127\\./ AND ${inRange}`)
  const isRight = (panel: string) =>
    panel === 'tailflux-health 42B Minutes' || (panel.startsWith('tailflux-subnet 23A') && used === 0)
  assert.deepEqual(
    empty.filter((panel) => !isRight(panel)),
    [],
  )
})
