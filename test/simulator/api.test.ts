import assert from 'node:assert/strict'
import { test } from 'node:test'
import { gunzipSync } from 'node:zlib'
import { type Answered, jsonOf, KEY, LOGS, messagesOf, serve } from './ask.ts'
import { API_CREDENTIALS } from './credentials.ts'
import { assertSame, DAY, HOUR, MINUTE, NOON } from './ranges.ts'

const basic = (user: string, password = '') => `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`
const bearer = (token: string) => `Bearer ${token}`
const messageOf = (answer: Answered) => jsonOf<{ message: string }>(answer).message
const tokenOf = (answer: Answered) => jsonOf<{ access_token: string }>(answer).access_token
const RANGE = `?start=2026-11-02T12:00:00Z&end=2026-11-02T12:00:10Z`

test('logging/network gives the messages of the range, both ends included', async (t) => {
  const { tailnet, logs } = await serve(t)
  const toNs = NOON + 5n * MINUTE
  const answer = await logs(NOON, toNs)
  assert.equal(answer.status, 200)
  assert.equal(answer.headers['content-type'], 'application/json')
  assertSame(messagesOf(answer.body), [...tailnet.messages(NOON, toNs)])

  const { loggedNs } = [...tailnet.records(NOON, toNs)][100]!
  const count = async (fromNs: bigint, toNs: bigint) => messagesOf((await logs(fromNs, toNs)).body).length
  const at = await count(loggedNs, loggedNs)
  assert.ok(at >= 1)
  assert.equal(await count(loggedNs - 1n, loggedNs), at)
  assert.equal(await count(loggedNs, loggedNs + 1n), at)
  assert.equal(await count(loggedNs + 1n, loggedNs + 1n), 0)
  const whole = await count(NOON, toNs)
  assert.equal((await count(NOON, loggedNs)) + (await count(loggedNs, toNs)), whole + at, 'a shared bound counts twice')
})

test('an empty range is an empty list', async (t) => {
  const { logs } = await serve(t, { epochNs: NOON })
  assert.equal((await logs(NOON - HOUR, NOON - MINUTE)).body.toString(), '{"logs":[]}\n')
})

test('the range is understood in every form of RFC 3339, and refused in all others', async (t) => {
  const { ask } = await serve(t)
  const rangeOf = async (start: string, end: string) =>
    ask(`${LOGS}?start=${encodeURIComponent(start)}&end=${encodeURIComponent(end)}`, {
      headers: { authorization: KEY },
    })
  const usual = await rangeOf('2026-11-02T12:00:00Z', '2026-11-02T12:01:00Z')
  for (const [start, end] of [
    ['2026-11-02T12:00:00.000000000Z', '2026-11-02T12:01:00.0Z'],
    ['2026-11-02T13:00:00+01:00', '2026-11-02T05:31:00-06:30'],
  ] as const) {
    assert.deepEqual((await rangeOf(start, end)).body, usual.body)
  }
  for (const [start, end] of [
    ['2026-11-02', '2026-11-02T12:01:00Z'],
    ['', '2026-11-02T12:01:00Z'],
    ['2026-11-02T12:00:00Z', '1793620800'],
    ['2026-11-02T12:00:00', '2026-11-02T12:01:00Z'],
    ['2026-13-02T12:00:00Z', '2026-11-02T12:01:00Z'],
    ['2026-11-02T12:01:00Z', '2026-11-02T12:00:00Z'],
  ] as const) {
    const answer = await rangeOf(start, end)
    assert.equal(answer.status, 400, start)
    assert.ok(messageOf(answer).length > 0)
  }
})

test('nothing later than now, nothing older than the retention', async (t) => {
  const nowNs = NOON + 2n * MINUTE
  const { tailnet, logs } = await serve(t, {}, { nowNs: () => nowNs, retentionDays: 1 })
  const later = messagesOf((await logs(NOON, NOON + DAY)).body)
  assertSame(later, [...tailnet.messages(NOON, nowNs)])
  const older = messagesOf((await logs(nowNs - DAY - HOUR, nowNs - DAY + MINUTE)).body)
  assertSame(older, [...tailnet.messages(nowNs - DAY, nowNs - DAY + MINUTE)])
  assert.equal(messagesOf((await logs(nowNs - 2n * DAY, nowNs - DAY - 1n)).body).length, 0)
})

