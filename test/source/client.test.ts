import assert from 'node:assert/strict'
import { test } from 'node:test'
import { brotliCompressSync, gzipSync } from 'node:zlib'
import fc from 'fast-check'
import type { Code, Reaction } from '../../src/base/errors.ts'
import { createTailscaleSource } from '../../src/source/client.ts'
import { tailscaleSchema } from '../../src/source/config.ts'
import type { SourceMetrics } from '../../src/source/source.ts'
import { createFakeClock, NOON_NS } from '../helpers/fake-clock.ts'
import { json, startScriptedApi, text, wireMessage } from '../helpers/scripted-api.ts'
import { countingMetrics, silentLog } from '../helpers/silent.ts'
import { apiAndSource, faultOf, KEY, runWorkers, WINDOW } from './api-and-source.ts'

const SEED = 20_261_102

test('messages come in the order of the wire, and the request tells window and credentials', async (t) => {
  const { api, source, metrics, signal } = await apiAndSource(t)
  api.on('logging/network', json(200, { logs: [wireMessage(1), wireMessage(2)] }))
  const answer = await source.open({ fromNs: NOON_NS - 1n, toNs: NOON_NS + 999_999_999n }, signal)
  assert.deepEqual(await runWorkers(answer), { nodeIds: ['n1CNTRL', 'n2CNTRL'], txBytes: 203 })

  const [asked] = api.asked('logging/network')
  assert.ok(asked)
  assert.equal(asked.url.split('?')[0], '/api/v2/tailnet/-/logging/network')
  assert.equal(asked.query.get('start'), '2026-11-02T11:59:59.999999999Z')
  assert.equal(asked.query.get('end'), '2026-11-02T12:00:00.999999999Z')
  assert.equal(asked.headers.authorization, `Basic ${Buffer.from(`${KEY}:`).toString('base64')}`)
  assert.equal(asked.headers.accept, 'application/json')
  assert.deepEqual(metrics.calls.get('request'), [['logging/network', '200', 0]])
  assert.deepEqual(metrics.calls.get('bytes'), [[answer.bytesRead()]])
})

test('an answer in gzip counts its decoded bytes', async (t) => {
  const { api, source, signal } = await apiAndSource(t)
  const body = JSON.stringify({ logs: Array.from({ length: 2000 }, (_, index) => wireMessage(index)) })
  api.on(
    'logging/network',
    text(200, gzipSync(body), { 'content-type': 'application/json; charset=utf-8', 'content-encoding': 'gzip' }),
  )
  const answer = await source.open(WINDOW, signal)
  assert.equal((await runWorkers(answer)).nodeIds.length, 2000)
  assert.equal(answer.bytesRead(), body.length)
})

test('no messages are no error', async (t) => {
  const { api, source, signal } = await apiAndSource(t)
  for (const logs of [[], null]) {
    api.on('logging/network', json(200, { logs }))
    assert.deepEqual((await runWorkers(await source.open(WINDOW, signal))).nodeIds, [])
  }
})

test('a type that is not told does no harm', async (t) => {
  const { api, source, signal } = await apiAndSource(t)
  api.on('logging/network', (response) => void response.end('{"logs":[]}'))
  assert.deepEqual((await runWorkers(await source.open(WINDOW, signal))).nodeIds, [])
})

test('the clock of the API comes from the Date header of the same answer, and the skew is told', async (t) => {
  const { api, source, metrics, signal } = await apiAndSource(t)
  const cases: [string | undefined, bigint | undefined][] = [
    ['Mon, 02 Nov 2026 11:59:50 GMT', NOON_NS - 10_000_000_000n],
    ['yesterday', undefined],
    [undefined, undefined],
  ]
  for (const [date, serverNs] of cases) {
    api.on('logging/network', (response) => {
      response.sendDate = false
      response.writeHead(200, { 'content-type': 'application/json', ...(date ? { date } : {}) }).end('{"logs":[]}')
    })
    const answer = await source.open(WINDOW, signal)
    assert.equal(answer.serverNs, serverNs)
    await runWorkers(answer)
  }
  assert.deepEqual(metrics.calls.get('clockSkew'), [[10]])
})

