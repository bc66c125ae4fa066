/** What happens when an answer is late, breaks off, never ends, or is not wanted any more. */
import assert from 'node:assert/strict'
import { createServer } from 'node:net'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { createGzip, gzipSync } from 'node:zlib'
import type { Code, Reaction } from '../../src/base/errors.ts'
import { createTailscaleSource } from '../../src/source/client.ts'
import { tailscaleSchema } from '../../src/source/config.ts'
import type { SourceMetrics } from '../../src/source/source.ts'
import { createFakeClock } from '../helpers/fake-clock.ts'
import { endless, json, type Reply, silence, stall, wireMessage } from '../helpers/scripted-api.ts'
import { countingMetrics, silentLog } from '../helpers/silent.ts'
import { apiAndSource, faultOf, KEY, runWorkers, WINDOW } from './api-and-source.ts'

const BODY = JSON.stringify({ logs: Array.from({ length: 100 }, (_, index) => wireMessage(index)) })
const HALF = BODY.slice(0, BODY.length / 2)
const JSON_HEAD = { 'content-type': 'application/json' }
const GZIP_HEAD = { ...JSON_HEAD, 'content-encoding': 'gzip' }

test('an answer that does not begin is too late after headTimeout', async (t) => {
  const { api, source, clock, metrics, signal } = await apiAndSource(t, { headTimeout: '5s' })
  api.on('logging/network', silence)
  const fault = faultOf(source.open(WINDOW, signal))
  await api.arrived('logging/network', 1)
  await clock.advance(4999)
  assert.equal(metrics.calls.get('request'), undefined)
  await clock.advance(2)
  const { code, reaction, message } = await fault
  assert.equal(code, 'api_timeout')
  assert.equal(reaction, 'split')
  assert.match(message, /5000 ms \(headTimeout\).*shorter window/)
  assert.deepEqual(metrics.calls.get('request')?.[0]?.slice(0, 2), ['logging/network', 'error'])
  await api.allClosed()
})

test('for anything but a window, too late means once more', async (t) => {
  const { api, source, clock, signal } = await apiAndSource(t)
  api.on('devices', silence)
  const fault = faultOf(source.devices(signal))
  await api.arrived('devices', 1)
  await clock.advance(60_001)
  const { code, reaction } = await fault
  assert.deepEqual([code, reaction], ['api_timeout', 'retry'])
})

test('a body that stands still is too late after idleTimeout', async (t) => {
  const { api, source, clock, signal } = await apiAndSource(t, { headTimeout: '50s', idleTimeout: '3s' })
  for (const reply of [stall(), stall(HALF), stallGzip()]) {
    api.on('logging/network', reply)
    const answer = await source.open(WINDOW, signal)
    let isOver = false
    const fault = faultOf(runWorkers(answer)).finally(() => {
      isOver = true
    })
    // Bytes that were still on their way restart the wait.
    while (!isOver) await clock.advance(3001)
    const { code, reaction, message } = await fault
    assert.deepEqual([code, reaction], ['api_timeout', 'split'])
    assert.match(message, /3000 ms \(idleTimeout\)/)
  }
  await api.allClosed()
})

test('a body that nobody reads is not kept open for ever', async (t) => {
  const { api, source, clock, signal } = await apiAndSource(t)
  api.on('logging/network', stall(HALF))
  const answer = await source.open(WINDOW, signal)
  await clock.advance(60_001)
  await api.allClosed()
  assert.equal((await faultOf(runWorkers(answer))).code, 'api_timeout')
})

test('a slow drip ends at totalTimeout', async (t) => {
  const { api, source, clock, signal } = await apiAndSource(t, { idleTimeout: '60s', totalTimeout: '300s' })
  const { promise: dripping, resolve } = Promise.withResolvers<(text: string) => void>()
  api.on('logging/network', (response) => {
    response.writeHead(200, JSON_HEAD).flushHeaders()
    resolve((text) => response.write(text))
  })
  const answer = await source.open(WINDOW, signal)
  const drip = await dripping
  const groups = answer.groups[Symbol.asyncIterator]()
  let drips = 0
  const fault = await faultOf(
    (async () => {
      for (; drips < 20; drips++) {
        const next = groups.next()
        await Promise.all([next, clock.advance(50_000).then(() => drip(BODY[drips] ?? ''))])
        for (const _ of (await next).value ?? []) assert.fail('no message is complete yet')
      }
    })(),
  )
  assert.deepEqual([fault.code, fault.reaction, drips], ['api_timeout', 'split', 5])
  assert.match(fault.message, /totalTimeout/)
})

