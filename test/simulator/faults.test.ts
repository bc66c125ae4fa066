import assert from 'node:assert/strict'
import { test } from 'node:test'
import { constants, gunzipSync } from 'node:zlib'
import { jsonOf, KEY, messagesOf, serve, timeText } from './ask.ts'
import type { Fault } from './faults.ts'
import { MINUTE, NOON, SECOND } from './ranges.ts'

const TO = NOON + 2n * MINUTE

test('another status with its text and Retry-After', async (t) => {
  const { logs, server } = await serve(t)
  const message = 'no'
  server.setFault({ kind: 'status', status: 429, retryAfter: '7', times: 2 })
  const first = await logs(NOON, TO)
  assert.deepEqual(
    [first.status, first.headers['retry-after'], jsonOf(first)],
    [429, '7', { message: 'too many requests' }],
  )
  assert.equal((await logs(NOON, TO)).status, 429)
  assert.equal((await logs(NOON, TO)).status, 200, 'only twice')
  const end = server.setFault({ kind: 'status', status: 502, body: message })
  assert.deepEqual([(await logs(NOON, TO)).status, (await logs(NOON, TO)).body.toString()], [502, message])
  end()
  assert.equal((await logs(NOON, TO)).status, 200, 'switched off')
})

test('a fault stays on its route, and on the windows that it is about', async (t) => {
  const { ask, logs, server } = await serve(t)
  const devices = async () => (await ask('/api/v2/tailnet/-/devices', { headers: { authorization: KEY } })).status
  server.setFault({ kind: 'status', status: 500, route: 'devices' })
  assert.deepEqual([await devices(), (await logs(NOON, TO)).status], [500, 200])
  server.clearFaults()
  assert.equal(await devices(), 200)
  server.setFault({ kind: 'status', status: 504, longerThanMs: 60_000 })
  assert.equal((await logs(NOON, NOON + MINUTE)).status, 200)
  assert.equal((await logs(NOON, NOON + MINUTE + 1n)).status, 504)
  server.clearFaults()
  server.setFault({ kind: 'status', status: 504, overlaps: { fromNs: NOON + SECOND, toNs: NOON + 2n * SECOND } })
  assert.equal((await logs(NOON, NOON + SECOND)).status, 504)
  assert.equal((await logs(NOON, NOON + SECOND - 1n)).status, 200)
  assert.equal((await logs(NOON + 2n * SECOND, TO)).status, 504)
  assert.equal((await logs(NOON + 2n * SECOND + 1n, TO)).status, 200)
})

test('a web page instead of JSON', async (t) => {
  const { logs, server } = await serve(t)
  server.setFault({ kind: 'html' })
  const { status, headers, body } = await logs(NOON, TO)
  assert.deepEqual([status, headers['content-type']], [200, 'text/html'])
  assert.match(body.toString(), /^<!doctype html>/)
})

test('a body that ends too early, with or without a proper end, compressed or not', async (t) => {
  const { logs, server } = await serve(t)
  const whole = (await logs(NOON, TO)).body
  const gzip = { headers: { 'accept-encoding': 'gzip' } }
  const table: [Fault, number][] = [
    [{ kind: 'truncate', afterBytes: 1000 }, 1000],
    [{ kind: 'truncate', afterBytes: 1000, clean: true }, 1000],
    [{ kind: 'truncate', fraction: 0.5 }, Math.floor(whole.length / 2)],
    [{ kind: 'truncate', fraction: 0.999, clean: true }, Math.floor(whole.length * 0.999)],
  ]
  for (const [fault, bytes] of table) {
    const end = server.setFault(fault)
    const clean = 'clean' in fault && fault.clean === true
    const plain = await logs(NOON, TO)
    assert.equal(plain.status, 200)
    assert.equal(plain.complete, clean)
    assert.ok(whole.subarray(0, bytes).equals(plain.body), `${plain.body.length} bytes of ${bytes}`)
    const zipped = await logs(NOON, TO, gzip)
    assert.equal(zipped.complete, clean)
    // What was made before the break is there, though the compressed stream has no end.
    const decoded = gunzipSync(zipped.body, { finishFlush: constants.Z_SYNC_FLUSH })
    assert.ok(decoded.equals(whole.subarray(0, bytes)), `${decoded.length} bytes of ${bytes}`)
    end()
  }
})