test('what appears late is in a later response', async (t) => {
  let nowNs = NOON + 2n * MINUTE
  const visibilityDelay = ({ slot }: { slot: number }) => (slot % 2 === 0 ? 0n : 10n * MINUTE)
  const { tailnet, logs } = await serve(t, { visibilityDelay }, { nowNs: () => nowNs })
  const early = messagesOf((await logs(NOON, NOON + MINUTE)).body)
  nowNs += 10n * MINUTE
  const all = messagesOf((await logs(NOON, NOON + MINUTE)).body)
  assertSame(all, [...tailnet.messages(NOON, NOON + MINUTE)])
  assert.ok(early.length < all.length && early.every((text) => all.includes(text)))
})

test('the Date header is the clock of the API, in whole seconds, also on refusals', async (t) => {
  const { ask, logs } = await serve(t, {}, { nowNs: () => NOON + 999_999_999n })
  assert.equal((await logs(NOON, NOON)).headers.date, 'Mon, 02 Nov 2026 12:00:00 GMT')
  assert.equal((await ask(LOGS)).headers.date, 'Mon, 02 Nov 2026 12:00:00 GMT')
})

test('answers are compressed for those who take it', async (t) => {
  const { logs } = await serve(t)
  const toNs = NOON + 5n * MINUTE
  const plain = await logs(NOON, toNs)
  assert.equal(plain.headers['content-encoding'], undefined)
  const zipped = await logs(NOON, toNs, { headers: { 'accept-encoding': 'br, gzip, deflate' } })
  assert.equal(zipped.headers['content-encoding'], 'gzip')
  assert.ok(zipped.body.length < plain.body.length / 2)
  assert.ok(gunzipSync(zipped.body).equals(plain.body))
})

test('keys as user name or token; everything else is refused', async (t) => {
  const { ask } = await serve(t)
  const status = async (authorization?: string) =>
    (await ask(LOGS + RANGE, { headers: authorization === undefined ? {} : { authorization } })).status
  assert.equal(await status(basic('tskey-api-demo')), 200)
  assert.equal(await status(bearer('tskey-api-demo')), 200)
  for (const wrong of [
    undefined,
    '',
    basic('tskey-api-other'),
    bearer('x'),
    basic('', 'tskey-api-demo'),
    'Basic ?',
    'tskey-api-demo',
  ])
    assert.equal(await status(wrong), 401, String(wrong))
  // The secret of a client is no token, and the API does not say so.
  assert.equal(await status(bearer('tskey-client-demo')), 403)
})

test('OAuth clients get tokens that end', async (t) => {
  const { ask, server } = await serve(t, {}, { tokenLifeSeconds: 3600 })
  const post = (form: Record<string, string>, headers: Record<string, string> = {}) =>
    ask('/api/v2/oauth/token', { form, headers })
  const answer = await post({ client_id: 'demo', client_secret: 'tskey-client-demo', grant_type: 'client_credentials' })
  const { access_token: token, ...rest } = jsonOf<Record<string, unknown>>(answer)
  assert.deepEqual(rest, { token_type: 'Bearer', expires_in: 3600, scope: 'logs:network:read devices:core:read' })
  const status = async (value: string) =>
    (await ask(LOGS + RANGE, { headers: { authorization: bearer(value) } })).status
  assert.equal(await status(String(token)), 200)
  const byBasic = await post(
    { grant_type: 'client_credentials' },
    { authorization: basic('demo', 'tskey-client-demo') },
  )
  assert.equal(await status(tokenOf(byBasic)), 200)
  assert.equal((await post({ client_id: 'demo', client_secret: 'wrong' })).status, 401)
  assert.equal((await post({ client_id: 'other', client_secret: 'tskey-client-demo' })).status, 401)
  const refused = await post({ client_id: 'demo', client_secret: 'tskey-client-demo', scope: 'all:read' })
  assert.equal(refused.status, 403)
  assert.equal(messageOf(refused), 'OAuth client cannot grant scopes "all:read"')
  server.expireTokens()
  assert.equal(await status(String(token)), 401)

  const brief = await serve(t, {}, { tokenLifeSeconds: 0 })
  const over = await brief.ask('/api/v2/oauth/token', {
    form: { client_id: 'demo', client_secret: 'tskey-client-demo' },
  })
  assert.equal((await brief.ask(LOGS + RANGE, { headers: { authorization: bearer(tokenOf(over)) } })).status, 401)
})

