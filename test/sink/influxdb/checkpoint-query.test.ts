/** The question for the checkpoint, and what is made of every answer. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startProxy } from '../../services/proxy.ts'
import { influxWorld, live } from './influx-world.ts'
import { type Answer, fault, hang, type Reply, reset, startScriptedInflux } from './scripted-influx.ts'

const MAX = '9223372036854775807'
const RANGE = { fromNs: 5n, toNs: 43_200_000_000_005n }
const json = (body: string): Answer => ({ status: 200, body, headers: { 'content-type': 'application/json' } })
const said = (error: string) => json(`{"results":[{"statement_id":0,"error":${JSON.stringify(error)}}]}`)
const series = (values: string, more = '') =>
  `{"results":[{"statement_id":0,"series":[{"name":"tailflux_window","columns":["time","acked","watermark","passed","pass","writer"],"values":[${values}]${more}}]}]}`
const point = { timeNs: 7n, pass: '1', writer: 'w1', ackedNs: 6n, watermarkNs: 5n, passedNs: 4n }
const POINT = series('[7,6,5,4,"1","w1"]')

test('points are read exactly, whatever is missing in them', async (t) => {
  const server = await startScriptedInflux(t)
  const { sink } = influxWorld({ url: server.url })
  const cases: [string, unknown[]][] = [
    ['[7,6,5,4,"1","w1"]', [point]],
    [
      `[7,${MAX},-5,null,"2",null]`,
      [{ ...point, ackedNs: BigInt(MAX), watermarkNs: -5n, passedNs: undefined, pass: '2', writer: undefined }],
    ],
    ['[7,null,5,4,"3",""]', [{ ...point, ackedNs: undefined, pass: '3', writer: undefined }]],
    ['[7,6,5,4,"1","w1"],[8,6,5,4,"1","w1"]', [point, { ...point, timeNs: 8n }]],
  ]
  for (const [values, points] of cases) {
    server.script(json(series(values)))
    assert.deepEqual(await sink.checkpoint('default', RANGE, live()), { points }, values)
  }
  server.script(json('{"results":[{"statement_id":0}]}'))
  assert.deepEqual(await sink.checkpoint('default', RANGE, live()), { points: [] })
})

test('it is asked where points are written, with bounds in time, in the words of all three versions', async (t) => {
  const server = await startScriptedInflux(t)
  server.script(json(POINT))
  const cases: [Record<string, unknown>, string, string][] = [
    [{ api: 'v1' }, 'telemetry', '"tailflux_window"'],
    [
      { api: 'v1', rp: 'a "week"', retention: { raw: 7, minutes: 30 } },
      'telemetry',
      '"telemetry"."a \\"week\\""."tailflux_window"',
    ],
    [{ api: 'v2' }, 'telemetry', '"tailflux_window"'],
    [{ api: 'v2', bucket: 'net/30d' }, 'net', '"net"."30d"."tailflux_window"'],
    [{ api: 'v3' }, 'telemetry', '"tailflux_window"'],
    [{ api: 'v3', bucket: 'net/30d' }, 'net', '"net"."30d"."tailflux_window"'],
  ]
  for (const [settings, db, from] of cases) {
    const { sink } = influxWorld({ url: server.url, ...settings })
    assert.deepEqual(await sink.checkpoint("it's \\ mine", RANGE, live()), { points: [point] })
    const asked = server.asked.at(-1)
    assert.deepEqual(
      [asked?.method, asked?.path, asked?.query['db'], asked?.query['epoch']],
      ['GET', '/query', db, 'ns'],
    )
    const where = `"tailnet" = 'it\\'s _ mine' AND time >= ${RANGE.fromNs} AND time <= ${RANGE.toNs}`
    assert.equal(
      asked?.query['q'],
      `SELECT "acked", "watermark", "passed", "pass", "writer" FROM ${from} WHERE ${where}`,
    )
  }
})

/** As recorded, or as the sources of the versions have it. */
const REFUSALS: [api: string, Reply, fix: RegExp][] = [
  // 1.x
  ['v1', fault(401, 'authorization failed'), /401.*read access/],
  ['v1', fault(403, '"w" user is not authorized to read from database "telemetry"'), /403.*read access/],
  ['v1', said("w not authorized to execute statement 'SELECT', requires READ on telemetry"), /read access/],
  ['v1', said('max-select-series limit exceeded: (100002/100000)'), /\[coordinator\] in influxdb\.conf/],
  ['v1', said('max-select-point limit exceeed: (10/5)'), /\[coordinator\] in influxdb\.conf/],
  ['v1', said('max-concurrent-queries limit exceeded(5, 5)'), /Raise max-concurrent-queries/],
  ['v1', said('query-timeout limit exceeded'), /Raise query-timeout/],
  ['v1', said('timeout'), /Raise query-timeout/],
  ['v1', said('database not found: telemetry'), /Check INFLUX_DB, or create .*tailflux init/],
  ['v1', json(series('[7,6,5,4,"1","w1"]', ',"partial":true')), /Raise max-row-limit/],
  // 2.9.1
  ['v2', { status: 401, body: '{"code":"unauthorized","message":"unauthorized access"}' }, /401.*read access/],
  ['v2', said('database not found: flows'), /read access .*tailflux init.*maps the bucket/],
  ['v2', { status: 400, body: '{"code":"invalid","message":"failed to parse query: found SELEC"}' }, /tailflux check/],
  // 3 Core 3.10.1
  ['v3', { status: 401, body: '{"error": "the request was not authenticated"}' }, /401.*read access/],
  [
    'v3',
    fault(500, 'external error: Query would scan 432 Parquet files, exceeding the file limit.'),
    /500: .*432 Parquet files.*--query-file-limit/,
  ],
  ['v3', said('Query would scan 432 Parquet files, exceeding the file limit.'), /--query-file-limit/],
  ['v3', { status: 429, body: '{"error":"query ran out of memory"}' }, /429/],
  // Whatever stands in between.
  ['v1', fault(500, 'x'), /500: x/],
  ['v1', fault(503, 'x'), /503: x/],
  ['v1', { status: 302 }, /302/],
  ['v1', { status: 200, body: '<html>sign in</html>' }, /200: <html>sign in/],
  ['v2', { status: 200, body: '<!doctype html><title>InfluxDB</title>' }, /tailflux check/],
  ['v1', json('{"results":[{"ser'), /tailflux check/],
  ['v1', json('{}'), /tailflux check/],
  ['v1', json('[]'), /tailflux check/],
  ['v1', json('null'), /tailflux check/],
  ['v1', reset, /cannot be reached/],
]

