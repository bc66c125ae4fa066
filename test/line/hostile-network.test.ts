/** A hostile network: what it answers to each client of tailflux, and what it sends to its HTTP server. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Notification, NotifierDeps } from '../../src/alerts/notify/notifier.ts'
import { createWebhook } from '../../src/alerts/notify/webhook.ts'
import { systemClock } from '../../src/base/clock.ts'
import { CollectorError } from '../../src/base/errors.ts'
import { createSecretRegistry } from '../../src/secrets/redactor.ts'
import { SecretUrl } from '../../src/secrets/secret-url.ts'
import { createInfluxHttp } from '../../src/sink/influxdb/transport.ts'
import { createTailscaleSource } from '../../src/source/client.ts'
import { tailscaleSchema } from '../../src/source/config.ts'
import type { SourceMetrics } from '../../src/source/source.ts'
import { hostileAnswers } from '../helpers/hostile-answers.ts'
import { type RawServer, startRawServer, whole } from '../helpers/raw-server.ts'
import { countingMetrics, silentLog } from '../helpers/silent.ts'
import { temporaryFolder } from '../helpers/temporary-folder.ts'
import { configOf, live } from '../sink/influxdb/influx-world.ts'
import { runWorkers, WINDOW } from '../source/api-and-source.ts'
import { startChild } from './child.ts'

const WAIT_MS = 400
const KEY = 'tskey-api-canary'
const TOKEN = 'canary-influx-token'
const HOOK = 'canary-webhook-path'

/** What is reported about one hostile answer; undefined when it was taken as good. */
type Ask = () => Promise<unknown>

/** Plays each answer once, then a good one to the same client: nothing of the bad one may be left in its connections. */
async function playAll(
  t: TestContext,
  server: RawServer,
  ask: Ask,
  good: Buffer,
  isTaken: (name: string) => boolean = () => false,
  waitMs = WAIT_MS,
): Promise<void> {
  const elsewhere = await startRawServer(t, (socket) => socket.destroy())
  const answers = Object.entries(hostileAnswers(elsewhere.url))
  const delay = monitorEventLoopDelay({ resolution: 5 })
  let longestMs = 0
  let slowest = ''
  delay.enable()
  const beforeMiB = process.memoryUsage.rss() / (1 << 20)
  let mostMiB = 0
  for (const [name, answer] of answers) {
    const asked = server.asked.length
    server.answer = answer
    const beganMs = performance.now()
    const error: unknown = await ask().then(
      () => undefined,
      (reason) => reason,
    )
    const ms = performance.now() - beganMs
    if (ms > longestMs) [longestMs, slowest] = [ms, name]
    mostMiB = Math.max(mostMiB, process.memoryUsage.rss() / (1 << 20))
    if (name.startsWith('100')) assert.ok(ms < waitMs, `${name}: only the time-out ended it, after ${ms} ms`)
    if (isTaken(name)) assert.deepEqual([error, server.asked.length - asked], [undefined, 1], name)
    else {
      assert.ok(error instanceof CollectorError, `${name}: ${error}`)
      assert.match(error.message, /^.{30,}\.$/s, name)
      for (const secret of [KEY, TOKEN, HOOK])
        assert.ok(!error.message.includes(secret), `${secret} in ${error.message}`)
    }
    server.answer = (socket) => void socket.write(good)
    await ask()
  }
  delay.disable()
  assert.deepEqual(elsewhere.asked, [], 'nothing follows a redirect')
  assert.ok(longestMs < 3_000, `${slowest} took ${longestMs} ms`)
  assert.ok(delay.max / 1e6 < 1_000, `the event loop stood still for ${delay.max / 1e6} ms`)
  assert.ok(mostMiB - beforeMiB < 200, `memory grew from ${beforeMiB} to ${mostMiB} MiB`)
  t.diagnostic(
    `${answers.length} answers, slowest ${longestMs.toFixed(0)} ms (${slowest}), event loop ${(delay.max / 1e6).toFixed(0)} ms, memory ${beforeMiB.toFixed(0)} -> ${mostMiB.toFixed(0)} MiB`,
  )
}