test('time that the reader takes for itself makes no answer late', async (t) => {
  const { api, source, clock, signal } = await apiAndSource(t)
  const { promise: rest, resolve } = Promise.withResolvers<() => void>()
  api.on('logging/network', (response) => {
    response.writeHead(200, JSON_HEAD).write(HALF)
    resolve(() => response.end(BODY.slice(HALF.length)))
  })
  const answer = await source.open(WINDOW, signal)
  let messages = 0
  for await (const group of answer.groups) {
    for (const _ of group) messages += 1
    // The database is down for an hour.
    await clock.advance(3_600_000)
    ;(await rest)()
  }
  assert.equal(messages, 100)
})

test('what breaks off or is damaged is an error and never an end', async (t) => {
  const { api, source, signal } = await apiAndSource(t)
  const gzipped = gzipSync(BODY)
  const damaged = Buffer.from(gzipped)
  damaged.fill(0x55, 40, 80)
  const hangUp =
    (head: Record<string, string | number>, body: string | Uint8Array): Reply =>
    (response) => {
      response.writeHead(200, head)
      response.write(body, () => response.destroy())
    }
  const rows: [string, Reply][] = [
    ['JSON ends too early', (response) => void response.writeHead(200, JSON_HEAD).end(HALF)],
    ['hang-up in a chunked body', hangUp(JSON_HEAD, HALF)],
    ['hang-up after JSON, before the last chunk', hangUp(JSON_HEAD, BODY)],
    ['fewer bytes than Content-Length', hangUp({ ...JSON_HEAD, 'content-length': BODY.length + 1 }, BODY)],
    ['gzip ends too early', (response) => void response.writeHead(200, GZIP_HEAD).end(gzipped.subarray(0, 200))],
    ['gzip without its checksum', (response) => void response.writeHead(200, GZIP_HEAD).end(gzipped.subarray(0, -8))],
    ['damaged gzip', (response) => void response.writeHead(200, GZIP_HEAD).end(damaged)],
    ['no gzip at all', (response) => void response.writeHead(200, GZIP_HEAD).end(BODY)],
    ['hang-up in gzip', hangUp(GZIP_HEAD, gzipped.subarray(0, 200))],
    [
      'broken chunk',
      (response, _asked, request) => {
        response.writeHead(200, JSON_HEAD).write(HALF, () => void request.socket.write('zz\r\nnonsense'))
      },
    ],
    [
      'connection reset',
      (response, _asked, request) => {
        response.writeHead(200, JSON_HEAD).write(HALF, () => void request.socket.resetAndDestroy())
      },
    ],
  ]
  for (const [name, reply] of rows) {
    api.on('logging/network', reply)
    const fault = await faultOf(source.open(WINDOW, signal).then(runWorkers))
    assert.deepEqual([fault.code, fault.reaction], ['api_truncated', 'split'], name)
  }
  api.on('devices', (response) => void response.writeHead(200, JSON_HEAD).end('{"devices":[{'))
  assert.deepEqual(await codeAndReaction(source.devices(signal)), ['api_truncated', 'retry'])
})

test('an answer without a length that ends by closing the connection is whole when its JSON is', async (t) => {
  const { api, source, signal } = await apiAndSource(t)
  const plain =
    (body: string): Reply =>
    (_response, _asked, request) =>
      void request.socket.end(`HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n${body}`)
  api.on('logging/network', plain(BODY))
  assert.equal((await runWorkers(await source.open(WINDOW, signal))).nodeIds.length, 100)
  api.on('logging/network', plain(HALF))
  assert.deepEqual(await codeAndReaction(source.open(WINDOW, signal).then(runWorkers)), ['api_truncated', 'split'])
})

