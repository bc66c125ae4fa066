import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from '../../src/base/clock.ts'
import { CollectorError } from '../../src/base/errors.ts'
import { createHttpServer } from '../../src/http/server.ts'
import { createHealth } from '../../src/observe/health.ts'
import { createFailures } from '../../src/observers/failures.ts'
import { eventually } from '../helpers/eventually.ts'
import { createFakeClock } from '../helpers/fake-clock.ts'
import { keptLog, silentLog } from '../helpers/silent.ts'
import { bearer, readEvent, serve, silentFailures, someStatus, TOKEN } from './serve.ts'

test('probes answer while API and database are in trouble, and only an error makes /health and the strict probe 503', async (t) => {
  const { get, health } = await serve(t, { token: TOKEN })
  const codes = async () => {
    const paths = ['/livez', '/readyz', '/readyz?strict=1', '/health']
    return Promise.all(paths.map(async (path) => (await get(path)).status))
  }
  assert.deepEqual(await codes(), [200, 200, 200, 200])
  health.set('sink', 'warning', 'db_unreachable', 'The database cannot be reached; start it.')
  assert.deepEqual(await codes(), [200, 200, 200, 200])
  health.set('source', 'error', 'api_unauthorized', 'The key is expired; make a new one.')
  assert.deepEqual(await codes(), [200, 200, 503, 503])
  health.set('source', 'ok')
  assert.deepEqual(await codes(), [200, 200, 200, 200])
  health.setReady(false)
  assert.deepEqual(await codes(), [200, 503, 503, 200])
})

test('/livez asks nothing but the watchdog of the loop', async (t) => {
  let isAlive = true
  const broken = () => {
    throw new Error('nobody may ask for this')
  }
  const { get } = await serve(t, { isAlive: () => isAlive, status: broken, run: broken })
  assert.equal((await get('/livez')).status, 200)
  isAlive = false
  assert.equal((await get('/livez')).status, 503)
})

test('/health tells details only to those who may know', async (t) => {
  const { get, health } = await serve(t, { token: TOKEN })
  health.set('source', 'error', 'api_forbidden', 'The scope logs:network:read is missing; add it.')
  assert.deepEqual(await (await get('/health')).json(), { status: 'error' })
  const detail = (await (await get('/health', bearer(TOKEN))).json()) as {
    components: { code: string; text: string }[]
  }
  assert.equal(detail.components[0]?.code, 'api_forbidden')
  assert.match(detail.components[0]?.text ?? '', /logs:network:read/)

  const open = await serve(t)
  open.health.set('source', 'error', 'api_forbidden', 'The scope is missing.')
  assert.match(await (await open.get('/health')).text(), /scope/)
})

test('with a token configured everything but the probes needs it', async (t) => {
  const { get } = await serve(t, { token: TOKEN })
  const wrong: RequestInit[] = [
    {},
    bearer('wrong'),
    bearer(`${TOKEN}x`),
    bearer(TOKEN.slice(0, -1)),
    bearer('x'.repeat(6_000)),
    bearer(''),
    { headers: { authorization: TOKEN } },
    { headers: { authorization: `Basic ${btoa('admin:wrong')}` } },
    { headers: { authorization: `Basic ${btoa('nocolon')}` } },
  ]
  for (const path of ['/', '/metrics', '/api/status', '/api/events', '/page.js', '/nothing/here']) {
    for (const init of wrong) {
      const answer = await get(path, init)
      assert.equal(answer.status, 401, `${path} with ${JSON.stringify(init)}`)
      assert.doesNotMatch(await answer.text(), /example\.com|tailflux_up/)
    }
  }
  assert.equal((await get('/metrics', bearer(TOKEN))).status, 200)
  assert.equal((await get('/api/status', bearer(TOKEN))).status, 200)
  // A browser asks for name and password.
  const basic = { headers: { authorization: `Basic ${btoa(`me:${TOKEN}`)}` } }
  assert.equal((await get('/', basic)).status, 200)
  assert.match((await get('/')).headers.get('www-authenticate') ?? '', /Basic/)
})

test('a run needs a token to be configured and given as bearer, never as what browsers send by themselves', async (t) => {
  let runs = 0
  const run = async () => {
    runs += 1
    return 'caught_up' as const
  }
  const post = { method: 'POST' }
  const open = await serve(t, { run })
  const refused = await open.get('/api/run', post)
  assert.equal(refused.status, 403)
  assert.match(((await refused.json()) as { error: string }).error, /TAILFLUX_HTTP_TOKEN/)

  const guarded = await serve(t, { run, token: TOKEN })
  assert.equal((await guarded.get('/api/run', post)).status, 401)
  const basic = { headers: { authorization: `Basic ${btoa(`me:${TOKEN}`)}` } }
  assert.equal((await guarded.get('/api/run', { ...post, ...basic })).status, 401)
  assert.equal(runs, 0)
  const done = await guarded.get('/api/run', { ...post, ...bearer(TOKEN) })
  assert.deepEqual([done.status, await done.json()], [200, { running: false, result: 'caught_up' }])
  assert.equal((await guarded.get('/api/run', bearer(TOKEN))).status, 404, 'GET changes nothing')
  assert.equal(runs, 1)
})

