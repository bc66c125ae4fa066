/** `tailflux run --once`: everything up to now is in the database, rows too, or the exit code and a sentence say what is missing. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { type TestContext, test } from 'node:test'
import { systemClock } from '../../src/base/clock.ts'
import { catchUp } from '../../src/commands/run-once.ts'
import { loadSettings } from '../../src/config/load.ts'
import { createService, type Service } from '../../src/main.ts'
import { createHealth } from '../../src/observe/health.ts'
import type { TickResult } from '../../src/observe/line/status.ts'
import type { ServiceStatus } from '../../src/observe/status.ts'
import { createSecretRegistry } from '../../src/secrets/redactor.ts'
import { runCli, startCli } from '../helpers/cli.ts'
import { eventually } from '../helpers/eventually.ts'
import { silentLog } from '../helpers/silent.ts'
import { temporaryFolder } from '../helpers/temporary-folder.ts'
import { someStatus } from '../http/serve.ts'
import { readPoints } from '../services/influx-read.ts'
import { startInfluxd } from '../services/influxd.ts'
import { createTailnet } from '../simulator/tailnet.ts'
import { type CountedPoint, countersByMinute, exported } from './exported.ts'
import { startSimulated } from './simulated.ts'

const MINUTE_NS = 60_000_000_000n

async function world(t: TestContext, latencyMs = 0) {
  const simulated = await startSimulated(t, createTailnet({ nodes: 8, seed: 21 }), { latencyMs })
  const env = { ...simulated.env, TAILFLUX_POLL_LOOKBACK: '15m', TAILFLUX_POLL_WINDOW_MAX: '1m' }
  return { ...simulated, env }
}

/** The end of what was read, from the line that a run ends with. */
function upToOf(stdout: string): string {
  const [, upTo] =
    /^Done: everything up to (\S+) is in the database \(.* messages, .* points in \d+ windows\)\.\n$/.exec(stdout) ?? []
  return upTo ?? assert.fail(stdout)
}

/** Each final minute of the last twelve has rows, which are the sums of its raw points. */
function assertRows(
  raw: readonly CountedPoint[],
  rows: readonly CountedPoint[],
  { beganNs, upTo }: { readonly beganNs: bigint; readonly upTo: string },
): void {
  const minute = (ns: bigint) => ns - (ns % MINUTE_NS)
  const whole = {
    fromNs: minute(beganNs - 12n * MINUTE_NS),
    toNs: minute(BigInt(Date.parse(upTo) - 30_000) * 1_000_000n),
  }
  const sums = countersByMinute(raw, whole)
  assert.ok(Object.keys(sums).length > 100)
  assert.deepEqual(countersByMinute(rows, whole), sums)
}

test('into the embedded store: every final minute has its rows, the next run goes on, and nothing listens', async (t) => {
  const { dir, env } = await world(t)
  const taken = createServer().listen(0, '127.0.0.1')
  await once(taken, 'listening')
  t.after(() => taken.close())
  const { port } = taken.address() as { port: number }
  const withPort = { ...env, TAILFLUX_HTTP_PORT: String(port) }
  const beganNs = BigInt(Date.now()) * 1_000_000n
  const first = await runCli(t, ['run', '--once'], withPort)
  assert.deepEqual([first.code, first.stderr], [0, ''])
  const upTo = upToOf(first.stdout)
  const lagMs = Number(beganNs / 1_000_000n) - Date.parse(upTo)
  assert.ok(lagMs < 70_000, `${upTo} is ${lagMs} ms before the start`)
  assertRows(await exported(t, dir, 'tailnet_flow'), await exported(t, dir, 'tailnet_node'), { beganNs, upTo })
  assert.ok((await exported(t, dir, 'tailnet_node_1h')).length > 0)
  assert.ok((await exported(t, dir, 'tailnet_edge_1d')).length > 0)

  const second = await runCli(t, ['run', '--once'], withPort)
  assert.equal(second.code, 0, second.stderr)
  const [, windows] = /in (\d+) windows/.exec(second.stdout) ?? []
  assert.ok(Number(windows) <= 3, second.stdout)
})

test('into InfluxDB: rows are there when it ends, also those of points that an earlier run wrote', async (t) => {
  const { env } = await world(t)
  const influxd = await startInfluxd(t)
  await influxd.query('CREATE DATABASE "once"')
  const place = { INFLUX_URL: influxd.url, INFLUX_DB: 'once', INFLUX_API: 'v1' }
  const read = (measurement: string) => readPoints({ url: influxd.url, db: 'once' }, measurement)
  for (let run = 0; run < 2; run += 1) {
    const beganNs = BigInt(Date.now()) * 1_000_000n
    const { code, stdout, stderr } = await runCli(t, ['run', '--once'], { ...env, ...place })
    assert.equal(code, 0, stderr)
    assertRows(await read('tailnet_flow'), await read('tailnet_node'), { beganNs, upTo: upToOf(stdout) })
  }
})