test('whatever the Tailscale API answers becomes an error with a sentence, in time, and the next good answer is read', async (t) => {
  const server = await startRawServer(t, () => undefined)
  const config = tailscaleSchema.parse({
    ...{ apiUrl: server.url, apiKey: KEY, answerBytesMax: '8MiB' },
    ...{ headTimeout: `${WAIT_MS}ms`, idleTimeout: `${WAIT_MS}ms`, totalTimeout: `${2 * WAIT_MS}ms` },
  })
  const deps = { clock: systemClock, log: silentLog, metrics: countingMetrics<SourceMetrics>() }
  const source = createTailscaleSource(config, deps)
  t.after(() => source.stop())
  const good = whole('200 OK', '{"logs":[]}', { date: new Date().toUTCString() })
  await playAll(t, server, async () => runWorkers(await source.open(WINDOW, live())), good)
})

test('whatever InfluxDB answers is no acknowledgement, and the next write has its own answer', async (t) => {
  const server = await startRawServer(t, () => undefined)
  const config = { ...configOf({ api: 'v2', url: server.url, token: TOKEN }), url: server.url, timeout: 2 * WAIT_MS }
  const http = createInfluxHttp(config, 'InfluxDB')
  t.after(() => http.stop())
  const write = async () => {
    const answer = await http.send({ method: 'POST', path: '/api/v2/write', body: 'm f=1i 1\n' }, live())
    if (answer.status !== 204)
      throw new CollectorError(`InfluxDB answered ${answer.status}, which acknowledges nothing.`, {
        ...({ stage: 'sink', code: 'db_unconfirmed', reaction: 'hold' } as const),
      })
  }
  await playAll(t, server, write, Buffer.from('HTTP/1.1 204 No Content\r\n\r\n'))
})

test('an answer without an end is broken off at its first megabyte, not at the time-out', async (t) => {
  const server = await startRawServer(t, hostileAnswers('')['a body without an end']!)
  const http = createInfluxHttp({ ...configOf({ api: 'v2', url: server.url }), url: server.url }, 'InfluxDB')
  t.after(() => http.stop())
  const answer = await http.send({ method: 'POST', path: '/api/v2/write', body: 'm f=1i 1\n' }, live())
  assert.deepEqual([answer.status, answer.body.trim()], [200, ''])
  await assert.rejects(
    http.send({ method: 'GET', path: '/query', answerBytesMax: 100_000 }, live()),
    /more than 100000/,
  )
})

test('whatever a webhook answers: a status that takes the alert takes it once, all else is an error with a sentence', async (t) => {
  const server = await startRawServer(t, () => undefined)
  const url = new SecretUrl(`${server.url}/${HOOK}`)
  const config = {
    kind: 'webhook',
    url,
    token: undefined,
    user: undefined,
    password: undefined,
    caFile: undefined,
    body: undefined,
    toJSON: () => ({}),
  } as const
  const deps: NotifierDeps = {
    clock: { ...systemClock, sleep: async () => undefined },
    random: () => 0.5,
    onAttempt: () => undefined,
    pageUrl: undefined,
    secrets: createSecretRegistry(),
  }
  const news: Notification = {
    ...{ fingerprint: 'f', status: 'firing', labels: { alertname: 'a' }, summary: 's', title: 't' },
    ...{ annotations: {}, startsNs: 1n, endsNs: 0n },
  }
  const webhook = createWebhook(config, deps)
  // These begin with 200, and only then are they broken; the first two would last for ten seconds four times.
  const isTaken = (name: string) =>
    /^a body |of a body$|^gzip|^a gzip|^more than|right after|^chunks|^a chunk/.test(name)
  const waitMs = 2_500
  const over = () => AbortSignal.timeout(waitMs)
  const send = async () => {
    try {
      await webhook.send([news], over())
    } catch (error) {
      if (error instanceof CollectorError) throw error
      // Ten seconds for each attempt: it is still waiting, as it may.
      throw new CollectorError('The webhook was still waited for when the test ended it.', {
        ...({ stage: 'alerts', code: 'notify_timeout', reaction: 'retry' } as const),
      })
    }
  }
  await playAll(t, server, send, whole('200 OK', '{}'), isTaken, waitMs)
})

const HEAD = (path: string) => `GET ${path} HTTP/1.1\r\nhost: localhost\r\n`
const ATTACKS: Readonly<Record<string, (socket: Socket) => void>> = {
  'silent connections': () => undefined,
  'heads that never end': (socket) => {
    socket.write(HEAD('/health'))
    const timer = setInterval(() => socket.write('x-a: b\r\n'), 100)
    socket.once('close', () => clearInterval(timer))
  },
  'connections kept alive': (socket) => void socket.write(`${HEAD('/livez')}\r\n`),
  'pages that nobody reads': (socket) => void socket.pause().write(`${HEAD('/')}\r\n`),
  'a thousand requests at once, never read': (socket) =>
    void socket.pause().write(`${HEAD('/metrics')}\r\n`.repeat(1_000)),
  'a thousand pages at once, never read': (socket) => void socket.pause().write(`${HEAD('/')}\r\n`.repeat(1_000)),
  'heads of a megabyte': (socket) => void socket.write(`${HEAD('/health')}x: ${'a'.repeat(1 << 20)}\r\n\r\n`),
  'event streams that nobody reads': (socket) => void socket.pause().write(`${HEAD('/api/events')}\r\n`),
}

