/** The service as a process, with an observer that throws at every message: ingestion continues, health reports it, and it recovers by itself. */
import assert from 'node:assert/strict'
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { HealthState } from '../../src/observe/health.ts'
import { eventually } from '../helpers/eventually.ts'
import { linesOf } from '../helpers/lines.ts'
import { temporaryFolder } from '../helpers/temporary-folder.ts'
import { startInfluxd } from '../services/influxd.ts'
import { createSimulatedApi } from '../simulator/api.ts'
import { createTailnet } from '../simulator/tailnet.ts'
import { startChild } from './child.ts'
import { assertTruth, storedIn } from './truth-in.ts'
import { HOUR_NS, originOf } from './world.ts'

test('alerts that throw at every minute: the truth is in the database, /health warns, and they come back when the fault is gone', async (t) => {
  const database = await startInfluxd(t, { databases: ['flows'] })
  const tailnet = createTailnet({ nodes: 20 })
  const api = createSimulatedApi(tailnet, { nowNs: () => BigInt(Date.now()) * 1_000_000n })
  await api.start()
  t.after(() => api.stop())
  const poison = join(temporaryFolder(t), 'poison')
  writeFileSync(poison, '')
  const child = await startChild(t, {
    TAILSCALE_API_URL: api.url,
    TAILSCALE_API_KEY: 'tskey-api-demo',
    INFLUX_URL: database.url,
    INFLUX_API: 'v1',
    INFLUX_DB: 'flows',
    TAILFLUX_DATA_DIR: temporaryFolder(t),
    TAILFLUX_POLL_LOOKBACK: '1h',
    TAILFLUX_POLL_INTERVAL: '5s',
    TAILFLUX_ALERTS_RULES: '[{ name: busy, by: node, above: 1kbps, window: 1m }]',
    NODE_OPTIONS: `--import ${join(import.meta.dirname, 'poison.ts')}`,
    POISON: poison,
  })
  const alertsHealth = async () => {
    const { status, body } = await child.get('/health')
    const alerts = (JSON.parse(body) as HealthState).components.find(({ component }) => component === 'alerts')
    return { status, code: alerts?.code, text: alerts?.text ?? '' }
  }
  const failures = async () =>
    Number(/observer_failures_total\{observer="alerts"\} (\d+)/.exec((await child.get('/metrics')).body)?.[1])
  const lag = async () => (JSON.parse((await child.get('/api/status')).body) as { lagSeconds: number }).lagSeconds

  await child.until(({ lagSeconds }) => lagSeconds !== null && lagSeconds < 75)
  // Minutes are told when their rows are made.
  await eventually('alerts to fail', async () => (await alertsHealth()).code !== undefined)
  const bad = await alertsHealth()
  assert.deepEqual([bad.status, bad.code], [200, 'observer_failed'])
  assert.match(bad.text, /no rule is evaluated.*Ingestion continues.*restarted automatically.*report that log line/)
  assert.equal((await child.get('/livez')).status, 200)
  await eventually('a few restarts', async () => (await failures()) >= 3)
  const [failed, lagBad] = [await failures(), await lag()]
  assert.ok(failed < 12, `${failed} failures`)

  rmSync(poison)
  await eventually('alerts to be well', async () => (await alertsHealth()).code === undefined)
  assert.match((await child.get('/api/status')).body, /"alerting":/)
  const lines = linesOf(child.output())
  const reported = lines.filter((line) => line.includes('"observer failed, ingestion continues"'))
  assert.ok(reported.length > 0 && reported.length <= 3, `${reported.length} log lines`)
  assert.match(reported[0] ?? '', /poisoned/)
  t.diagnostic(
    `${failed} failures, ${reported.length} log lines, lag ${lagBad} s beside them and ${await lag()} s afterwards`,
  )

  assert.equal(await child.kill('SIGTERM'), 0)
  const originNs = originOf(api)
  const place = { url: database.url, db: 'flows' }
  const untilNs = api.requests
    .flatMap(({ window }) => window?.toNs ?? [])
    .reduce((most, ns) => (ns > most ? ns : most), 0n)
  assert.ok(untilNs - originNs > HOUR_NS - 120_000_000_000n)
  const points = await assertTruth(storedIn(place), tailnet.truth(originNs, untilNs))
  t.diagnostic(`${points} points`)
})