test('windows one after the other share a connection', async (t) => {
  const { api, source, signal } = await apiAndSource(t)
  const gzipped = text(200, gzipSync('{"logs":[]}'), { 'content-type': 'application/json', 'content-encoding': 'gzip' })
  api.on('logging/network', json(200, { logs: [wireMessage()] }), gzipped, json(503, {}), json(200, { logs: [] }))
  await runWorkers(await source.open(WINDOW, signal))
  await runWorkers(await source.open(WINDOW, signal))
  await faultOf(source.open(WINDOW, signal))
  await runWorkers(await source.open(WINDOW, signal))
  assert.equal(api.socketsSeen(), 1)
})

test('an idle connection that the other side has closed is replaced without an error', async (t) => {
  const { api, source, metrics, signal } = await apiAndSource(t)
  const good = json(200, { logs: [] })
  // The second request meets a server that closes the connection as it comes in.
  api.on('logging/network', good, (_response, _asked, request) => void request.socket.destroy(), good)
  await runWorkers(await source.open(WINDOW, signal))
  await runWorkers(await source.open(WINDOW, signal))
  assert.equal(api.asked().length, 3)
  assert.deepEqual(metrics.calls.get('request'), [
    ['logging/network', '200', 0],
    ['logging/network', '200', 0],
  ])
})

test('each status has its code, its reaction and a text with the fix', async (t) => {
  const { api, source, signal } = await apiAndSource(t, { tailnet: 'T1234CNTRL' })
  api.on('settings', json(403, { message: 'no' }))
  const rows: [number, Code, Reaction, RegExp][] = [
    [201, 'api_not_json', 'retry', /proxy or portal/],
    [204, 'api_not_json', 'retry', /proxy or portal/],
    [206, 'api_not_json', 'retry', /proxy or portal/],
    [301, 'api_redirect', 'hold', /TAILSCALE_API_URL/],
    [304, 'api_redirect', 'hold', /TAILSCALE_API_URL/],
    [400, 'api_bad_request', 'hold', /TAILSCALE_TAILNET.*T1234CNTRL/],
    [401, 'api_unauthorized', 'hold', /90 days.*Settings > Keys.*TAILSCALE_API_KEY/],
    [403, 'api_forbidden', 'hold', /logs:network:read.*Network admin.*Logs > Network flow logs/],
    [404, 'api_not_found', 'hold', /TAILSCALE_TAILNET.*T1234CNTRL.*TAILSCALE_API_URL/],
    [408, 'api_timeout', 'split', /too slow/],
    [418, 'api_bad_request', 'hold', /report/],
    [429, 'api_rate_limited', 'retry', /later/],
    [500, 'api_unavailable', 'retry', /status\.tailscale\.com/],
    [502, 'api_gateway', 'split', /shorter/],
    [503, 'api_unavailable', 'retry', /status\.tailscale\.com/],
    [504, 'api_gateway', 'split', /shorter/],
    [599, 'api_unavailable', 'retry', /status\.tailscale\.com/],
  ]
  for (const [status, code, reaction, remedy] of rows) {
    // Other digits and words in the body change nothing.
    const body = status === 204 || status === 304 ? '' : 'Error 403 Forbidden, 404, 504'
    api.on('logging/network', text(status, body))
    const fault = await faultOf(source.open(WINDOW, signal))
    assert.equal(fault.code, code, `status ${status}`)
    assert.equal(fault.reaction, reaction, `status ${status}`)
    assert.equal(fault.stage, 'source')
    assert.match(fault.message, remedy)
    assert.match(fault.message, new RegExp(`\\b${status}\\b`))
    if (body) assert.ok(fault.message.includes(body), fault.message)
  }
})