test('an endless body stops at answerBytesMax', async (t) => {
  const { api, source, signal } = await apiAndSource(t, { answerBytesMax: '4MiB' })
  api.on('logging/network', endless(JSON_HEAD, '{"logs":[', `${JSON.stringify(wireMessage())},`.repeat(500)))
  const answer = await source.open(WINDOW, signal)
  assert.deepEqual(await codeAndReaction(runWorkers(answer)), ['api_too_large', 'split'])
  assert.ok(answer.bytesRead() <= (4 << 20) + 65_536)
  await api.allClosed()
})

test('a gzip bomb stops at answerBytesMax, and memory stays flat', async (t) => {
  const { api, source, signal } = await apiAndSource(t, { answerBytesMax: '192MiB' })
  const zip = createGzip({ level: 1 })
  const pieces: Buffer[] = []
  zip.on('data', (piece: Buffer) => pieces.push(piece))
  zip.write('{"logs":[],"x":"')
  const zeros = Buffer.alloc(1 << 20, 0x30)
  for (let mib = 0; mib < 256; mib++) await new Promise<void>((go) => zip.write(zeros, () => go()))
  await new Promise<void>((go) => zip.end(go))
  const bomb = Buffer.concat(pieces)
  assert.ok(bomb.length < 2 << 20, 'it is small on the wire')

  api.on('logging/network', (response) => void response.writeHead(200, GZIP_HEAD).end(bomb))
  const answer = await source.open(WINDOW, signal)
  const before = process.memoryUsage().arrayBuffers
  let most = 0
  const fault = faultOf(
    (async () => {
      for await (const group of answer.groups) {
        for (const _ of group) assert.fail('no message')
        most = Math.max(most, process.memoryUsage().arrayBuffers - before)
      }
    })(),
  )
  assert.equal((await fault).code, 'api_too_large')
  assert.ok(answer.bytesRead() <= (192 << 20) + 65_536)
  // Buffers wait for a collection of garbage.
  assert.ok(most < 96 << 20, `${most} bytes of buffers`)
})

test('gzip that never decodes to anything stops at the same limit', async (t) => {
  const { api, source, signal } = await apiAndSource(t, { answerBytesMax: '1MiB' })
  const nothing = Buffer.concat(Array.from({ length: 2000 }, () => gzipSync('')))
  api.on('logging/network', endless(GZIP_HEAD, '', nothing))
  assert.deepEqual(await codeAndReaction(source.open(WINDOW, signal).then(runWorkers)), ['api_too_large', 'split'])
})

test('no connection: the text has the code and the fix', async (t) => {
  const { api, source, signal } = await apiAndSource(t)
  await api.close()
  const fault = await faultOf(source.open(WINDOW, signal))
  assert.deepEqual([fault.code, fault.reaction], ['api_unreachable', 'retry'])
  assert.match(fault.message, /nothing listens there.*ECONNREFUSED/)
  assert.ok(fault.cause instanceof Error)

  const nowhere = tailscaleSchema.parse({ apiUrl: 'https://tailflux.invalid', apiKey: KEY })
  const deps = { clock: createFakeClock(), log: silentLog, metrics: countingMetrics<SourceMetrics>() }
  const lost = createTailscaleSource(nowhere, deps)
  assert.match((await faultOf(lost.open(WINDOW, signal))).message, /DNS.*\((ENOTFOUND|EAI_AGAIN)\)/)
  await lost.stop()
})

test('a server that hangs up, or speaks something else, is unreachable', async (t) => {
  const { api, source, signal } = await apiAndSource(t)
  const rows: Reply[] = [
    (response) => void response.destroy(),
    (_response, _asked, request) => void request.socket.end('SSH-2.0-OpenSSH_9.2\r\n'),
    (_response, _asked, request) =>
      void request.socket.end('HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n'),
    (_response, _asked, request) => void request.socket.end(`HTTP/1.1 200 OK\r\nX: ${'x'.repeat(100_000)}\r\n\r\n`),
  ]
  for (const reply of rows) {
    api.on('logging/network', reply)
    assert.deepEqual(await codeAndReaction(source.open(WINDOW, signal)), ['api_unreachable', 'retry'])
  }
})