test('a long run is answered with 202 and goes on; a failed one with 500 and no detail', async (t) => {
  const { promise, resolve } = Promise.withResolvers<'caught_up'>()
  const long = await serve(t, { token: TOKEN, run: () => promise, limits: { runWaitMs: 10 } })
  const answer = await long.get('/api/run', { method: 'POST', ...bearer(TOKEN) })
  assert.deepEqual([answer.status, await answer.json()], [202, { running: true }])
  resolve('caught_up')

  const failing = await serve(t, { token: TOKEN, run: async () => Promise.reject(new Error('inner secret detail')) })
  const failed = await failing.get('/api/run', { method: 'POST', ...bearer(TOKEN) })
  assert.equal(failed.status, 500)
  assert.doesNotMatch(await failed.text(), /inner secret detail|server\.ts/)
})

test('on a loopback address without token only requests that name this machine are answered', async (t) => {
  const { port, get } = await serve(t)
  const { request } = await import('node:http')
  const statusFor = (host: string, path: string) =>
    new Promise<number | undefined>((resolve, reject) => {
      const sent = request({ host: '127.0.0.1', port, path, headers: { host } }, (answer) => {
        answer.resume()
        resolve(answer.statusCode)
      })
      sent.on('error', reject)
      sent.end()
    })
  for (const host of [
    'localhost:9464',
    '127.0.0.1',
    'localhost',
    '[::1]:9464',
    `127.0.0.1:${port}`,
    'LOCALHOST',
    'Localhost.:9464',
  ]) {
    assert.equal(await statusFor(host, '/api/status'), 200, host)
  }
  for (const host of ['evil.example', 'evil.example:9464', '127.0.0.1.evil.example', 'localhost.evil.example']) {
    assert.equal(await statusFor(host, '/api/status'), 403, host)
    assert.equal(await statusFor(host, '/livez'), 200, host)
  }
  assert.equal((await get('/api/status')).status, 200)
})

test('/api/status tells health, version and what the line tells; bigints as text', async (t) => {
  const { get } = await serve(t, {
    status: () => ({ ...someStatus, watermarkNs: 1_793_620_800_000_000_001n }) as never,
  })
  const status = (await (await get('/api/status')).json()) as Record<string, unknown>
  assert.equal(status['service'], 'tailflux')
  assert.equal(status['version'], '0.0.0-test')
  assert.equal(status['watermarkNs'], '1793620800000000001')
  assert.deepEqual(status['health'], { status: 'ok', components: [] })
  assert.equal(status['tailnet'], 'example.com')
})

test('every answer carries the safety headers; errors are JSON without stack', async (t) => {
  const { get } = await serve(t, {
    status: () => {
      throw new TypeError('secret-of-the-inside')
    },
  })
  for (const [path, code] of [
    ['/metrics', 200],
    ['/nothing', 404],
    ['/api/status', 500],
    ['/', 500],
    ['/%ff', 400],
  ] as const) {
    const answer = await get(path)
    assert.equal(answer.status, code, path)
    const text = await answer.text()
    assert.doesNotMatch(text, /secret-of-the-inside|at .*\.ts/)
    if (code !== 200) assert.equal((JSON.parse(text) as { status: number }).status, code)
    assert.match(answer.headers.get('content-security-policy') ?? '', /default-src 'none'/)
    assert.equal(answer.headers.get('x-content-type-options'), 'nosniff')
  }
})

