/** The harness itself: each server starts, answers, survives kill -9 and goes away; the proxy does what its toxics say. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { type IncomingMessage, request } from 'node:http'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { startHttpServer } from '../helpers/http-server.ts'
import { temporaryFolder } from '../helpers/temporary-folder.ts'
import { startAlertmanager } from './alertmanager.ts'
import { chromium } from './chromium.ts'
import { readPoints } from './influx-read.ts'
import { startInfluxd } from './influxd.ts'
import { withLock } from './lock.ts'
import { promtool } from './promtool.ts'
import { startProxy, type Toxic } from './proxy.ts'
import { find, missing, variableOf } from './servers.ts'
import { startVictoriaMetrics } from './victoria-metrics.ts'

const run = promisify(execFile)

test('a lock has one holder at a time', async (t) => {
  const dir = temporaryFolder(t)
  let holders = 0
  let worked = 0
  await Promise.all(
    [1, 2, 3].map(() =>
      withLock(join(dir, 'a.lock'), async () => {
        holders += 1
        assert.equal(holders, 1)
        await new Promise(setImmediate)
        holders -= 1
        worked += 1
      }),
    ),
  )
  assert.equal(worked, 3)
})

test('the environment names servers, and a wrong name is told', (t) => {
  const variable = variableOf('victoria-metrics')
  const before = process.env[variable]
  t.after(() => {
    if (before === undefined) delete process.env[variable]
    else process.env[variable] = before
  })
  assert.equal(variable, 'TAILFLUX_TEST_VICTORIA_METRICS')
  process.env[variable] = process.execPath
  assert.deepEqual(find('victoria-metrics'), { path: process.execPath, root: undefined })
  process.env[variable] = '/nowhere/victoria-metrics'
  assert.throws(() => find('victoria-metrics'), /TAILFLUX_TEST_VICTORIA_METRICS names \/nowhere/)
})

test('InfluxDB keeps int64 and odd tag values exactly, over kill -9 and a new start', {
  skip: await missing('influxd'),
}, async (t) => {
  const influxd = await startInfluxd(t, { index: 'tsi1', databases: ['telemetry'] })
  const lines = [
    'm,a=x\\ y\\,\\=ü i=9223372036854775807i,f=5 1700000000000000001',
    'm,a=x\\ y\\,\\=ü i=-9223372036854775808i,f=0.5 1700000000000000002',
    'm,b="q" s="text",ok=true 1700000000000000003',
  ]
  const answer = await fetch(`${influxd.url}/write?db=telemetry`, { method: 'POST', body: lines.join('\n') })
  assert.equal(answer.status, 204)
  const expected = [
    {
      measurement: 'm',
      tags: { b: '"q"' },
      fields: { s: 'text', ok: true },
      timestampNs: 1700000000000000003n,
    },
    {
      measurement: 'm',
      tags: { a: 'x y,=ü' },
      fields: { i: 9223372036854775807n, f: 5 },
      timestampNs: 1700000000000000001n,
    },
    {
      measurement: 'm',
      tags: { a: 'x y,=ü' },
      fields: { i: -9223372036854775808n, f: 0.5 },
      timestampNs: 1700000000000000002n,
    },
  ]
  const place = { url: influxd.url, db: 'telemetry' }
  assert.deepEqual(await readPoints(place, 'm'), expected)
  assert.deepEqual(await readPoints(place, 'm', `"b" = '"q"'`), [expected[0]])
  await influxd.kill()
  assert.equal(influxd.pid, undefined)
  await assert.rejects(fetch(influxd.url))
  await influxd.start()
  assert.deepEqual(await readPoints(place, 'm'), expected)
  await influxd.stop()
  assert.equal(existsSync(influxd.dir), false)
})

test('InfluxDB with users refuses strangers', { skip: await missing('influxd') }, async (t) => {
  const influxd = await startInfluxd(t, { auth: true, databases: ['telemetry'] })
  const write = (headers: Record<string, string>) =>
    fetch(`${influxd.url}/write?db=telemetry`, { method: 'POST', body: 'm v=1i 1', headers })
  assert.equal((await write({})).status, 401)
  assert.equal((await write(influxd.adminHeaders)).status, 204)
  assert.equal((await readPoints({ url: influxd.url, db: 'telemetry', headers: influxd.adminHeaders }, 'm')).length, 1)
})

test('VictoriaMetrics keeps one of equal points', { skip: await missing('victoria-metrics') }, async (t) => {
  const victoria = await startVictoriaMetrics(t)
  const ms = Date.now() - 3_600_000
  for (let times = 0; times < 3; times += 1) {
    const answer = await fetch(`${victoria.url}/api/v2/write?precision=ms`, {
      method: 'POST',
      body: `m,a=b v=7i ${ms}`,
    })
    assert.equal(answer.status, 204)
  }
  await victoria.flush()
  assert.deepEqual(await victoria.exportSeries('m_v'), [
    { metric: { __name__: 'm_v', a: 'b' }, values: [7], timestamps: [ms] },
  ])
})

test('Alertmanager takes alerts and another configuration', { skip: await missing('alertmanager') }, async (t) => {
  const alertmanager = await startAlertmanager(t)
  const answer = await fetch(`${alertmanager.url}/api/v2/alerts`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify([{ labels: { alertname: 'Loud' } }]),
  })
  assert.equal(answer.status, 200)
  await alertmanager.configure('route: { receiver: other }\nreceivers: [{ name: other }]\n')
  await assert.rejects(alertmanager.configure('nonsense: true'), /refuses the configuration/)
})

test('promtool tells good metrics from bad ones', { skip: await missing('promtool') }, async () => {
  assert.equal((await promtool(['check', 'metrics'], '# HELP a_total A.\n# TYPE a_total counter\na_total 1\n')).code, 0)
  const bad = await promtool(['check', 'metrics'], '# TYPE a counter\na 1\n')
  assert.notEqual(bad.code, 0)
  assert.match(bad.output, /help/)
})

test('Chromium runs scripts and draws text', { skip: await missing('chromium') }, async (t) => {
  const dir = temporaryFolder(t)
  const { path, args, env } = await chromium()
  const page = join(dir, 'page.html')
  writeFileSync(page, '<p id=a></p><script>a.textContent = [20, 22].reduce((x, y) => x + y)</script>')
  const options = { env, timeout: 60_000 }
  const profile = `--user-data-dir=${join(dir, 'profile')}`
  const { stdout } = await run(path, [...args, profile, '--dump-dom', `file://${page}`], options)
  assert.match(stdout, /<p id="a">42<\/p>/)
  const picture = join(dir, 'picture.png')
  await run(path, [...args, profile, `--screenshot=${picture}`, '--window-size=300,100', `file://${page}`], options)
  assert.equal(readFileSync(picture).subarray(1, 4).toString(), 'PNG')
})

test('strace and libfaketime are there', { skip: await missing('strace', 'libfaketime') }, async () => {
  const { stdout } = await run('date', ['-u', '+%Y'], {
    env: { ...process.env, LD_PRELOAD: find('libfaketime')?.path, FAKETIME: '@2031-01-01 00:00:00' },
  })
  assert.equal(stdout.trim(), '2031')
  assert.match((await run(find('strace')?.path ?? '', ['-V'])).stdout, /strace/)
})

test('the proxy passes everything on, and has one fault at a time', async (t) => {
  const body = 'x'.repeat(10_000)
  let requests = 0
  const server = await startHttpServer(t, (asked, response) => {
    asked.resume().on('end', () => {
      requests += 1
      response.end(body)
    })
  })
  const proxy = await startProxy(t, server.url)
  // A connection of its own for each request: a pool would choose one that was reset a moment ago.
  const ask = async (signal = AbortSignal.timeout(20_000)) => {
    const asking = request(proxy.url, { method: 'POST', agent: false, signal }).end('y'.repeat(50_000))
    const [answer] = (await once(asking, 'response')) as [IncomingMessage]
    return await text(answer)
  }
  assert.equal(await ask(), body)
  assert.equal(requests, 1)
  assert.ok(proxy.passed.request > 50_000 && proxy.passed.answer > 10_000)

  const fatal: [Toxic, reachesServer: boolean][] = [
    [{ kind: 'cut', of: 'request', afterBytes: 20_000 }, false],
    [{ kind: 'reset', of: 'request', afterBytes: 20_000 }, false],
    [{ kind: 'cut', of: 'answer', afterBytes: 5_000 }, true],
    [{ kind: 'reset', of: 'answer', afterBytes: 0 }, true],
    [{ kind: 'half-body' }, true],
    [{ kind: 'lose-answer' }, true],
    [{ kind: 'refuse' }, false],
  ]
  for (const [toxic, reachesServer] of fatal) {
    const before: number = requests
    await proxy.set(toxic)
    await assert.rejects(ask(), JSON.stringify(toxic))
    assert.equal(requests - before, reachesServer ? 1 : 0, JSON.stringify(toxic))
    await proxy.set(undefined)
    assert.equal(await ask(), body, `after ${JSON.stringify(toxic)}`)
  }

  await proxy.set({ kind: 'black-hole' })
  await assert.rejects(ask(AbortSignal.timeout(200)), { name: 'AbortError' })
  for (const toxic of [
    { kind: 'latency', ms: 20 },
    { kind: 'drip', bytes: 1_000, everyMs: 1 },
  ] as const) {
    await proxy.set(toxic)
    assert.equal(await ask(), body)
  }
  await proxy.set({ kind: 'lose-answer' }, 2)
  for (let times = 0; times < 2; times += 1) await assert.rejects(ask())
  assert.equal(await ask(), body)
})