test('a workload trades its ID token', async (t) => {
  const { ask } = await serve(t)
  const { id, jwt } = API_CREDENTIALS.workloads[0]
  const post = (form: Record<string, string>) => ask('/api/v2/oauth/token-exchange', { form })
  const token = tokenOf(await post({ client_id: id, jwt }))
  assert.equal((await ask(LOGS + RANGE, { headers: { authorization: bearer(token) } })).status, 200)
  assert.equal((await post({ client_id: id, jwt: 'other' })).status, 401)
})

test('each right needs its scope, in the new or the old form', async (t) => {
  const scopes = [
    'logs:network:read',
    'devices:core:read',
    'feature_settings:read',
    'network-logs:read',
    'devices:read',
    'all:read',
    'users:read',
  ]
  const oauthClients = scopes.map((scope) => ({ id: scope, secret: `secret-${scope}`, scopes: [scope] }))
  const { ask } = await serve(t, {}, { credentials: { oauthClients } })
  const allowed: Record<string, string> = {}
  for (const { id, secret } of oauthClients) {
    const token = tokenOf(await ask('/api/v2/oauth/token', { form: { client_id: id, client_secret: secret } }))
    const statuses: number[] = []
    for (const path of [`logging/network${RANGE}`, 'devices', 'settings'])
      statuses.push((await ask(`/api/v2/tailnet/-/${path}`, { headers: { authorization: bearer(token) } })).status)
    allowed[id] = statuses.join(' ')
  }
  assert.deepEqual(allowed, {
    'logs:network:read': '200 403 200',
    'devices:core:read': '403 200 403',
    'feature_settings:read': '403 403 200',
    'network-logs:read': '200 403 403',
    'devices:read': '403 200 403',
    'all:read': '200 200 200',
    'users:read': '403 403 403',
  })
})

test('the tailnet by its name or as the default one, and no other', async (t) => {
  const { ask, tailnet, server } = await serve(t)
  const status = async (path: string, method = 'GET') =>
    (await ask(path, { method, headers: { authorization: KEY } })).status
  assert.equal(await status(`/api/v2/tailnet/${encodeURIComponent(tailnet.name)}/settings`), 200)
  const { networkFlowLoggingOn } = jsonOf<Record<string, unknown>>(
    await ask('/api/v2/tailnet/-/settings', { headers: { authorization: KEY } }),
  )
  assert.equal(networkFlowLoggingOn, true)
  for (const path of [
    '/api/v2/tailnet/other.example/settings',
    '/api/v2/tailnet/-/users',
    '/api/v2/tailnet/%ff/settings',
    '/',
    '//',
    '/api/v2/tailnet/-/logging/network/stream',
  ])
    assert.equal(await status(path), 404, path)
  assert.equal(await status('/api/v2/tailnet/-/settings', 'DELETE'), 404)
  assert.equal(await status(LOGS + RANGE), 200, 'and it still works')
  assert.equal(server.count('settings'), 4)
})

test('devices are those of the tailnet', async (t) => {
  const { ask, tailnet } = await serve(t, { hostile: true })
  const answer = await ask('/api/v2/tailnet/-/devices', { headers: { authorization: KEY } })
  const { devices } = jsonOf<{ devices: unknown[] }>(answer)
  assert.deepEqual(
    devices,
    [...tailnet.devices(NOON + HOUR)].map((text) => JSON.parse(text)),
  )
})

test('requests are recorded with their outcome', async (t) => {
  const { logs, server } = await serve(t, { nodes: 500 })
  const next = server.nextRequest(({ window }) => window?.fromNs === NOON)
  const answer = await logs(NOON, NOON + MINUTE)
  const request = await next
  assert.equal(request.outcome, 'done')
  assert.equal(request.status, 200)
  assert.equal(request.bytes, answer.body.length)
  assert.equal(request.messages, messagesOf(answer.body).length)
  assert.deepEqual(request.window, { fromNs: NOON, toNs: NOON + MINUTE })
  const left = server.nextRequest()
  await logs(NOON, NOON + 30n * MINUTE, { leaveAfterBytes: 1000 }).catch(() => undefined)
  const { messages } = await left
  while ((await left).outcome === 'open') await new Promise(setImmediate)
  assert.equal((await left).outcome, 'broken')
  assert.ok(messages < 1000, 'what nobody reads is not made')
  assert.equal(server.count('logs'), 2)
})
