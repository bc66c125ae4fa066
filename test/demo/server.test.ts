import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { createDemoServer, DEMO_CLIENT } from '../../src/demo/server.ts'
import { createDemoTailnet, type DemoTailnet } from '../../src/demo/tailnet.ts'
import { messagesOf } from '../simulator/ask.ts'
import { assertSame, HOUR, MINUTE, NOON } from '../simulator/ranges.ts'

const LOGS = '/api/v2/tailnet/-/logging/network'
const FORM = { client_id: DEMO_CLIENT.id, client_secret: DEMO_CLIENT.secret, grant_type: 'client_credentials' }

async function serve(t: TestContext, tailnet = createDemoTailnet({ seed: 1, nodes: 20 })) {
  const server = createDemoServer(tailnet, () => NOON + HOUR)
  const url = await server.start()
  t.after(() => server.stop())
  const signIn = (form: Record<string, string>) =>
    fetch(`${url}/api/v2/oauth/token`, { method: 'POST', body: new URLSearchParams(form) })
  const { access_token: token } = (await (await signIn(FORM)).json()) as { access_token: string }
  const get = (path: string, authorization = `Bearer ${token}`) => fetch(url + path, { headers: { authorization } })
  const logs = async (start: string, end: string) =>
    get(`${LOGS}?start=${encodeURIComponent(start)}&end=${encodeURIComponent(end)}`)
  return { tailnet, server, signIn, get, logs }
}

const messageOf = async (response: Response) => ((await response.json()) as { message: string }).message
const listOf = async (response: Response) => messagesOf(Buffer.from(await response.arrayBuffer()))

test('flow logs are the messages of the range, both ends included', async (t) => {
  const { tailnet, logs } = await serve(t)
  const response = await logs('2026-11-02T12:00:00Z', '2026-11-02T12:05:00.000000000Z')
  assert.equal(response.status, 200)
  assert.equal(response.headers.get('content-type'), 'application/json')
  const messages = [...tailnet.messages(NOON, NOON + 5n * MINUTE)]
  assertSame(await listOf(response), messages)
  const logged = JSON.parse(messages[50] ?? '').logged as string
  const atOnce = await listOf(await logs(logged, logged))
  assert.ok(atOnce.includes(messages[50] ?? ''))
  assertSame(await listOf(await logs('2026-11-02T13:00:00+01:00', '2026-11-02T05:35:00-06:30')), messages)
})

test('nothing is shown before it is logged, and an empty range is an empty list', async (t) => {
  const { tailnet, logs } = await serve(t)
  const day = await listOf(await logs('2026-11-02T12:50:00Z', '2026-11-03T12:00:00Z'))
  assertSame(day, [...tailnet.messages(NOON + 50n * MINUTE, NOON + HOUR)])
  assert.ok([...tailnet.messages(NOON + HOUR, NOON + HOUR + MINUTE)].length > 0)
  assert.equal(await (await logs('2026-11-03T12:00:00Z', '2026-11-03T13:00:00Z')).text(), '{"logs":[]}\n')
})

test('a range that is no range is refused with its reason', async (t) => {
  const { get, logs } = await serve(t)
  for (const [start, end] of [
    ['2026-11-02', '2026-11-02T12:01:00Z'],
    ['2026-11-02T12:00:00Z', '1793620800'],
    ['2026-13-02T12:00:00Z', '2026-11-02T12:01:00Z'],
  ] as const) {
    const response = await logs(start, end)
    assert.equal(response.status, 400, start)
    assert.match(await messageOf(response), /date-time/)
  }
  assert.match(await messageOf(await get(LOGS)), /start/)
})

test('devices are the nodes of the tailnet', async (t) => {
  const { tailnet, get } = await serve(t)
  const { devices } = (await (await get('/api/v2/tailnet/-/devices')).json()) as { devices: unknown[] }
  const listed = tailnet.devices(NOON + HOUR)
  assert.deepEqual(
    devices,
    [...listed].map((text) => JSON.parse(text)),
  )
})

test('only the OAuth client gets a token, and only the token opens the rest', async (t) => {
  const { signIn, get } = await serve(t)
  const { access_token, ...rest } = (await (await signIn(FORM)).json()) as Record<string, unknown>
  assert.deepEqual(rest, { token_type: 'Bearer', expires_in: 3600 })
  for (const wrong of [{ client_id: 'other' }, { client_secret: 'wrong' }]) {
    const response = await signIn({ ...FORM, ...wrong })
    assert.deepEqual([response.status, await messageOf(response)], [401, 'API token invalid'])
  }
  for (const path of [LOGS, '/api/v2/tailnet/-/devices']) {
    for (const wrong of ['', 'Bearer x', `Basic ${String(access_token)}`]) {
      const response = await get(path, wrong)
      assert.deepEqual([response.status, await messageOf(response)], [401, 'API token invalid'], wrong)
    }
  }
  assert.equal((await get('/api/v2/tailnet/-/settings')).status, 404)
})

test('a client that leaves ends the computing of its response, and so does stop', async (t) => {
  let ended = 0
  const left = Promise.withResolvers<void>()
  const endless: DemoTailnet = {
    *messages() {
      try {
        for (;;) yield `{"logged":"${'x'.repeat(1000)}"}`
      } finally {
        ended += 1
        left.resolve()
      }
    },
    devices: () => [],
  }
  const { server, logs } = await serve(t, endless)
  const read = async () => {
    const reader = (await logs('2026-11-02T00:00:00Z', '2026-11-02T13:00:00Z')).body?.getReader()
    assert.equal((await reader?.read())?.done, false)
    return reader
  }
  await (await read())?.cancel()
  await left.promise
  const reader = await read()
  await server.stop()
  const readAll = async () => {
    while (!(await reader?.read())?.done);
  }
  await assert.rejects(readAll(), { name: 'TypeError' })
  assert.equal(ended, 2)
})