test('a page, a stream or /metrics that cannot be rendered is told in /health, and forgotten when it can be again', async (t) => {
  const health = createHealth({ clock: systemClock })
  const { log, entries } = keptLog()
  const failures = createFailures({ clock: systemClock, log, health, metrics: { failed: () => undefined } })
  let isBad = true
  const fail = () => {
    if (isBad) throw new TypeError('secret-of-the-inside')
  }
  const { get, url } = await serve(t, {
    health,
    failures,
    log,
    status() {
      fail()
      return someStatus
    },
    metrics: {
      async render() {
        fail()
        return 'tailflux_up 1\n'
      },
      contentType: 'text/plain',
    },
  })
  const warned = () =>
    health.state().components.flatMap(({ component, status }) => (status === 'warning' ? component : []))
  for (const path of ['/', '/api/status', '/api/status', '/metrics']) assert.equal((await get(path)).status, 500, path)
  // The stream ends at once; the browser tries again.
  await assert.rejects(fetch(`${url}/api/events`).then((answer) => readEvent(answer.body!, () => false)))
  assert.deepEqual(warned(), ['page', 'metrics'])
  const answer = await get('/health')
  assert.equal(answer.status, 200)
  assert.match(await answer.text(), /Ingestion continues/)
  assert.equal(entries.filter(({ level }) => level >= 40).length, 4, 'once for each route')

  isBad = false
  for (const path of ['/', '/api/status', '/metrics']) assert.equal((await get(path)).status, 200, path)
  await eventually('the stream is still in trouble', () => warned().join() === 'page')
  const stream = await fetch(`${url}/api/events`)
  await readEvent(stream.body!, () => true)
  await eventually('everything to be well', () => warned().length === 0)
})

test('a backfill without its times, or with two of one, is refused with a sentence', async (t) => {
  const { get } = await serve(t, { token: TOKEN, backfill: () => assert.fail('there is no range') })
  for (const [query, name] of [
    ['', 'from'],
    ['?from=2026-11-01T00:00:00Z', 'to'],
    ['?from=2026-11-01T00:00:00Z&from=2026-11-02T00:00:00Z&to=2026-11-03T00:00:00Z', 'from'],
  ]) {
    const answer = await get(`/api/backfill${query}`, { method: 'POST', ...bearer(TOKEN) })
    const error = `${name} must be a time such as 2026-08-01T12:00:00Z.`
    assert.deepEqual([answer.status, await answer.json()], [422, { status: 422, error }])
  }
})

test('a backfill says whether to read again, and whether the points of version 0.1.0 were deleted', async (t) => {
  const asked: unknown[][] = []
  const backfill = (...call: unknown[]) => void asked.push(call.slice(1)) as never
  const { get } = await serve(t, { token: TOKEN, backfill })
  const range = 'from=2026-11-01T00:00:00Z&to=2026-11-02T00:00:00Z'
  for (const more of ['', '&again=1', '&again=1&oldPointsDeleted=1'])
    await get(`/api/backfill?${range}${more}`, { method: 'POST', ...bearer(TOKEN) })
  assert.deepEqual(asked, [
    [false, false],
    [true, false],
    [true, true],
  ])
})

test('a port in use is reported with the fix', async (t) => {
  const { port } = await serve(t)
  await assert.rejects(serve(t, { config: { port } }), (error) => {
    assert.ok(error instanceof CollectorError)
    assert.equal(error.code, 'config_invalid')
    assert.match(error.message, new RegExp(`127\\.0\\.0\\.1 port ${port} is in use.*TAILFLUX_HTTP_PORT`))
    return true
  })
  await assert.rejects(
    serve(t, { config: { host: '203.0.113.7' } }),
    /not an address of this machine.*TAILFLUX_HTTP_HOST/,
  )
})

test('stop can be called twice, and without start', async (t) => {
  const { server } = await serve(t)
  await Promise.all([server.stop(), server.stop()])
  await server.stop()
  const clock = createFakeClock()
  const { createHealth } = await import('../../src/observe/health.ts')
  const idle = createHttpServer(
    { host: '127.0.0.1', port: 0 },
    {
      log: silentLog,
      clock,
      version: '0',
      began: { atNs: clock.now(), ms: clock.monotonicMs() },
      health: createHealth({ clock }),
      metrics: { render: async () => '', contentType: 'text/plain' },
      status: () => someStatus,
      flows: async () => {
        throw new Error('nobody may ask for this')
      },
      failures: silentFailures,
      run: async () => 'caught_up',
    },
  )
  await idle.stop()
})

test('the token of the data directory lets commands in, as a bearer only, with or without another token', async (t) => {
  const controlToken = 'canary-control-token-0123456789'
  for (const token of [undefined, TOKEN]) {
    const { get } = await serve(t, { controlToken, ...(token === undefined ? {} : { token }) })
    assert.equal((await get('/api/status', bearer(controlToken))).status, 200)
    assert.equal((await get('/api/run', { method: 'POST', ...bearer(controlToken) })).status, 200)
    assert.equal((await get('/api/run', { method: 'POST' })).status, 401)
    const basic = { headers: { authorization: `Basic ${Buffer.from(`x:${controlToken}`).toString('base64')}` } }
    assert.equal((await get('/api/run', { method: 'POST', ...basic })).status, 401)
    // Actions that a service does not know.
    assert.equal((await get('/api/pause', { method: 'POST', ...bearer(controlToken) })).status, 404)
  }
})