test('a 403 asks the settings once: switched off is told apart from a missing scope', async (t) => {
  const { api, source, signal } = await apiAndSource(t)
  api.on(
    'logging/network',
    json(403, { message: 'calling actor does not have enough permissions to perform this function' }),
  )
  const rows: [Parameters<typeof api.on>[1], Code][] = [
    [json(200, { networkFlowLoggingOn: false }), 'api_feature_off'],
    [json(200, { networkFlowLoggingOn: true }), 'api_forbidden'],
    [json(200, { networkFlowLoggingOn: 'false' }), 'api_forbidden'],
    [json(200, {}), 'api_forbidden'],
    [json(200, null), 'api_forbidden'],
    [text(200, 'nope', { 'content-type': 'application/json' }), 'api_forbidden'],
    [json(403, {}), 'api_forbidden'],
    [json(500, {}), 'api_forbidden'],
  ]
  for (const [reply, code] of rows) {
    const before = api.asked('settings').length
    api.on('settings', reply)
    const fault = await faultOf(source.open(WINDOW, signal))
    assert.equal(fault.code, code)
    assert.equal(fault.reaction, 'hold')
    assert.equal(api.asked('settings').length, before + 1)
    if (code === 'api_feature_off') assert.match(fault.message, /switch them on in the admin console/)
  }
})

test('for an OAuth client the text names its scope and where it is given', async (t) => {
  const { api, source, signal } = await apiAndSource(t, {
    oauthClientId: 'kClient',
    oauthClientSecret: 'tskey-client-x',
  })
  api.on('oauth/token', json(200, { access_token: 'tskey-token', expires_in: 3600 }))
  api.on('logging/network', json(403, {}))
  assert.match(
    (await faultOf(source.open(WINDOW, signal))).message,
    /the scope logs:network:read in the admin console under Settings > OAuth clients/,
  )
})

test('Retry-After is read as seconds or date, and never leaves anybody waiting for more than ten minutes', async (t) => {
  const { api, source, signal } = await apiAndSource(t)
  const rows: [Record<string, string>, number | undefined][] = [
    [{ 'retry-after': '7' }, 7000],
    [{ 'retry-after': '0' }, 0],
    [{ 'retry-after': '86400' }, 600_000],
    [{ 'retry-after': '99999999999999999999999' }, 600_000],
    // Compared with the API's own clock, which here is a day behind ours.
    [{ 'retry-after': 'Sun, 01 Nov 2026 12:00:30 GMT', date: 'Sun, 01 Nov 2026 12:00:00 GMT' }, 30_000],
    [{ 'retry-after': 'Sun, 01 Nov 2026 11:00:00 GMT', date: 'Sun, 01 Nov 2026 12:00:00 GMT' }, 0],
    [{ 'retry-after': 'soon' }, undefined],
    [{ 'retry-after': '-5' }, undefined],
    [{}, undefined],
  ]
  for (const status of [429, 503]) {
    for (const [headers, ms] of rows) {
      api.on('logging/network', json(status, {}, headers))
      assert.equal((await faultOf(source.open(WINDOW, signal))).retryAfterMs, ms, JSON.stringify(headers))
    }
  }
  api.on('logging/network', json(400, {}, { 'retry-after': '7' }))
  assert.equal((await faultOf(source.open(WINDOW, signal))).retryAfterMs, undefined)
})

test('a page with status 200 is no empty answer', async (t) => {
  const { api, source, signal } = await apiAndSource(t)
  const page = '<html><body>Please\nsign in</body></html>'
  api.on('logging/network', text(200, page))
  const fault = await faultOf(source.open(WINDOW, signal))
  assert.equal(fault.code, 'api_not_json')
  assert.match(fault.message, /<html><body>Please sign in/)
  for (const body of [page, '{}', '{"message":"ok"}', '', '[]']) {
    api.on('logging/network', text(200, body, { 'content-type': 'application/json' }))
    assert.equal((await faultOf(source.open(WINDOW, signal).then(runWorkers))).code, 'api_not_json', body)
  }
})

test('a compression that was not asked for is refused', async (t) => {
  const { api, source, signal } = await apiAndSource(t)
  const body = brotliCompressSync('{"logs":[]}')
  api.on('logging/network', text(200, body, { 'content-type': 'application/json', 'content-encoding': 'br' }))
  assert.equal((await faultOf(source.open(WINDOW, signal))).code, 'api_not_json')
  assert.equal(api.asked()[0]?.headers['accept-encoding'], 'gzip')
})

