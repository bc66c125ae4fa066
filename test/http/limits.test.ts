import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, Socket } from 'node:net'
import { test } from 'node:test'
import { serve, TOKEN } from './serve.ts'

/** Sends raw text, and resolves with everything that came back when the server closed the connection. */
function raw(port: number, ...pieces: string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1')
    let got = ''
    socket.setEncoding('utf8')
    socket.on('data', (text) => {
      got += text
    })
    socket.on('close', () => resolve(got))
    // The server may close while we still send.
    socket.on('error', (error: Error & { code?: string }) => {
      if (error.code !== 'EPIPE' && error.code !== 'ECONNRESET') reject(error)
    })
    for (const piece of pieces) socket.write(piece)
  })
}

const HEAD = 'GET /livez HTTP/1.1\r\nhost: localhost\r\n'

test('a request that never ends its head is closed with 408', async (t) => {
  const { port, get } = await serve(t, { limits: { requestTimeoutMs: 200 } })
  assert.match(await raw(port, `${HEAD}x-slow: 1\r\n`), /^HTTP\/1\.1 408 /)
  assert.equal((await get('/livez')).status, 200)
})

test('a body that never comes is closed with 408', async (t) => {
  const { port } = await serve(t, { token: TOKEN, limits: { requestTimeoutMs: 200 } })
  const answer = await raw(
    port,
    `POST /api/run HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer ${TOKEN}\r\ncontent-length: 100\r\n\r\nabc`,
  )
  assert.match(answer, /^HTTP\/1\.1 408 /)
})

test('a silent connection is closed', async (t) => {
  const { port } = await serve(t, { limits: { connectionTimeoutMs: 100, requestTimeoutMs: 60_000 } })
  await raw(port)
})

test('a body over 1 KiB is refused, one below is read and ignored', async (t) => {
  const { get } = await serve(t, { token: TOKEN })
  const post = (body: string, type: string) =>
    get('/api/run', { method: 'POST', body, headers: { authorization: `Bearer ${TOKEN}`, 'content-type': type } })
  assert.equal((await post('{"__proto__":1}', 'application/json')).status, 200)
  assert.equal((await post('', 'application/json')).status, 200)
  assert.equal((await post('not json', 'application/json')).status, 200)
  const big = await post('x'.repeat(1_025), 'text/plain')
  assert.equal(big.status, 413)
  assert.equal(((await big.json()) as { status: number }).status, 413)
})

test('ten thousand headers are refused with 431, and the service goes on', async (t) => {
  const { port, get } = await serve(t)
  const headers = Array.from({ length: 10_000 }, (_, index) => `x-${index}: 1\r\n`).join('')
  const warnings: Error[] = []
  const note = (warning: Error) => warnings.push(warning)
  process.on('warning', note)
  t.after(() => process.off('warning', note))
  assert.match(await raw(port, `${HEAD}${headers}\r\n`), /^HTTP\/1\.1 431 /)
  assert.match(await raw(port, `GET /${'a'.repeat(20_000)} HTTP/1.1\r\nhost: localhost\r\n\r\n`), /^HTTP\/1\.1 431 /)
  assert.equal((await get('/livez')).status, 200)
  assert.deepEqual(warnings, [], 'the parser finds many errors in one request')
})

test('what is no HTTP is answered with 400 and closed', async (t) => {
  const { port } = await serve(t)
  for (const text of ['\u0016\u0003\u0001\r\n\r\n', 'GET\r\n\r\n', 'GET / HTTP/9.9\r\n\r\n']) {
    assert.match(await raw(port, text), /^HTTP\/1\.1 400 /, JSON.stringify(text))
  }
})

test('other methods are refused with 405', async (t) => {
  const { get } = await serve(t)
  for (const method of ['PUT', 'DELETE', 'PATCH', 'OPTIONS']) {
    for (const path of ['/', '/api/status', '/livez', '/nothing']) {
      const answer = await get(path, { method })
      assert.equal(answer.status, 405, `${method} ${path}`)
      assert.equal(answer.headers.get('allow'), 'GET, HEAD, POST')
    }
  }
  assert.equal((await get('/metrics', { method: 'HEAD' })).status, 200)
})

/** What a client may send on each of very many connections, and then hold. */
const HELD: Readonly<Record<string, string>> = {
  nothing: '',
  'half a head': HEAD,
  'half a body': 'POST /api/run HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\nabc',
  'a request, and reads no answer': 'GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n',
  'an event stream': 'GET /api/events HTTP/1.1\r\nhost: localhost\r\n\r\n',
  'flows that take for ever': 'GET /api/flows HTTP/1.1\r\nhost: localhost\r\n\r\n',
}

test('300 connections of one client keep no probe out, whatever they do, also when each comes back at once', async (t) => {
  const { port, get } = await serve(t, {
    metrics: { render: async () => 'x'.repeat(100_000), contentType: 'text/plain' },
    flows: (_request, signal) =>
      new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
  })
  for (const [what, text] of Object.entries(HELD)) {
    let isOver = false
    let again = 0
    const open = new Set<Socket>()
    const hold = () => {
      const socket = connect(port, '127.0.0.1')
      open.add(socket)
      socket.on('error', () => undefined)
      socket.write(text)
      socket.on('close', () => {
        open.delete(socket)
        if (isOver) return
        again += 1
        setImmediate(hold)
      })
      if (what !== 'a request, and reads no answer') socket.resume()
    }
    for (let i = 0; i < 300; i++) hold()
    await once([...open].at(-1) ?? new Socket(), 'connect')
    for (const path of ['/livez', '/readyz', '/health', '/metrics', '/livez'])
      assert.equal((await get(path, { headers: { connection: 'close' } })).status, 200, `${what}: ${path}`)
    // Who does not read does not see the end either.
    if (!what.endsWith('no answer')) assert.ok(again > 0, `${what}: no connection was closed`)
    isOver = true
    for (const socket of open) socket.destroy()
  }
})

test('a probe is answered while requests in progress fill every place and other clients come and go', async (t) => {
  const { port, get } = await serve(t, {
    metrics: { render: async () => 'x'.repeat(1_000_000), contentType: 'text/plain' },
  })
  const open = new Set<Socket>()
  let isOver = false
  t.after(() => {
    isOver = true
    for (const socket of open) socket.destroy()
  })
  function hold(text: string, isReading: boolean): Socket {
    const socket = connect(port, '127.0.0.1')
    open.add(socket)
    socket.on('error', () => undefined)
    socket.on('close', () => {
      open.delete(socket)
      if (!isOver) setImmediate(hold, text, isReading)
    })
    socket.write(text)
    if (isReading) socket.resume()
    return socket
  }
  const busy = Array.from({ length: 300 }, () => hold('GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n', false))
  await Promise.all(busy.map((socket) => once(socket, 'connect')))
  for (let i = 0; i < 200; i++) hold(HEAD, true)
  for (let round = 0; round < 20; round++)
    for (const path of ['/livez', '/readyz', '/health'])
      assert.equal((await get(path, { headers: { connection: 'close' } })).status, 200, path)
})