test('a running service keeps it out with 75, and a bad key ends it at once with the fix', async (t) => {
  const { env } = await world(t)
  const service = startCli(t, ['run'], { ...env, TAILFLUX_HTTP_PORT: '0' })
  await service.until(/"msg":"window done"/)
  const beside = await runCli(t, ['run', '--once'], env)
  assert.equal(beside.code, 75)
  assert.match(beside.stderr, /another|process/)
  service.child.kill('SIGTERM')
  await service.ended
  const refused = await runCli(t, ['run', '--once'], { ...env, TAILSCALE_API_KEY: 'tskey-api-wrong' })
  assert.deepEqual([refused.code, refused.stdout], [1, ''])
  assert.match(
    refused.stderr,
    /tailflux: Not everything is in the database: Tailscale answered 401.*TAILSCALE_API_KEY.* The next run continues\.$/m,
  )
  const without = await runCli(t, ['run', '--once'], { TAILFLUX_DATA_DIR: temporaryFolder(t), TAILFLUX_DEMO: 'auto' })
  assert.equal(without.code, 2)
  assert.match(without.stderr, /TAILSCALE_OAUTH_CLIENT_ID/)
})

test('SIGTERM ends it in order: what was read stays, and the next run has less to do', async (t) => {
  const { api, env } = await world(t, 200)
  const run = startCli(t, ['run', '--once'], env)
  await eventually('five requests', () => api.count('logs') >= 5)
  run.child.kill('SIGTERM')
  assert.equal(await run.ended, 1)
  assert.match(run.stderr(), /tailflux: Stopped before everything was read\. The next run continues\.$/m)
  assert.equal((await runCli(t, ['run', '--once'], env)).code, 0)
})

/** The service of these settings in this process. */
function serviceOf(t: TestContext, env: Record<string, string>) {
  const { settings, secrets } = loadSettings({ env })
  const service = createService(settings, {
    log: silentLog,
    secrets: createSecretRegistry(secrets),
    onBroken: (error) => assert.fail(String(error)),
  })
  t.after(() => service.stop())
  return service
}

test('a database that is down, and an API that fails, are given up after a while', async (t) => {
  const { api, env } = await world(t)
  const down = { INFLUX_URL: 'http://127.0.0.1:1', INFLUX_BUCKET: 'x', INFLUX_TOKEN: 't', INFLUX_API: 'v2' }
  const signal = new AbortController().signal
  const noDatabase = await catchUp(serviceOf(t, { ...env, ...down }), 200, signal)
  assert.match(
    noDatabase ?? '',
    /^Not everything is in the database: InfluxDB .* cannot be reached \(ECONNREFUSED\)\. Check/,
  )
  assert.doesNotMatch(noDatabase ?? '', /tried again/)
  await api.stop()
  const noApi = await catchUp(serviceOf(t, { ...env, TAILFLUX_DATA_DIR: temporaryFolder(t) }), 200, signal)
  assert.match(
    noApi ?? '',
    /^Not everything is in the database: .*nothing listens there; check the API URL.*ECONNREFUSED/,
  )
})

/** A service whose reading ended like this. */
function endedLike(more: {
  readonly ticks?: readonly TickResult[]
  readonly gaps?: readonly string[]
  readonly due?: readonly (number | undefined)[]
  readonly rollup?: string
}): Parameters<typeof catchUp>[0] {
  const { ticks = ['caught_up'], gaps = [], due = [0], rollup } = more
  const [left, leftDue] = [[...ticks], [...due]]
  const next = <T>(list: T[]) => (list.length > 1 ? list.shift() : list[0]) as T
  const health = createHealth({ clock: systemClock })
  if (rollup !== undefined) health.set('rollup', 'warning', 'db_unreachable', rollup)
  return {
    begin: async () => undefined,
    finishRows: () => next(leftDue),
    pipeline: { tick: async () => next(left) } as Service['pipeline'],
    health,
    status: () => ({ ...someStatus, gaps: gaps.map((state) => ({ state })) as unknown as ServiceStatus['gaps'] }),
  }
}

test('what is missing is said: ranges that are retried, rows that cannot be made; what Tailscale no longer has is not waited for', async () => {
  const signal = new AbortController().signal
  const after = (more: Parameters<typeof endedLike>[0], patienceMs = 100) =>
    catchUp(endedLike(more), patienceMs, signal)
  assert.equal(await after({}), undefined)
  assert.equal(await after({ ticks: ['api_waiting', 'db_down', 'caught_up'], due: [3, 3, 2, 0] }, 60_000), undefined)
  assert.equal(await after({ gaps: ['lost', 'lost'] }), undefined)
  assert.equal(await after({ gaps: ['open', 'lost'] }), '1 range could not be read; `tailflux ledger show` lists them.')
  assert.equal(
    await after({ gaps: ['open', 'open'] }),
    '2 ranges could not be read; `tailflux ledger show` lists them.',
  )
  assert.match(
    (await after({ due: [5, 4] })) ?? '',
    /rows of 4 minutes, hours and days could not be made\. See the log/,
  )
  assert.match(
    (await after({ due: [undefined], rollup: 'The database is away. Check it; it is tried again by itself.' })) ?? '',
    /but rows could not be made\. The database is away\. Check it\.$/,
  )
  assert.match((await after({ ticks: ['db_down'] })) ?? '', /^Not everything is in the database: .*Check INFLUX_URL/)
  assert.match((await catchUp(endedLike({}), 100, AbortSignal.abort())) ?? '', /^Stopped before everything was read\.$/)
})

test('a signal that comes while the service begins ends it before the first poll', async () => {
  const stopping = new AbortController()
  let ticks = 0
  const service = {
    ...endedLike({}),
    begin: async () => stopping.abort(new Error('stopped')),
    pipeline: {
      async tick() {
        ticks += 1
        return ticks > 3 ? 'caught_up' : 'api_waiting'
      },
    } as Service['pipeline'],
  }
  assert.equal(await catchUp(service, 60_000, stopping.signal), 'Stopped before everything was read.')
  assert.equal(ticks, 0)
})