/** The unit of CPU times in /proc, on every Linux that Node runs on. */
const CLOCK_TICK_MS = 10

test('hundreds of hostile clients of each kind: every probe is answered within a second of work, memory is bounded, SIGTERM ends it', async (t) => {
  const api = await startRawServer(t, (socket, { path }) => {
    const body = path.includes('devices') ? '{"devices":[]}' : '{"logs":[]}'
    socket.write(whole('200 OK', body, { date: new Date().toUTCString() }))
  })
  const env = { TAILSCALE_API_URL: api.url, TAILSCALE_API_KEY: KEY, TAILFLUX_DATA_DIR: temporaryFolder(t) }
  const child = await startChild(t, { ...env, TAILFLUX_POLL_LOOKBACK: '2m' })
  await child.until(({ watermarkNs }) => watermarkNs !== null)
  const port = Number(new URL(child.url).port)
  const memoryMiB = () =>
    Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${child.process.pid}/status`, 'utf8'))?.[1]) / 1024
  /** What the service worked so far. A probe waits for that, and on a busy machine for other processes as well. */
  const workedMs = () => {
    const fields = readFileSync(`/proc/${child.process.pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
    return (Number(fields[11]) + Number(fields[12])) * CLOCK_TICK_MS
  }
  const held: Socket[] = []
  t.after(() => {
    for (const socket of held) socket.destroy()
  })
  const beforeMiB = memoryMiB()
  for (const [name, act] of Object.entries(ATTACKS)) {
    await t.test(name, async (t) => {
      const sockets = Array.from({ length: 300 }, () => {
        const socket = connect(port, '127.0.0.1', () => act(socket))
        return socket.on('error', () => undefined)
      })
      held.push(...sockets)
      await Promise.all(sockets.map((socket) => once(socket, 'connect')))
      let [count, longestMs, mostWorkMs, mostMiB] = [0, 0, 0, 0]
      for (const endMs = performance.now() + 1_500; performance.now() < endMs; count += 1) {
        const beganMs = workedMs()
        const answer = await probe(port, count % 2 === 0 ? '/livez' : '/health')
        assert.equal(answer.status, '200')
        longestMs = Math.max(longestMs, answer.ms)
        mostWorkMs = Math.max(mostWorkMs, workedMs() - beganMs)
        mostMiB = Math.max(mostMiB, memoryMiB())
        await sleep(10)
      }
      assert.ok(mostWorkMs < 1_000, `the service worked ${mostWorkMs} ms before it answered a probe`)
      assert.ok(longestMs < 4_000, `a probe took ${longestMs} ms`)
      assert.ok(mostMiB - beforeMiB < 150, `memory grew from ${beforeMiB} to ${mostMiB} MiB`)
      t.diagnostic(
        `${count} probes, longest ${longestMs.toFixed(0)} ms, ${mostWorkMs} ms of work; memory ${mostMiB.toFixed(0)} MiB`,
      )
    })
  }
  const beganMs = performance.now()
  assert.equal(await child.kill('SIGTERM'), 0)
  assert.ok(performance.now() - beganMs < 10_000)
  t.diagnostic(`stop ${(performance.now() - beganMs).toFixed(0)} ms with ${held.length} connections`)
})

/** On a connection of its own, as orchestrators ask: the status, or what went wrong. */
function probe(port: number, path: string): Promise<{ status: string; ms: number }> {
  return new Promise((resolve) => {
    const beganMs = performance.now()
    const socket = connect(port, '127.0.0.1')
    let got = ''
    const end = (status: string) => resolve({ status, ms: performance.now() - beganMs })
    socket.setTimeout(5_000, () => socket.destroy())
    socket.on('error', (error: Error & { code?: string }) => end(String(error.code)))
    socket.on('data', (piece) => {
      got += piece
    })
    socket.on('close', () => end(got.slice(9, 12) || 'closed without an answer'))
    socket.write(`${HEAD(path)}connection: close\r\n\r\n`)
  })
}
