/** The questions of the sink: may it write, and what does `tailflux_window` tell. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { answerOf } from '../../src/sink/influx-query.ts'
import { startProxy } from '../services/proxy.ts'
import { faultOf, influxWorld, live } from './influx-world.ts'
import { type Answer, fault, OK, startScriptedInflux } from './scripted-influx.ts'

const MAX = '9223372036854775807'
const json = (body: string): Answer => ({ status: 200, body, headers: { 'content-type': 'application/json' } })
const series = (values: string) =>
  `{"results":[{"statement_id":0,"series":[{"name":"tailflux_window","columns":["time","watermark","acked"],"values":[[0,${values}]]}]}]}`

test('answers are read exactly, and no answer is none', () => {
  const cases: [string, unknown][] = [
    [series(`${MAX},1793620800000000001`), { mirror: { watermarkNs: BigInt(MAX), ackedNs: 1793620800000000001n } }],
    [series('-5,null'), { mirror: { watermarkNs: -5n, ackedNs: 0n } }],
    [series('null,7'), { mirror: undefined }],
    ['{"results":[{"statement_id":0}]}', { mirror: undefined }],
    // VictoriaMetrics, whatever it is asked.
    [
      '{"results":[{"statement_id":0,"series":[{"name":"databases","columns":["name"],"values":[["_internal"]]}]}]}',
      { mirror: 'unanswerable' },
    ],
    ['{}', { mirror: 'unanswerable' }],
    ['{"results":[]}', { mirror: 'unanswerable' }],
    [
      '{"results":[{"statement_id":0,"error":"database not found: x"}]}',
      { error: 'database not found: x', mirror: undefined },
    ],
    ['{"error":"timeout"}', { error: 'timeout', mirror: undefined }],
    ['{"results":[{"ser', { mirror: 'unanswerable' }],
    // 3.x.
    ['', { mirror: undefined }],
    ['iox::measurement,time,watermark,acked\n', { mirror: undefined }],
    [
      `iox::measurement,time,watermark,acked\ntailflux_window,1970-01-01T00:00:00,${MAX},3\n`,
      { mirror: { watermarkNs: BigInt(MAX), ackedNs: 3n } },
    ],
    ['a,b\n1,2\n', { mirror: 'unanswerable' }],
  ]
  for (const [body, expected] of cases) assert.deepEqual(answerOf(body), expected, body)
})

test('the mirror is asked for where points are written', async (t) => {
  const server = await startScriptedInflux(t)
  server.script(json(series('5,6')))
  const cases: [Record<string, unknown>, string, string, string][] = [
    [{ api: 'v1' }, '/query', 'telemetry', '"tailflux_window"'],
    [{ api: 'v1', rp: 'a "week"', nodesBucket: 'long' }, '/query', 'telemetry', '"a \\"week\\""."tailflux_window"'],
    [{ api: 'v2' }, '/query', 'telemetry', '"tailflux_window"'],
    [{ api: 'v2', bucket: 'net/30d' }, '/query', 'net', '"30d"."tailflux_window"'],
    [{ api: 'v3' }, '/api/v3/query_influxql', 'telemetry', '"tailflux_window"'],
  ]
  for (const [settings, path, db, from] of cases) {
    const { sink } = influxWorld({ url: server.url, ...settings })
    assert.deepEqual(await sink.lastMirror("it's \\ mine", live()), { watermarkNs: 5n, ackedNs: 6n })
    const asked = server.asked.at(-1)
    assert.deepEqual([asked?.method, asked?.path, asked?.query['db']], ['GET', path, db])
    assert.equal(
      asked?.query['q'],
      `SELECT max("watermark") AS "watermark", max("acked") AS "acked", max("passed") AS "passed" FROM ${from} WHERE "tailnet" = 'it\\'s _ mine'`,
    )
  }
})

test('who cannot be asked is unanswerable; who does not answer now is an error', async (t) => {
  const server = await startScriptedInflux(t)
  const unmapped = json('{"results":[{"statement_id":0,"error":"database not found: telemetry"}]}')
  const cases: [api: string, Answer, unknown][] = [
    ['v1', fault(403, 'not authorized'), 'unanswerable'],
    ['v1', fault(404, 'nothing here'), 'unanswerable'],
    ['v1', fault(405, 'no'), 'unanswerable'],
    ['v1', fault(400, 'no'), 'unanswerable'],
    ['v2', unmapped, 'unanswerable'],
    ['v3', fault(404, "database not found: 'telemetry'"), undefined],
    ['v3', fault(400, 'table tailflux_window not found'), undefined],
    ['v3', fault(403, 'no'), 'unanswerable'],
  ]
  for (const [api, answer, expected] of cases) {
    server.script(answer)
    assert.equal(await influxWorld({ url: server.url, api }).sink.lastMirror('default', live()), expected)
  }
  const failing: [Answer, string, string][] = [
    [unmapped, 'db_not_found', 'hold'],
    [json('{"results":[{"statement_id":0,"error":"retention policy not found: week"}]}'), 'db_not_found', 'hold'],
    [json('{"results":[{"statement_id":0,"error":"timeout"}]}'), 'db_unavailable', 'retry'],
    [fault(401, 'authorization failed'), 'db_unauthorized', 'hold'],
    [fault(500, 'x'), 'db_unavailable', 'retry'],
    [fault(503, 'x'), 'db_overloaded', 'retry'],
    [{ status: 302 }, 'db_misconfigured', 'hold'],
  ]
  for (const [answer, code, reaction] of failing) {
    server.script(answer)
    const error = await faultOf(influxWorld({ url: server.url }).sink.lastMirror('default', live()))
    assert.deepEqual([error.code, error.reaction], [code, reaction])
  }
})

test('half an answer is none', async (t) => {
  const server = await startScriptedInflux(t)
  const body = series('5,6')
  server.script({
    ...json(body),
    headers: { 'content-type': 'application/json', 'content-length': String(body.length) },
  })
  const proxy = await startProxy(t, server.url)
  const { sink } = influxWorld({ url: proxy.url })
  for (const kind of ['half-body', 'lose-answer'] as const) {
    await proxy.set({ kind })
    const error = await faultOf(sink.lastMirror('default', live()))
    assert.deepEqual([error.code, error.reaction], ['db_unreachable', 'retry'])
  }
  await proxy.set(undefined)
  assert.deepEqual(await sink.lastMirror('default', live()), { watermarkNs: 5n, ackedNs: 6n })
})

test('a probe sends no line and passes only where a write would', async (t) => {
  const server = await startScriptedInflux(t)
  const good: [string, Answer][] = [
    ['v1', OK],
    ['v2', { status: 400, body: '{"code":"invalid","message":"writing requires points"}' }],
    ['v3', { status: 400, body: '{"error":"incoming write was empty"}' }],
  ]
  for (const [api, answer] of good) {
    server.script(answer)
    await influxWorld({ url: server.url, api }).sink.probe(live())
    assert.deepEqual(server.asked.at(-1)?.lines, [])
  }
  const bad: [Answer, string, string][] = [
    [fault(401, 'x'), 'db_unauthorized', 'hold'],
    [fault(403, 'x'), 'db_forbidden', 'hold'],
    [fault(404, 'database not found'), 'db_not_found', 'hold'],
    [fault(500, 'retention policy not found: week'), 'db_not_found', 'hold'],
    [fault(503, 'x', { 'retry-after': '9' }), 'db_overloaded', 'retry'],
    [{ status: 400, body: 'The plain HTTP request was sent to HTTPS port' }, 'db_misconfigured', 'hold'],
    [{ status: 413, body: 'x' }, 'db_misconfigured', 'hold'],
    [{ status: 200, body: '<html>' }, 'db_unconfirmed', 'hold'],
    [fault(500, 'x'), 'db_unavailable', 'retry'],
  ]
  for (const [answer, code, reaction] of bad) {
    server.script(answer)
    const error = await faultOf(influxWorld({ url: server.url }).sink.probe(live()))
    assert.deepEqual([error.code, error.reaction], [code, reaction])
  }
})

test('the database is created only when it is missing, and again when it was dropped', async (t) => {
  const server = await startScriptedInflux(t)
  const known = new Set<string>()
  server.script((asked) => {
    if (asked.path === '/query') {
      known.add(/^CREATE DATABASE "(.*)"$/.exec(asked.query['q'] ?? '')?.[1] ?? '')
      return json('{"results":[{"statement_id":0}]}')
    }
    return known.has(asked.query['db'] ?? '') ? OK : fault(404, `database not found: "${asked.query['db']}"`)
  })
  const paths = () => server.asked.splice(0).map(({ path }) => path)
  const { sink } = influxWorld({ url: server.url, createDatabase: true })
  await sink.start(live())
  assert.deepEqual(paths(), ['/write', '/query', '/write'])
  await sink.probe(live())
  assert.deepEqual(paths(), ['/write'])
  known.clear()
  await sink.probe(live())
  assert.deepEqual(paths(), ['/write', '/query', '/write'])
  assert.deepEqual([...known], ['telemetry'])

  const plain = influxWorld({ url: server.url, db: 'other' }).sink
  await plain.start(live())
  assert.deepEqual(paths(), [])
  assert.equal((await faultOf(plain.probe(live()))).code, 'db_not_found')
})

test('who may not create the database is told so', async (t) => {
  const server = await startScriptedInflux(t)
  for (const answer of [
    fault(
      403,
      "error authorizing query: w not authorized to execute statement 'CREATE DATABASE telemetry', requires admin privilege",
    ),
    json('{"results":[{"statement_id":0,"error":"invalid name"}]}'),
  ]) {
    server.script((asked) => (asked.path === '/query' ? answer : fault(404, 'database not found')))
    const error = await faultOf(influxWorld({ url: server.url, createDatabase: true }).sink.start(live()))
    assert.deepEqual([error.code, error.reaction], ['db_forbidden', 'hold'])
    assert.match(error.message, /by hand/)
  }
})