test('hanging before the head, or in mid-body, until the client leaves', async (t) => {
  const { logs, server } = await serve(t)
  server.setFault({ kind: 'hang-head', times: 1 })
  const leaving = new AbortController()
  const arrived = server.nextRequest()
  const hanging = logs(NOON, TO, { signal: leaving.signal })
  assert.equal((await arrived).status, 0)
  leaving.abort()
  await assert.rejects(hanging)
  server.setFault({ kind: 'hang-body', afterBytes: 5000, times: 1 })
  const half = await logs(NOON, TO, { leaveAfterBytes: 5000 })
  assert.deepEqual([half.status, half.body.length, half.complete], [200, 5000, false])
  assert.equal((await logs(NOON, TO)).complete, true)
})

test('a connection that breaks at once', async (t) => {
  const { logs, server } = await serve(t)
  server.setFault({ kind: 'reset', times: 1 })
  await assert.rejects(logs(NOON, TO), { code: 'ECONNRESET' })
  assert.equal((await logs(NOON, TO)).status, 200)
})

test('a body that drips, and one with garbage in the middle', async (t) => {
  const { logs, server } = await serve(t)
  const whole = (await logs(NOON, NOON + SECOND)).body
  server.setFault({ kind: 'drip', bytes: 500, everyMs: 1, times: 1 })
  assert.ok((await logs(NOON, NOON + SECOND)).body.equals(whole))
  server.setFault({ kind: 'garbage', afterBytes: 100, times: 1 })
  const spoiled = await logs(NOON, NOON + SECOND)
  assert.ok(spoiled.complete && spoiled.body.length > whole.length)
  assert.ok(
    spoiled.body.subarray(0, 100).equals(whole.subarray(0, 100)) &&
      spoiled.body.subarray(-100).equals(whole.subarray(-100)),
  )
  assert.throws(() => JSON.parse(spoiled.body.toString()))
})

test('flow logs switched off: the settings say so', async (t) => {
  const { ask, logs, server } = await serve(t)
  const settings = async () =>
    jsonOf<{ networkFlowLoggingOn: boolean }>(
      await ask('/api/v2/tailnet/-/settings', { headers: { authorization: KEY } }),
    )
  const end = server.setFault({ kind: 'feature-off' })
  assert.equal((await logs(NOON, TO)).status, 403)
  assert.equal((await settings()).networkFlowLoggingOn, false)
  end()
  assert.equal((await logs(NOON, TO)).status, 200)
  assert.equal((await settings()).networkFlowLoggingOn, true)
})

test('another Date header, or none', async (t) => {
  const { logs, server } = await serve(t)
  server.setFault({ kind: 'date', value: 'yesterday', times: 1 })
  server.setFault({ kind: 'date', value: undefined, times: 2 })
  assert.equal((await logs(NOON, TO)).headers.date, undefined)
  const answer = await logs(NOON, TO)
  assert.equal(answer.headers.date, undefined)
  assert.equal(messagesOf(answer.body).length > 0, true)
  server.setFault({ kind: 'date', value: 'yesterday' })
  assert.equal((await logs(NOON, TO)).headers.date, 'yesterday')
})

test('paths that are none, and an answer that breaks at its first byte: the server lives on', async (t) => {
  const { ask, logs, server } = await serve(t)
  for (const path of [
    '/%',
    '/api/v2/tailnet/%E0%A4%A/logging/network',
    `/api/v2/tailnet/-/logging/network?start=${timeText(NOON)}&end=%`,
  ])
    assert.ok((await ask(path, { headers: { authorization: KEY } })).status >= 400, path)
  server.setFault({ kind: 'truncate', afterBytes: 0, times: 1 })
  assert.equal((await logs(NOON, TO)).complete, false)
  assert.equal((await logs(NOON, TO)).complete, true)
})
