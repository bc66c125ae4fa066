/** The transport that the client library is given: it keeps the contract of the library's interface. */
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { test } from 'node:test'
import { createClient, refusedAnswer } from '../../../src/sink/influxdb/client.ts'
import { influxWorld, live, someLines } from './influx-world.ts'
import { fault, OK, startScriptedInflux } from './scripted-influx.ts'

const { setLogger } = createRequire(import.meta.url)(
  '@influxdata/influxdb-client',
) as typeof import('@influxdata/influxdb-client')
setLogger({ error: () => undefined, warn: () => undefined })

test('the library writes and reads over it: 204 resolves, a refusal rejects with its status, text and headers', async () => {
  const asked: { path: string; body: string; method: string }[] = []
  let answer = { status: 204, headers: {}, body: '' } as {
    status: number
    headers: Record<string, string>
    body: string
  }
  const client = createClient('http://unused.example', async (path, body, { method }) => {
    asked.push({ path, body: String(body), method })
    return answer
  })
  const write = async () => {
    const api = client.getWriteApi('org', 'flows', 'ns', { flushInterval: 0, maxRetries: 0 })
    api.writeRecord('m f=1i 1')
    await api.flush()
  }
  await write()
  const path = '/api/v2/write?org=org&bucket=flows&precision=ns'
  assert.deepEqual(asked, [{ path, body: 'm f=1i 1', method: 'POST' }])
  answer = { status: 429, headers: { 'retry-after': '7' }, body: 'slow down' }
  const error = await write().catch((reason: unknown) => reason)
  assert.deepEqual(refusedAnswer(error), answer)
  assert.equal(refusedAnswer(new Error('no answer')), undefined)
  answer = { status: 200, headers: { 'content-type': 'text/csv' }, body: 'a,b\n1,2' }
  const chunks = await Array.fromAsync(client.transport.iterate('/x', '', { method: 'GET' }))
  assert.equal(Buffer.concat(chunks).toString(), 'a,b\n1,2')
})

test('a compressed body has a length, because some proxies refuse one without; a path of the API in the URL is left out', async (t) => {
  const server = await startScriptedInflux(t)
  const { write } = influxWorld({ url: `${server.url}/api/v2`, api: 'v2', gzip: 'on' })
  assert.equal((await write(someLines(500))).written, 500)
  const [one] = server.asked
  assert.equal(one?.path, '/api/v2/write')
  assert.deepEqual(
    [
      one?.headers['content-encoding'],
      one?.headers['transfer-encoding'],
      Number(one?.headers['content-length']) < 9_000,
    ],
    ['gzip', undefined, true],
  )
})

test('a refusal that is compressed is read, and one whose text is only in the header of 1.x too', async (t) => {
  const server = await startScriptedInflux(t)
  const { gzipSync } = await import('node:zlib')
  const { sink } = influxWorld({ url: server.url })
  server.script((_asked, response) => {
    response.writeHead(401, { 'content-encoding': 'gzip' }).end(gzipSync('{"error":"token is old"}'))
    return undefined
  })
  await assert.rejects(sink.probe(live()), /401: token is old/)
  server.script({ status: 401, headers: { 'x-influxdb-error': 'user is unknown' } })
  await assert.rejects(sink.probe(live()), /401: user is unknown/)
  server.script(fault(401, 'as usual'), OK)
  await assert.rejects(sink.probe(live()), /401: as usual/)
  await sink.probe(live())
})
