/** Without `influx.api` the server is asked for its version: by the sink before its first request, and again until there is an answer. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { influxSchema, retentionSchema } from '../../../src/sink/config.ts'
import { createSink } from '../../../src/sink/create-sink.ts'
import type { SinkMetrics } from '../../../src/sink/sink.ts'
import { createFakeClock } from '../../helpers/fake-clock.ts'
import { countingMetrics, silentLog } from '../../helpers/silent.ts'
import { batchOf, faultOf, live } from './influx-world.ts'
import { recordedAnswers } from './recorded-answers.ts'
import { type Answer, type Asked, startScriptedInflux } from './scripted-influx.ts'

const LINE = ['m,node=n1 v=1i 1795913544076322929']

/** The answer of a real server to `GET /ping`, by the title of the record. */
function recordedPing(version: '2.9.1' | '3.10.1', title: string): Answer {
  const found = recordedAnswers(version).find((one) => one.title === title)
  assert.ok(found, title)
  const { status, body, headers } = found.response
  return {
    status,
    body,
    headers: Object.fromEntries(
      Object.entries(headers).filter(([name]) => !/^(content-length|connection)$/i.test(name)),
    ),
  }
}

async function stage(t: TestContext, ping: Answer | (() => Answer), settings: Record<string, unknown> = {}) {
  const server = await startScriptedInflux(t)
  const pong = typeof ping === 'function' ? ping : () => ping
  server.script(({ path }: Asked) => {
    if (path === '/ping') return pong()
    if (path === '/') return { status: 200, body: 'something' }
    return path === '/query' ? { status: 200, body: '{"results":[{"statement_id":0}]}' } : { status: 204 }
  })
  const influx = influxSchema.parse({
    url: server.url,
    bucket: 'flows',
    org: 'home',
    token: 'secret-token',
    ...settings,
  })
  const sink = createSink(
    { influx, retention: retentionSchema.parse({}), storePath: 'unused', lastPassMs: 0 },
    {
      clock: createFakeClock(),
      log: silentLog,
      metrics: countingMetrics<SinkMetrics>(),
      deadLetters: { append: async (letters) => letters },
    },
  )
  t.after(() => sink.stop())
  const paths = () => server.asked.map(({ method, path }) => `${method} ${path}`)
  return { server, sink, paths }
}

const V1: Answer = { status: 204, headers: { 'x-influxdb-version': '1.6.7~rc0' } }

for (const [name, ping, path, label] of [
  ['1.x', V1, '/write', 'v1'],
  ['2.9.1', recordedPing('2.9.1', 'ping'), '/api/v2/write', 'v2'],
  ['3.10.1', recordedPing('3.10.1', 'GET /ping'), '/api/v3/write_lp', 'v3'],
  ['3.10.1 without a good token', recordedPing('3.10.1', 'GET /ping without token'), '/api/v3/write_lp', 'v3'],
  ['a server that only says that it is there', { status: 204 }, '/api/v2/write', 'v2'],
] as const) {
  test(`the version is found by asking, once: ${name}`, async (t) => {
    const { sink, paths } = await stage(t, ping, name === '1.x' ? { db: 'flows' } : {})
    assert.match(sink.label, /^InfluxDB \(http/)
    await sink.start(live())
    assert.deepEqual(paths(), [], 'starting needs no database')
    assert.equal((await sink.write(batchOf(LINE), live())).written, 1)
    await sink.write(batchOf(LINE), live())
    const isPlain = name.startsWith('a server')
    assert.deepEqual(paths(), ['GET /ping', ...(isPlain ? ['GET /'] : []), `POST ${path}`, `POST ${path}`])
    assert.match(sink.label, new RegExp(`^InfluxDB \\(${label}, `))
    assert.deepEqual(await sink.checkpoint('default', { fromNs: 0n, toNs: 1n }, live()), { points: [] })
    assert.deepEqual(await sink.checkpointStates('default', 1n, live()), { states: [] })
    await sink.probe(live())
  })
}

test('a server that is out of order is asked again; listeners hear of it', async (t) => {
  let isUp = false
  const { sink, paths } = await stage(t, () => (isUp ? V1 : { status: 503 }), { db: 'flows' })
  const heard: string[] = []
  const remove = sink.listen({ failed: ({ code }) => heard.push(code), succeeded: (count) => heard.push(`${count}`) })
  const error = await faultOf(sink.write(batchOf(LINE), live()))
  assert.deepEqual([error.code, error.reaction], ['db_overloaded', 'retry'])
  assert.equal((await faultOf(sink.probe(live()))).code, 'db_overloaded')
  const answer = await sink.checkpoint('default', { fromNs: 0n, toNs: 1n }, live())
  assert.match('cannotBeQueried' in answer ? answer.cannotBeQueried : '', /overloaded/)
  const states = await sink.checkpointStates('default', 1n, live())
  assert.ok('cannotBeQueried' in states)
  await faultOf(sink.write({ ...batchOf(LINE), isBestEffort: true }, live()))
  isUp = true
  await sink.write(batchOf(LINE), live())
  assert.deepEqual(heard, ['db_overloaded', '1'])
  assert.equal(paths().at(-1), 'POST /write')
  remove()
  await sink.write(batchOf(LINE), live())
  assert.equal(heard.length, 2)
})

test('a web page is no database, and settings of another version are told', async (t) => {
  const page = await stage(t, { status: 200, body: '<html>hello</html>' })
  const error = await faultOf(page.sink.write(batchOf(LINE), live()))
  assert.deepEqual([error.code, error.reaction], ['db_misconfigured', 'hold'])
  assert.match(
    error.message,
    /does not say which InfluxDB it is \(it answered 200 with a web page\).*INFLUX_URL.*set INFLUX_API/,
  )
  const bucketOf1 = await stage(t, V1)
  assert.match((await faultOf(bucketOf1.sink.probe(live()))).message, /is InfluxDB 1\.6\.7.*influx\.db is required/)
  const userOf2 = await stage(t, recordedPing('2.9.1', 'ping'), { user: 'u', password: 'p' })
  assert.match(
    (await faultOf(userOf2.sink.probe(live()))).message,
    /is InfluxDB 2\.9\.1, and influx\.user belongs to api v1/,
  )
  const slash = await stage(t, V1, { db: 'a/b' })
  assert.match((await faultOf(slash.sink.probe(live()))).message, /slash in its name .*INFLUX_API=v1/)
})

test('the signal of one caller ends the question', async (t) => {
  const { sink } = await stage(t, V1, { db: 'flows' })
  await assert.rejects(sink.write(batchOf(LINE), AbortSignal.abort(new Error('stop'))), /stop/)
  await assert.rejects(
    sink.checkpoint('default', { fromNs: 0n, toNs: 1n }, AbortSignal.abort(new Error('stop'))),
    /stop/,
  )
})