test('a cache on the way is told not to answer by itself', async (t) => {
  const { api, source, signal } = await apiAndSource(t)
  api.on('logging/network', text(200, '{"logs":[]}', { 'content-type': 'application/json' }))
  await runWorkers(await source.open(WINDOW, signal))
  assert.equal(api.asked()[0]?.headers['cache-control'], 'no-cache')
})

test('texts of others are cut to 512 bytes, in one line', async (t) => {
  const { api, source, signal } = await apiAndSource(t)
  api.on('logging/network', text(500, `a\u0000\u001b[31mb\n{"level":60}\n${'x'.repeat(100_000)}`))
  const { message } = await faultOf(source.open(WINDOW, signal))
  assert.ok(message.length < 800, `${message.length}`)
  assert.doesNotMatch(message, /[\u0000-\u001f]/)
})

test('a redirect is not followed, and its target gets neither request nor credentials', async (t) => {
  const other = await startScriptedApi()
  t.after(() => other.close())
  const { api, source, signal } = await apiAndSource(t)
  for (const status of [301, 302, 303, 307, 308]) {
    api.on('logging/network', text(status, '', { location: `${other.url}/api/v2/there?token=${KEY}` }))
    const fault = await faultOf(source.open(WINDOW, signal))
    assert.equal(fault.code, 'api_redirect')
    assert.equal(fault.reaction, 'hold')
    assert.ok(fault.message.includes(`${other.url}/api/v2/there`), fault.message)
    assert.ok(!fault.message.includes(KEY))
  }
  assert.equal(other.socketsSeen(), 0)
})

test('no name of a tailnet leaves its place in the path', async (t) => {
  const api = await startScriptedApi()
  t.after(() => api.close())
  api.on('logging/network', json(200, { logs: [] }))
  const names = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 40 }),
    fc.constantFrom(
      '../..',
      '..',
      '.',
      '%2e%2e',
      'a/../../b',
      '-?start=x#',
      'user@example.com',
      'a b',
      'é/ü',
      '\\..\\',
      '//evil.example/',
    ),
  )
  await fc.assert(
    fc.asyncProperty(names, async (tailnet) => {
      const config = tailscaleSchema.safeParse({ apiUrl: api.url, apiKey: KEY, tailnet })
      if (!config.success) return
      const deps = { clock: createFakeClock(), log: silentLog, metrics: countingMetrics<SourceMetrics>() }
      const source = createTailscaleSource(config.data, deps)
      await runWorkers(await source.open(WINDOW, new AbortController().signal))
      await source.stop()
      const path = new URL(api.asked().at(-1)?.url ?? '', api.url).pathname.split('/')
      assert.deepEqual([...path.slice(0, 4), ...path.slice(5)], ['', 'api', 'v2', 'tailnet', 'logging', 'network'])
      assert.equal(decodeURIComponent(path[4] ?? ''), tailnet)
    }),
    { seed: SEED, numRuns: 40 },
  )
})

test('an API behind a path of its own is asked there', async (t) => {
  const { api } = await apiAndSource(t)
  api.on('logging/network', json(200, { logs: [] }))
  const deps = { clock: createFakeClock(), log: silentLog, metrics: countingMetrics<SourceMetrics>() }
  const source = createTailscaleSource(tailscaleSchema.parse({ apiUrl: `${api.url}/tailscale/`, apiKey: KEY }), deps)
  await runWorkers(await source.open(WINDOW, new AbortController().signal))
  await source.stop()
  assert.match(api.asked()[0]?.url ?? '', /^\/tailscale\/api\/v2\/tailnet\/-\/logging\/network\?/)
})

test('check can ask for the settings and the kind of sign-in', async (t) => {
  const { api, source, signal } = await apiAndSource(t)
  api.on('settings', json(200, { networkFlowLoggingOn: true, devicesApprovalOn: false }))
  assert.deepEqual(await source.settings(signal), { networkFlowLoggingOn: true })
  assert.deepEqual(await source.signIn(signal), { signIn: 'api_key', scopes: undefined })
})
