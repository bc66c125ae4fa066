/** The write policy over a real connection: which answer leads to what. What becomes of single lines is tested in named-lines.test.ts. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { CollectorError } from '../../../src/base/errors.ts'
import { batchOf, faultOf, influxWorld, live, someLines } from './influx-world.ts'
import { fault, hang, imitateV1, OK, type Reply, reset, startScriptedInflux } from './scripted-influx.ts'

test('each API has its own path, credentials and targets', async (t) => {
  const server = await startScriptedInflux(t)
  const cases: [settings: Record<string, unknown>, path: string, query: Record<string, string>, auth?: string][] = [
    [{ api: 'v1', db: 'a b' }, '/write', { db: 'a b' }],
    [{ api: 'v1', rp: 'week' }, '/write', { db: 'telemetry', rp: 'week' }],
    [{ api: 'v1', user: 'ü', password: 'p:q' }, '/write', { db: 'telemetry' }, 'Basic w7w6cDpx'],
    [{ api: 'v1', token: 'u:p' }, '/write', { db: 'telemetry' }, 'Token u:p'],
    [
      { api: 'v2', token: 'abc==' },
      '/api/v2/write',
      { org: 'home', bucket: 'telemetry', precision: 'ns' },
      'Token abc==',
    ],
    [{ api: 'v2', bucket: 'db/rp' }, '/api/v2/write', { org: 'home', bucket: 'db/rp', precision: 'ns' }],
    [
      { api: 'v3', token: 'abc' },
      '/api/v3/write_lp',
      { db: 'telemetry', precision: 'nanosecond', accept_partial: 'false' },
      'Bearer abc',
    ],
    [
      { api: 'v3', bucket: undefined, db: 'other' },
      '/api/v3/write_lp',
      { db: 'other', precision: 'nanosecond', accept_partial: 'false' },
    ],
  ]
  for (const [settings, path, query, auth] of cases) {
    const { write } = influxWorld({ url: server.url, ...settings })
    assert.deepEqual(await write(someLines(2)), { written: 2, rejected: 0, expired: 0 })
    const asked = server.asked.at(-1)
    assert.equal(asked?.method, 'POST')
    assert.deepEqual([asked?.path, asked?.query, asked?.headers.authorization], [path, query, auth])
    assert.equal(asked?.body, `${someLines(2).join('\n')}\n`)
    assert.match(asked?.headers['content-type'] ?? '', /^text\/plain/)
  }
})

test('each target goes to its place, and the main place and that of raw points are probed', async (t) => {
  const server = await startScriptedInflux(t)
  for (const [api, name, main, raw, minutes] of [
    ['v1', 'rp', 'week', 'raw', 'minutes'],
    ['v2', 'bucket', 'telemetry', 'telemetry/raw', 'telemetry/minutes'],
    ['v3', 'db', 'telemetry', 'telemetry/raw', 'telemetry/minutes'],
  ] as const) {
    const rp = api === 'v1' ? 'week' : undefined
    const { write, sink } = influxWorld({ url: server.url, api, rp, retention: { raw: 7, minutes: 30 } })
    const before = server.asked.length
    for (const target of ['raw', 'minutes', 'main'] as const) await write(someLines(1), live(), target)
    // Not the place of minutes: where it is missing, raw points go on.
    await sink.probe(live())
    // 3.x is asked first whether a place with a retention is there.
    const writes = server.asked.slice(before).filter(({ path }) => path !== '/query')
    assert.deepEqual(
      writes.map(({ query, lines }) => [query[name], lines.length]),
      [
        [raw, 1],
        [minutes, 1],
        [main, 1],
        [main, 0],
        [raw, 0],
      ],
      api,
    )
  }
})

test('what has no retention of its own is in the main place', async (t) => {
  const server = await startScriptedInflux(t)
  const { write, sink } = influxWorld({ url: server.url, api: 'v2', retention: { minutes: 30, rest: 365 } })
  for (const target of ['raw', 'minutes', 'main'] as const) await write(someLines(1), live(), target)
  await sink.probe(live())
  assert.deepEqual(
    server.asked.map(({ query }) => query['bucket']),
    ['telemetry', 'telemetry/minutes', 'telemetry', 'telemetry'],
  )
})

test('a place that is missing holds the line, and the error names it and the fix', async (t) => {
  const server = await startScriptedInflux(t)
  const missing: [string, Reply][] = [
    ['v1', fault(500, 'retention policy not found: raw')],
    ['v2', { status: 404, body: '{"code":"not found","message":"bucket \\"telemetry/raw\\" not found"}' }],
  ]
  for (const [api, reply] of missing) {
    server.script((asked, response) => {
      const isRaw = /raw$/.test(asked.query['rp'] ?? asked.query['bucket'] ?? '')
      return !isRaw ? { status: 204 } : typeof reply === 'function' ? reply(asked, response) : reply
    })
    const { write, sink, pass } = influxWorld({ url: server.url, api, retention: { raw: 7, minutes: 30 } })
    for (const failing of [write(someLines(1), live(), 'raw'), pass(sink.probe(live()))]) {
      const error = await faultOf(failing)
      assert.deepEqual([error.code, error.reaction], ['db_not_found', 'hold'])
      assert.match(error.message, /(retention policy raw of database telemetry|bucket telemetry\/raw)\)/)
      assert.match(error.message, /It is the place of retention\.raw\. Create it with `tailflux init`/)
    }
    assert.equal((await write(someLines(1), live(), 'main')).written, 1)
  }
})

test('3.x: a place with a retention is not made by a write, which would keep its points forever', async (t) => {
  const server = await startScriptedInflux(t)
  let answer = 'Cannot retrieve database: External error: database not found: telemetry/raw'
  server.script(({ path, query }) => {
    if (path !== '/query') return { status: 204 }
    const isRaw = query['db'] === 'telemetry/raw'
    return { status: 200, body: JSON.stringify({ results: [isRaw && answer !== '' ? { error: answer } : {}] }) }
  })
  const { write, sink, pass } = influxWorld({ url: server.url, api: 'v3', retention: { raw: 7 } })
  for (const failing of [write(someLines(1), live(), 'raw'), pass(sink.probe(live()))]) {
    const error = await faultOf(failing)
    assert.deepEqual([error.code, error.reaction], ['db_not_found', 'hold'])
    assert.match(error.message, /database telemetry\/raw\) is not there\..*keep its points forever\..*tailflux init/)
  }
  const writes = () => server.asked.filter(({ path, query }) => path !== '/query' && query['db'] === 'telemetry/raw')
  assert.deepEqual(writes(), [], 'nothing was written there')
  assert.equal(
    (await write(someLines(1), live(), 'main')).written,
    1,
    'the main place has no retention of the settings',
  )
  // Whoever may not read is not kept from writing.
  answer = 'the request was not authorized'
  assert.equal((await write(someLines(1), live(), 'raw')).written, 1)
  answer = ''
  await write(someLines(1), live(), 'raw')
  const before = server.asked.length
  await write(someLines(1), live(), 'raw')
  assert.equal(server.asked.length, before + 1, 'it is looked for once')
})

test('what is wrong with rows of minutes neither stops raw points nor is told to listeners', async (t) => {
  const server = await startScriptedInflux(t)
  server.script(({ query }) =>
    query['rp'] === 'minutes' ? fault(500, 'retention policy not found: minutes') : { status: 204 },
  )
  const { write, sink } = influxWorld({ url: server.url, api: 'v1', retention: { raw: 7, minutes: 30 } })
  const heard: string[] = []
  sink.listen({ failed: ({ code }) => heard.push(code), succeeded: (lines) => heard.push(`${lines} written`) })
  const rows = { ...batchOf(someLines(2), 'minutes'), isBestEffort: true } as const
  assert.equal((await faultOf(sink.write(rows, live()))).code, 'db_not_found')
  assert.equal((await write(someLines(3), live(), 'raw')).written, 3)
  await sink.probe(live())
  assert.deepEqual(heard, ['3 written'])
})

test('rows that the database refuses for good say nothing about raw points', async (t) => {
  const server = await startScriptedInflux(t)
  const refusesAll = imitateV1(new Map(), () => true)
  const refusesOdd = imitateV1(new Map(), (line) => line.includes('src=odd'))
  server.script((asked) => (asked.query['rp'] === 'minutes' ? refusesAll(asked) : refusesOdd(asked)))
  const { sink, write, letters } = influxWorld({ url: server.url, api: 'v1', retention: { raw: 7, minutes: 30 } })
  const of = (node: number) => `tailnet_node,node=n${node}CNTRL v=1i ${1_793_620_000_000_000_000n + BigInt(node)}`
  const rows = { ...batchOf([1, 2, 3, 4, 5].map(of), 'minutes'), isBestEffort: true } as const
  assert.match((await faultOf(sink.write(rows, live()))).message, /refuses every line of every node/)
  // One line, refused: of several nodes nothing is taken, but those were rows.
  const odd = ['tailnet_flow,node=n1CNTRL,src=odd v=1i 1793620000000000001']
  assert.deepEqual(await write(odd, live(), 'raw'), { written: 0, rejected: 1, expired: 0 })
  assert.deepEqual(
    letters.map(({ text }) => text).filter((text) => text.includes('odd')),
    odd,
  )
})

test('a path in the URL is kept', async (t) => {
  const server = await startScriptedInflux(t)
  await influxWorld({ url: `${server.url}/influx/` }).write(someLines(1))
  assert.equal(server.asked[0]?.path, '/influx/write')
})

test('large bodies are compressed, with a known length; not to this very machine', async (t) => {
  const server = await startScriptedInflux(t)
  const lines = someLines(1_000)
  for (const [gzip, count, encoding] of [
    ['on', 1_000, 'gzip'],
    ['on', 2, undefined],
    ['auto', 1_000, undefined],
    ['off', 1_000, undefined],
  ] as const) {
    await influxWorld({ url: server.url, gzip }).write(lines.slice(0, count))
    const { headers, body } = server.asked.at(-1) ?? assert.fail()
    assert.equal(headers['content-encoding'], encoding)
    assert.equal(headers['transfer-encoding'], undefined)
    assert.equal(body, `${lines.slice(0, count).join('\n')}\n`)
    if (encoding) assert.ok(Number(headers['content-length']) < body.length / 4)
  }
})

test('what may pass by itself is tried again with the same bytes until it is acknowledged', async (t) => {
  const server = await startScriptedInflux(t)
  const passing: [string, Reply][] = [
    ['reset', reset],
    ...[408, 425, 429, 499, 500, 502, 503, 504, 507, 599].map(
      (status) => [String(status), fault(status, 'engine: cache-max-memory-size exceeded')] as [string, Reply],
    ),
    ['502 HTML', { status: 502, body: '<html>Bad Gateway</html>', headers: { 'content-type': 'text/html' } }],
    ['400 wal', fault(400, 'write buffer error: error from wal: object store error')],
    ['400 wal buffer', fault(400, 'wal buffer full with 1000 entries')],
    ['200 once', { status: 200 }],
    ['202 once', { status: 202, body: 'accepted' }],
    ['207 once', { status: 207 }],
  ]
  for (const [name, reply] of passing) {
    server.asked.length = 0
    server.script(reply, OK)
    const { write, letters, metrics } = influxWorld({ url: server.url })
    assert.deepEqual(await write(someLines(3)), { written: 3, rejected: 0, expired: 0 }, name)
    assert.equal(server.asked.length, 2, name)
    assert.equal(server.asked[0]?.body, server.asked[1]?.body, name)
    assert.equal(metrics.calls.get('retried')?.length, 1, name)
    assert.deepEqual(letters, [], name)
  }
})

test('listeners hear of each failed attempt and of each acknowledged request, also when the write succeeds', async (t) => {
  const server = await startScriptedInflux(t)
  server.script(reset, fault(503, 'starting'), { status: 200 }, OK, OK)
  const { sink, write } = influxWorld({ url: server.url })
  const heard: (string | number)[] = []
  const listener = {
    failed: (error: CollectorError) => void heard.push(error.code),
    succeeded: (written: number) => void heard.push(written),
  }
  const end = sink.listen(listener)
  sink.listen({ failed: () => void heard.push('another'), succeeded: () => undefined })
  await write(someLines(3))
  assert.deepEqual(heard, ['db_unreachable', 'another', 'db_overloaded', 'another', 'db_unconfirmed', 'another', 3])
  end()
  await write(someLines(2))
  assert.equal(heard.length, 7, 'and not after they stopped listening')
  await sink.probe(live())
  server.script(fault(401, 'unauthorized'))
  await assert.rejects(write(someLines(2)))
  assert.deepEqual(heard.slice(7), ['another'])
})

test('listeners hear nothing of what observers write: a database that refuses events takes points all the same', async (t) => {
  const server = await startScriptedInflux(t)
  server.script(OK, fault(401, 'unauthorized'), fault(500, 'starting'), OK)
  const { sink, pass } = influxWorld({ url: server.url })
  const heard: (string | number)[] = []
  sink.listen({ failed: ({ code }) => void heard.push(code), succeeded: (written) => void heard.push(written) })
  const bytes = Buffer.from('tailflux_event,alert=a v=1i 1\ntailflux_event,alert=b v=1i 1\n')
  const bestEffort = { bytes, lineCount: 2, target: 'main', isBestEffort: true } as const
  await pass(sink.write(bestEffort, live()))
  await assert.rejects(sink.write(bestEffort, live()))
  assert.equal((await pass(sink.write(bestEffort, live()))).written, 2)
  assert.deepEqual(heard, [])
})

test('what a person must fix is reported at once, and nothing is dropped', async (t) => {
  const server = await startScriptedInflux(t)
  const held: [Reply, string, RegExp][] = [
    [fault(401, 'unauthorized access'), 'db_unauthorized', /credentials.*INFLUX_TOKEN/],
    [fault(403, 'insufficient permissions for write'), 'db_forbidden', /write access/],
    [fault(404, 'database not found: "telemetry"'), 'db_not_found', /Create it/],
    [
      { status: 404, body: '404 page not found', headers: { 'content-type': 'text/plain' } },
      'db_not_found',
      /INFLUX_API/,
    ],
    [fault(405, 'no'), 'db_misconfigured', /INFLUX_URL/],
    [fault(411, 'length'), 'db_misconfigured', /411/],
    [fault(415, 'type'), 'db_misconfigured', /415/],
    [{ status: 301, headers: { location: '/elsewhere' } }, 'db_misconfigured', /redirect/],
    [fault(400, 'database is required'), 'db_misconfigured', /INFLUX_API/],
    [fault(400, 'invalid precision "x" (use n, u, ms, s, m or h)'), 'db_misconfigured', /INFLUX_API/],
    [fault(500, 'retention policy not found: week'), 'db_not_found', /INFLUX_RP/],
    [fault(400, 'retention policy not found: week'), 'db_not_found', /INFLUX_RP/],
    [
      fault(400, 'partial write: max-series-per-database limit exceeded: (10) dropped=5'),
      'db_limit',
      /limit of series/,
    ],
    [fault(422, 'Update to schema would exceed number of columns'), 'db_limit', /limit of tables or columns/],
    [fault(422, 'Adding a new database would exceed limit of 5 databases'), 'db_misconfigured', /INFLUX_BUCKET/],
    [fault(500, 'write wal/_00001.wal: no space left on device'), 'db_storage', /disk is full.*Free space.*restart/],
    [fault(500, 'unexpected error writing points to database: engine is closed'), 'db_storage', /restart InfluxDB/],
    [fault(503, 'open x: too many open files'), 'db_storage', /ulimit/],
    [{ status: 200, body: '<html>' }, 'db_unconfirmed', /no confirmation/],
    [{ status: 202 }, 'db_unconfirmed', /202/],
  ]
  for (const [reply, code, text] of held) {
    server.script(reply)
    const { write, letters } = influxWorld({ url: server.url })
    const error = await faultOf(write(someLines(3)))
    assert.deepEqual([error.code, error.reaction], [code, 'hold'])
    assert.match(error.message, text)
    assert.match(error.message, /^InfluxDB \(v1, http/)
    assert.deepEqual(letters, [])
  }
})

test('a server that is not there yet, cuts, or keeps silent: the batch arrives all the same, and no socket stays open', async (t) => {
  const server = await startScriptedInflux(t)
  await server.close()
  const { write, metrics } = influxWorld({ url: server.url }, { random: () => 0, timeoutMs: 300 })
  const writing = write(someLines(3))
  while ((metrics.calls.get('retried')?.length ?? 0) < 3) await new Promise(setImmediate)
  const retriedFor = () => metrics.calls.get('retried')?.map(([code]) => code)
  assert.deepEqual(new Set(retriedFor()), new Set(['db_unreachable']))
  await server.open()
  assert.equal((await writing).written, 3)

  const cut: Reply = (_asked, response) => {
    response.writeHead(500, { 'content-length': '100' }).write('half')
    response.socket?.destroySoon()
    return undefined
  }
  server.script(cut, hang, reset, OK)
  metrics.calls.clear()
  assert.equal((await write(someLines(3))).written, 3)
  assert.deepEqual(retriedFor(), ['db_unreachable', 'db_timeout', 'db_unreachable'])
  await server.until(() => server.openSockets() <= 1)
  assert.equal(server.openSockets(), 1)
})

test('after giveUp the last error is passed on, for the window to be read again later', async (t) => {
  const server = await startScriptedInflux(t)
  server.script(fault(500, 'first'), fault(500, 'last'))
  const { write, clock, metrics } = influxWorld({ url: server.url, giveUp: '5m' }, { random: () => 1 })
  const error = await faultOf(write(someLines(1)))
  assert.deepEqual([error.code, error.reaction], ['db_unavailable', 'retry'])
  assert.match(error.message, /last/)
  assert.ok(clock.monotonicMs() <= 300_000 && clock.monotonicMs() > 240_000, `${clock.monotonicMs()}`)
  // 1, 2, 4, … 32, then 60 s each.
  assert.equal(metrics.calls.get('retried')?.length, 9)
})

test('Retry-After is obeyed, in seconds and as a date, up to ten minutes', async (t) => {
  const server = await startScriptedInflux(t)
  const cases: [status: number, header: string, waitMs: number][] = [
    [429, '7', 7_000],
    [503, ' 30 ', 30_000],
    [503, 'Mon, 02 Nov 2026 12:00:45 GMT', 45_000],
    [503, 'Mon, 02 Nov 2026 11:00:00 GMT', 0],
    [429, '86400', 600_000],
    [503, 'soon', 0],
  ]
  for (const [status, header, waitMs] of cases) {
    server.script(fault(status, 'later', { 'retry-after': header }), OK)
    const { write, clock } = influxWorld({ url: server.url, giveUp: '1h' }, { random: () => 0 })
    await write(someLines(1))
    assert.equal(clock.monotonicMs(), waitMs, header)
  }
})

test('while the database is overloaded all senders pause', async (t) => {
  const server = await startScriptedInflux(t)
  server.script(fault(503, 'request throttled', { 'retry-after': '20' }), OK)
  const { sink, clock, pass } = influxWorld({ url: server.url }, { random: () => 0 })
  const batch = { bytes: Buffer.from('m v=1i 1\n'), lineCount: 1, target: 'main' } as const
  const first = sink.write(batch, live())
  await server.until(() => server.asked.length === 1)
  while (clock.nextWakeMs() === undefined) await new Promise(setImmediate)
  const others = [sink.write(batch, live()), sink.write(batch, live())]
  await clock.advance(19_999)
  assert.equal(server.asked.length, 1)
  await pass(Promise.all([first, ...others]))
  assert.equal(clock.monotonicMs(), 20_000)
  assert.equal(server.asked.length, 4)
})

test('a pause that outlasts giveUp is told to every sender at once', async (t) => {
  const server = await startScriptedInflux(t)
  server.script(fault(429, 'quota', { 'retry-after': '300' }))
  const { write } = influxWorld({ url: server.url, giveUp: '30s' })
  for (let times = 0; times < 2; times += 1) {
    const error = await faultOf(write(someLines(1)))
    assert.deepEqual([error.code, error.reaction, error.retryAfterMs], ['db_overloaded', 'retry', 300_000])
  }
  assert.equal(server.asked.length, 1)
})

test('Enterprise that has only queued the lines for another node has not taken them', async (t) => {
  const server = await startScriptedInflux(t)
  server.script(fault(500, 'write failed: hinted handoff queue not empty'), OK)
  const { write, metrics } = influxWorld({ url: server.url })
  assert.equal((await write(someLines(2))).written, 2)
  assert.equal(server.asked.length, 2)
  assert.deepEqual(
    metrics.calls.get('retried')?.map(([code]) => code),
    ['db_unavailable'],
  )
})

test('trouble about memory or time that lasts: after a minute the batch is halved, smaller ones follow for a while, then whole ones again', async (t) => {
  const server = await startScriptedInflux(t)
  for (const trouble of ['engine: cache-max-memory-size exceeded: (1074008346/1073741824)', 'timeout']) {
    const stored = new Set<string>()
    let most = 250
    server.script(({ lines }) => {
      if (lines.length > most) return fault(500, trouble)
      for (const line of lines) stored.add(line)
      return OK
    })
    server.asked.length = 0
    const { write, clock, letters } = influxWorld({ url: server.url, giveUp: '10m', gzip: 'off' })
    const lines = someLines(1_000)
    assert.deepEqual(await write(lines), { written: 1_000, rejected: 0, expired: 0 })
    assert.deepEqual(stored, new Set(lines))
    assert.deepEqual(letters, [])
    const tookMs = clock.monotonicMs()
    assert.ok(tookMs >= 120_000 && tookMs < 300_000, `two halvings, a minute each: ${tookMs} ms`)
    server.asked.length = 0
    await write(lines)
    assert.ok(server.asked.length >= 4, 'the ceiling is lower for a while')
    assert.ok(server.asked.every((asked) => asked.lines.length <= 250))
    most = 1_000
    await clock.advance(600_000)
    server.asked.length = 0
    await write(lines)
    assert.equal(server.asked.length, 1)
  }
})

test('one line that meets such trouble is never given up as too large', async (t) => {
  const server = await startScriptedInflux(t)
  server.script(fault(500, 'engine: cache-max-memory-size exceeded: (2/1)'))
  const { write, letters } = influxWorld({ url: server.url })
  const error = await faultOf(write(someLines(1)))
  assert.deepEqual([error.code, error.reaction], ['db_unavailable', 'retry'])
  assert.match(error.message, /cache-max-memory-size/)
  assert.deepEqual(letters, [])
})

test('an abort ends the write at once with its reason, in mid-request and in mid-wait', async (t) => {
  const server = await startScriptedInflux(t)
  const reason = new Error('stopping')
  server.script(hang)
  const { sink, clock } = influxWorld({ url: server.url })
  const batch = { bytes: Buffer.from('m v=1i 1\n'), lineCount: 1, target: 'main' } as const
  const asking = new AbortController()
  const first = sink.write(batch, asking.signal)
  await server.until(() => server.asked.length === 1)
  asking.abort(reason)
  await assert.rejects(first, reason)
  await server.until(() => server.openSockets() === 0)

  server.script(fault(500, 'down'))
  const waiting = new AbortController()
  const second = sink.write(batch, waiting.signal)
  while (clock.nextWakeMs() === undefined) await new Promise(setImmediate)
  waiting.abort(reason)
  await assert.rejects(second, reason)
  await assert.rejects(sink.write(batch, waiting.signal), reason)
  await assert.rejects(sink.probe(waiting.signal), reason)
  await assert.rejects(sink.checkpoint('default', { fromNs: 0n, toNs: 1n }, waiting.signal), reason)
  assert.equal(clock.nextWakeMs(), undefined)
})

test('stop closes the connections; twice is harmless, and afterwards it may be used again', async (t) => {
  const server = await startScriptedInflux(t)
  const { sink, write } = influxWorld({ url: server.url })
  await sink.start(live())
  await write(someLines(1))
  assert.equal(server.openSockets(), 1)
  await sink.stop()
  await sink.stop()
  await server.until(() => server.openSockets() === 0)
  await sink.start(live())
  assert.equal((await write(someLines(1))).written, 1)
  await sink.stop()
})

test('what was written is counted', async (t) => {
  const server = await startScriptedInflux(t)
  server.script(fault(503, 'x'), OK)
  const { write, metrics } = influxWorld({ url: server.url })
  await write(someLines(3))
  assert.deepEqual(metrics.calls.get('written'), [[3, `${someLines(3).join('\n')}\n`.length]])
  assert.deepEqual(
    metrics.calls.get('request')?.map(([code]) => code),
    ['503', '204'],
  )
  assert.deepEqual(
    metrics.calls.get('retried')?.map(([code]) => code),
    ['db_overloaded'],
  )
})

test('a receipt tells when the first request that was answered was sent: not one that failed, and of halves the first', async (t) => {
  const server = await startScriptedInflux(t)
  const { sink, pass, clock } = influxWorld({ url: server.url, api: 'v1' })
  const sent = async (lines: number, replies: [Reply, ...Reply[]]) => {
    server.script(...replies)
    const beganMs = clock.monotonicMs()
    const { sentMs } = await pass(sink.write(batchOf(someLines(lines)), live()))
    return { sentMs: sentMs - beganMs, tookMs: clock.monotonicMs() - beganMs }
  }
  const away = fault(503, 'engine: closed for a moment')
  const retried = await sent(2, [away, OK])
  assert.ok(retried.sentMs > 0 && retried.sentMs === retried.tookMs, JSON.stringify(retried))
  const halved = await sent(4, [fault(413, 'too large'), OK, away, OK])
  assert.ok(halved.sentMs === 0 && halved.tookMs > 0, JSON.stringify(halved))
})