test('no connection in time is no reason for a shorter window', async (t) => {
  // TCP is there, TLS never comes.
  const mute = createServer((socket) => socket.on('error', () => undefined))
  await new Promise<void>((go) => mute.listen(0, '127.0.0.1', go))
  const connected = new Promise((go) => mute.once('connection', go))
  t.after(() => mute.close())
  const { port } = mute.address() as { port: number }
  const clock = createFakeClock()
  const deps = { clock, log: silentLog, metrics: countingMetrics<SourceMetrics>() }
  const source = createTailscaleSource(
    tailscaleSchema.parse({ apiUrl: `https://127.0.0.1:${port}`, apiKey: KEY }),
    deps,
  )
  const fault = faultOf(source.open(WINDOW, new AbortController().signal))
  await connected
  await clock.advance(60_001)
  assert.deepEqual([(await fault).code, (await fault).reaction], ['api_unreachable', 'retry'])
  await source.stop()
})

test('an abort rejects with its own reason and closes the socket, wherever it comes', async (t) => {
  const { api, source } = await apiAndSource(t)
  const reason = new Error('enough')

  const before = AbortSignal.abort(reason)
  await assert.rejects(source.open(WINDOW, before), reason)
  await assert.rejects(source.devices(before), reason)
  assert.equal(api.asked().length, 0)

  const head = new AbortController()
  api.on('logging/network', silence)
  const opening = assert.rejects(source.open(WINDOW, head.signal), reason)
  await api.arrived('logging/network', 1)
  head.abort(reason)
  await opening
  await api.allClosed()

  const body = new AbortController()
  api.on('logging/network', stall(HALF))
  const reading = runWorkers(await source.open(WINDOW, body.signal))
  await turn()
  body.abort(reason)
  await assert.rejects(reading, reason)
  await api.allClosed()

  // Between two groups, while the reader is busy.
  const between = new AbortController()
  const answer = await source.open(WINDOW, between.signal)
  await assert.rejects(async () => {
    for await (const group of answer.groups) {
      for (const _ of group) between.abort(reason)
    }
  }, reason)
  await api.allClosed()

  // Before anything reads.
  const unread = new AbortController()
  const unreadAnswer = await source.open(WINDOW, unread.signal)
  unread.abort(reason)
  await api.allClosed()
  await assert.rejects(runWorkers(unreadAnswer), reason)

  // While the settings are asked after a 403.
  const explaining = new AbortController()
  api.on('logging/network', json(403, {}))
  api.on('settings', silence)
  const asking = assert.rejects(source.open(WINDOW, explaining.signal), reason)
  await api.arrived('settings', 1)
  explaining.abort(reason)
  await asking
})

test('leaving the groups early closes the socket', async (t) => {
  const { api, source, signal } = await apiAndSource(t)
  api.on('logging/network', stall(HALF))
  for await (const group of (await source.open(WINDOW, signal)).groups) {
    for (const _ of group) break
    break
  }
  await api.allClosed()
})

test('stop ends what is in flight and leaves no socket; twice is once', async (t) => {
  const { api, source, clock, signal } = await apiAndSource(t)
  api.on('devices', silence)
  api.on('logging/network', stall(HALF), silence)
  const body = faultOf(runWorkers(await source.open(WINDOW, signal)))
  const head = faultOf(source.open(WINDOW, signal))
  const devices = faultOf(source.devices(signal))
  await api.arrived('devices', 1)
  await api.arrived('logging/network', 2)
  await Promise.all([source.stop(), source.stop()])
  for (const fault of [body, head, devices]) assert.match((await fault).message, /stopped/)
  await api.allClosed()
  assert.match((await faultOf(source.open(WINDOW, signal))).message, /stopped/)
  assert.equal(clock.nextWakeMs(), undefined, 'nobody sleeps any more')
})

function stallGzip(): Reply {
  return (response) => {
    response.writeHead(200, GZIP_HEAD).flushHeaders()
    response.write(gzipSync(BODY).subarray(0, 100))
  }
}

async function codeAndReaction(promise: Promise<unknown>): Promise<[Code, Reaction]> {
  const { code, reaction } = await faultOf(promise)
  return [code, reaction]
}
