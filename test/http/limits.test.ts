import assert from 'node:assert/strict'
import { connect } from 'node:net'
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