test('whoever does not answer is an answer too, with the fix: nothing is rejected', async (t) => {
  const server = await startScriptedInflux(t)
  for (const [api, reply, fix] of REFUSALS) {
    server.script(reply)
    const answer = await influxWorld({ url: server.url, api }).sink.checkpoint('default', RANGE, live())
    const text = 'cannotBeQueried' in answer ? answer.cannotBeQueried : 'it was answered'
    assert.match(text, fix)
    assert.match(text, /InfluxDB \(v\d, http.*\.$/s)
  }
})

test('a database that does not answer in time is one that cannot be asked', async (t) => {
  const server = await startScriptedInflux(t)
  server.script(hang)
  const answer = await influxWorld({ url: server.url }, { timeoutMs: 50 }).sink.checkpoint('default', RANGE, live())
  assert.match('cannotBeQueried' in answer ? answer.cannotBeQueried : '', /did not answer|no answer/)
})

test('VictoriaMetrics has no such questions, and that is no trouble', async (t) => {
  const server = await startScriptedInflux(t)
  server.script(
    json(
      '{"results":[{"statement_id":0,"series":[{"name":"databases","columns":["name"],"values":[["_internal"]]}]}]}',
    ),
  )
  const answer = await influxWorld({ url: server.url }).sink.checkpoint('default', RANGE, live())
  assert.equal('isByNature' in answer && answer.isByNature, true)
})

test('a database of InfluxDB 3 that is not there holds nothing: the next write makes it', async (t) => {
  const server = await startScriptedInflux(t)
  const { sink } = influxWorld({ url: server.url, api: 'v3' })
  for (const answer of [
    said('Cannot retrieve database: External error: database not found: telemetry'),
    fault(404, "database not found: 'telemetry'"),
  ]) {
    server.script(answer)
    assert.deepEqual(await sink.checkpoint('default', RANGE, live()), { points: [] })
  }
})

test('half an answer is none', async (t) => {
  const server = await startScriptedInflux(t)
  server.script({
    ...json(POINT),
    headers: { 'content-type': 'application/json', 'content-length': String(POINT.length) },
  })
  const proxy = await startProxy(t, server.url)
  const { sink } = influxWorld({ url: proxy.url })
  for (const kind of ['half-body', 'lose-answer'] as const) {
    await proxy.set({ kind })
    assert.ok('cannotBeQueried' in (await sink.checkpoint('default', RANGE, live())), kind)
  }
  await proxy.set(undefined)
  assert.deepEqual(await sink.checkpoint('default', RANGE, live()), { points: [point] })
})

test('what a point carries: asked for one time only, null and nothing where it carries nothing, and a refusal is told', async (t) => {
  const server = await startScriptedInflux(t)
  const { sink } = influxWorld({ url: server.url })
  const ask = () => sink.checkpointStates("it's", 7n, live())
  const columns = '["time","pass","writer","unsettled","settings"]'
  const states = (values: string) =>
    json(`{"results":[{"statement_id":0,"series":[{"name":"w","columns":${columns},"values":[${values}]}]}]}`)
  server.script(states('[7,"1","w1","m1-2","[]"],[7,"2",null,null,""]'))
  assert.deepEqual(await ask(), {
    states: [
      { pass: '1', writer: 'w1', unsettled: 'm1-2', settings: '[]' },
      { pass: '2', writer: undefined, unsettled: undefined, settings: undefined },
    ],
  })
  const from = 'SELECT "pass", "writer", "unsettled", "settings" FROM "tailflux_window"'
  assert.equal(server.asked.at(-1)?.query['q'], `${from} WHERE "tailnet" = 'it\\'s' AND time = 7`)
  server.script(json('{"results":[{"statement_id":0}]}'))
  assert.deepEqual(await ask(), { states: [] })
  server.script(said('not executed: timeout'))
  const answer = await ask()
  assert.ok('cannotBeQueried' in answer && /Raise query-timeout/.test(answer.cannotBeQueried))
  const { sink: third } = influxWorld({ url: server.url, api: 'v3' })
  server.script({ status: 404, body: '{"error":"database not found: telemetry"}' })
  assert.deepEqual(await third.checkpointStates('default', 7n, live()), { states: [] })
})
