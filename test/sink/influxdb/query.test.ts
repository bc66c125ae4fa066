/** The questions of the sink: may it write, and is the database there. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { faultOf, influxWorld, live } from './influx-world.ts'
import { type Answer, fault, OK, startScriptedInflux } from './scripted-influx.ts'

const json = (body: string): Answer => ({ status: 200, body, headers: { 'content-type': 'application/json' } })

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
