import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { test } from 'node:test'
import { createFakeClock } from '../helpers/fake-clock.ts'
import { readEvent, serve, someStatus } from './serve.ts'

test('a client gets a snapshot at once, each two seconds, and whenever health changes', async (t) => {
  const clock = createFakeClock()
  let lagSeconds = 1
  const { url, health } = await serve(t, { clock, status: () => ({ ...someStatus, lagSeconds }) })
  const answer = await fetch(`${url}/api/events`)
  assert.equal(answer.headers.get('content-type'), 'text/event-stream; charset=utf-8')
  const body = answer.body!.values({ preventCancel: true })
  assert.match(await readEvent(body, () => true), /"lagSeconds":1,/)

  lagSeconds = 2
  await clock.advance(2_100)
  assert.match(await readEvent(answer.body!.values({ preventCancel: true }), () => true), /"lagSeconds":2,/)

  health.set('sink', 'error', 'db_unauthorized', 'The token is wrong.')
  await clock.advance(150)
  assert.match(await readEvent(answer.body!.values({ preventCancel: true }), () => true), /db_unauthorized/)
  await answer.body!.cancel()
})

test('the page gets its parts as HTML', async (t) => {
  const { url } = await serve(t)
  const answer = await fetch(`${url}/api/events?as=page`)
  const data = await readEvent(answer.body!, () => true)
  for (const id of ['headline', 'problems', 'line', 'progress', 'now', 'next'])
    assert.match(data, new RegExp(`id="${id}"`))
})

test('clients are bounded, and a place is free again when one goes', async (t) => {
  const { url } = await serve(t, { limits: { eventClientsMax: 2 } })
  const going = new AbortController()
  const first = await fetch(`${url}/api/events`, { signal: going.signal })
  const second = await fetch(`${url}/api/events`)
  const third = await fetch(`${url}/api/events`)
  assert.equal(third.status, 503)
  assert.equal(third.headers.get('retry-after'), '10')
  await third.body?.cancel()
  going.abort()
  await first.text().catch(() => undefined)
  let next = await fetch(`${url}/api/events`)
  while (next.status === 503) {
    await next.body?.cancel()
    next = await fetch(`${url}/api/events`)
  }
  assert.equal(next.status, 200)
  await next.body?.cancel()
  await second.body?.cancel()
})

test('stop ends streams and idle connections at once', async (t) => {
  const { url, port, server } = await serve(t)
  const stream = await fetch(`${url}/api/events`)
  const idle = connect(port, '127.0.0.1')
  await once(idle, 'connect')
  const half = connect(port, '127.0.0.1')
  half.write('GET / HTTP/1.1\r\nhost: localhost\r\n')
  await once(half, 'connect')
  for (const socket of [idle, half]) socket.on('error', () => undefined).resume()
  const closed = Promise.all([idle, half].map((socket) => new Promise((resolve) => socket.on('close', resolve))))
  await server.stop()
  await closed
  await stream.text().catch(() => undefined)
  await assert.rejects(fetch(`${url}/livez`))
})

test('a status that fails ends the stream, not the service', async (t) => {
  let fails = false
  const clock = createFakeClock()
  const { url, get } = await serve(t, {
    clock,
    status: () => {
      if (fails) throw new Error('the state file is gone')
      return someStatus
    },
  })
  const stream = await fetch(`${url}/api/events`)
  fails = true
  await clock.advance(2_100)
  await stream.text().catch(() => undefined)
  assert.equal((await get('/livez')).status, 200)
})
