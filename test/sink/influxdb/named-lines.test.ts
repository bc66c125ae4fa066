/** What becomes of each line of a batch that the database does not simply take, against imitations of InfluxDB 1.x, 2.x and 3.x over HTTP. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CollectorError } from '../../../src/base/errors.ts'
import { faultOf, type InfluxWorld, influxWorld, live, someLines } from './influx-world.ts'
import {
  fault,
  type Imitation,
  imitateV1,
  imitateV2,
  imitateV3,
  OK,
  type Reply,
  type Stored,
  startScriptedInflux,
} from './scripted-influx.ts'

const texts = ({ letters }: InfluxWorld) => letters.map(({ text }) => text)

/** Whole numbers from 0 to below `end`, repeatable. */
function randomOf(seed: number): (end: number) => number {
  let state = seed >>> 0
  return (end) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * end)
  }
}

test('exactly the bad lines lie in the dead letters, every other line is stored', async (t) => {
  const server = await startScriptedInflux(t)
  const kinds: [string, Record<string, unknown>, (stored: Stored, isBad: (line: string) => boolean) => Imitation][] = [
    ['1.x', { api: 'v1' }, imitateV1],
    ['2.x parse', { api: 'v2' }, (stored, isBad) => imitateV2(stored, isBad, 'parse')],
    ['2.x storage', { api: 'v2' }, (stored, isBad) => imitateV2(stored, isBad, 'storage')],
    ['3.x', { api: 'v3' }, imitateV3],
    ['3.x by the path of 2.x', { api: 'v2' }, imitateV3],
  ]
  for (const seed of [1, 2, 3, 4, 5, 6]) {
    const next = randomOf(seed)
    const lines = someLines(1 + next(400))
    const bad = new Set(Array.from({ length: next(8) }, () => lines[next(lines.length)] ?? ''))
    // A batch of nothing but bad lines is another matter.
    if (bad.size === lines.length) continue
    for (const [name, settings, imitate] of kinds) {
      const stored: Stored = new Map()
      server.asked.length = 0
      server.script(imitate(stored, (line) => bad.has(line)))
      const world = influxWorld({ url: server.url, ...settings })
      const receipt = await world.write(lines)
      const hint = `${name}, seed ${seed}, ${bad.size} of ${lines.length}`
      assert.deepEqual(receipt, { written: lines.length - bad.size, rejected: bad.size, expired: 0 }, hint)
      assert.deepEqual(new Set(texts(world)), bad, hint)
      assert.deepEqual([...stored.values()].toSorted(), lines.filter((line) => !bad.has(line)).toSorted(), hint)
      // Where lines are named: one to learn of them; 3.x: one for each, one for the good ones before the last bad one, and one for what was set
      // apart. Else two per level for each bad line.
      const most = /^1|parse/.test(name)
        ? 2
        : name === '3.x'
          ? bad.size + 4
          : 1 + bad.size * 2 * Math.ceil(Math.log2(lines.length + 1))
      assert.ok(server.asked.length <= most, `${hint}: ${server.asked.length} requests, ${most} are enough`)
    }
  }
})

test('a dead letter tells the line byte for byte, and why', async (t) => {
  const server = await startScriptedInflux(t)
  const lines = someLines(4)
  lines[2] = 'm,tag=ü\\ \\=\\,"🙂" text="a b",v=1i 1793620000000000001'
  server.script(imitateV2(new Map(), (line) => line === lines[2], 'parse'))
  const world = influxWorld({ url: server.url, api: 'v2' })
  await world.write(lines)
  assert.equal(world.letters.length, 1)
  const { stage, reason, detail, text } = world.letters[0] ?? assert.fail()
  assert.deepEqual([stage, reason, text], ['sink', 'rejected', lines[2]])
  assert.match(detail ?? '', /^unable to parse 'm,tag=ü/)
  assert.deepEqual(world.metrics.calls.get('rejected'), [[1, 'rejected']])
})

test('the receipt waits for the dead letters, and fails with them', async (t) => {
  const server = await startScriptedInflux(t)
  server.script(imitateV1(new Map(), (line) => line.includes('v=1i')))
  const full = new CollectorError('full', { stage: 'sink', code: 'dead_letters_failed', reaction: 'hold' })
  const world = influxWorld({ url: server.url }, { append: () => Promise.reject(full) })
  assert.equal(await faultOf(world.write(someLines(10))), full)
  assert.equal(world.metrics.calls.get('written'), undefined)
})

test('a 5xx that speaks of lines is a refusal of lines', async (t) => {
  const server = await startScriptedInflux(t)
  const stored: Stored = new Map()
  const imitation = imitateV2(stored, (line) => line.includes('v=3i'), 'storage') as (asked: never) => {
    status: number
  }
  server.script((asked) => {
    const answer = imitation(asked as never)
    return answer.status === 422 ? { ...answer, status: 500 } : answer
  })
  const world = influxWorld({ url: server.url, api: 'v2' })
  assert.deepEqual(await world.write(someLines(9)), { written: 8, rejected: 1, expired: 0 })
})

test('201 with a body is a partial success', async (t) => {
  const server = await startScriptedInflux(t)
  server.script(({ lines }) =>
    lines.some((line) => line.includes('v=2i'))
      ? { status: 201, body: 'partial write has occurred, errors encountered on line(s): line 3' }
      : OK,
  )
  const world = influxWorld({ url: server.url, api: 'v2' })
  assert.deepEqual(await world.write(someLines(5)), { written: 4, rejected: 1, expired: 0 })
})

test('a type conflict holds at once, names what the database says and the fix, and nothing lies in the dead letters', async (t) => {
  const server = await startScriptedInflux(t)
  const conflict =
    'partial write: field type conflict: input field "tx_bytes" on measurement "tailnet_flow" is type integer, already exists as type float dropped=500'
  const v3 = {
    error: 'line protocol parsing error',
    data: {
      error_message:
        "invalid column type for column 'tx_bytes', expected iox::column_type::field::float, got iox::column_type::field::integer",
      line_number: 1,
      original_line: 'tailnet_flow,node=n1',
    },
  }
  for (const [api, reply, words] of [
    [
      'v1',
      fault(400, conflict),
      /"tx_bytes" on measurement "tailnet_flow" is type integer, already exists as type float/,
    ],
    ['v2', fault(422, `failure writing points to database: ${conflict}`), /"tx_bytes" on measurement "tailnet_flow"/],
    ['v3', { status: 400, body: JSON.stringify(v3) }, /column 'tx_bytes', expected .*float.* 'tailnet_flow,node=n1'/],
  ] as const) {
    server.asked.length = 0
    server.script(reply)
    const world = influxWorld({ url: server.url, api })
    const error = await faultOf(world.write(someLines(5_000)))
    assert.deepEqual([error.code, error.reaction], ['db_conflict', 'hold'], api)
    assert.match(error.message, words)
    assert.match(error.message, /drop the measurement.*Nothing is lost/s)
    assert.deepEqual(world.letters, [])
    assert.equal(server.asked.length, 1)
    server.script(OK)
    assert.equal((await world.write(someLines(5_000))).written, 5_000)
  }
})

test('now and then a bad line among many good ones never stops the line', async (t) => {
  const server = await startScriptedInflux(t)
  server.script(imitateV1(new Map(), (line) => /v=\d*77i/.test(line)))
  const world = influxWorld({ url: server.url })
  for (let batch = 0; batch < 60; batch += 1) await world.write(someLines(100, batch * 100))
  assert.equal(world.letters.length, 60)
})

test('a search for many lines that nobody names ends for now, and each attempt gets further until all is settled', async (t) => {
  const server = await startScriptedInflux(t)
  const stored: Stored = new Map()
  const isBad = (line: string) => /v=\d*[05]7i/.test(line)
  server.script(imitateV3(stored, isBad))
  const world = influxWorld({ url: server.url, api: 'v2' })
  const lines = someLines(8_000)
  let attempts = 1
  for (; ; attempts += 1) {
    server.asked.length = 0
    const outcome = await world.write(lines).catch((error) => error)
    assert.ok(server.asked.length <= 1_001, `${server.asked.length} requests`)
    if (!(outcome instanceof CollectorError)) {
      assert.deepEqual(outcome, { written: 7_841, rejected: 159, expired: 0 })
      break
    }
    assert.deepEqual([outcome.code, outcome.reaction], ['db_rejected', 'retry'])
    assert.match(outcome.message, /of 8000 were found in \d+ requests.*next attempt/)
    assert.deepEqual(world.letters, [], 'nothing before the batch is settled')
    assert.ok(attempts < 5)
  }
  assert.ok(attempts > 1)
  assert.deepEqual(new Set(texts(world)), new Set(lines.filter(isBad)))
  assert.equal(stored.size, 7_841)
})

test('a refusal in unknown words buries no line unless another line is taken', async (t) => {
  const server = await startScriptedInflux(t)
  server.script({ status: 400, body: 'Client sent an HTTP request to an HTTPS server.' })
  const world = influxWorld({ url: server.url })
  for (const count of [1, 2, 300]) {
    const error = await faultOf(world.write(someLines(count)))
    assert.deepEqual([error.code, error.reaction], ['db_rejected', 'hold'])
    assert.match(error.message, /HTTPS server/)
  }
  assert.deepEqual(world.letters, [])
  server.script(({ lines }) => (lines.some((line) => line.includes('v=2i')) ? { status: 400, body: 'no' } : OK))
  assert.deepEqual(await world.write(someLines(5)), { written: 4, rejected: 1, expired: 0 })
})

test('a bad line alone in its batch lies in the dead letters', async (t) => {
  const server = await startScriptedInflux(t)
  server.script(fault(400, "unable to parse 'x': missing fields"))
  const world = influxWorld({ url: server.url })
  assert.deepEqual(await world.write(someLines(1)), { written: 0, rejected: 1, expired: 0 })
})

test("text of somebody's choice inside a quoted line changes nothing", async (t) => {
  const server = await startScriptedInflux(t)
  for (const name of [
    'error from wal',
    'overloaded',
    'database is required',
    'max-series-per-database',
    'beyond retention policy dropped=3',
    'retention policy not found',
    'hinted handoff queue not empty',
    " point 'overloaded'",
  ]) {
    const lines = someLines(3)
    lines[1] = `m,node_name=${name.replaceAll(/[ ,=]/g, '\\$&')} v=1i 1793620000000000001`
    for (const status of [400, 500]) {
      server.script((asked) =>
        asked.lines.includes(lines[1] ?? '') ? fault(status, `unable to parse '${lines[1]}': invalid number`) : OK,
      )
      const world = influxWorld({ url: server.url, api: 'v2' })
      assert.deepEqual(await world.write(lines), { written: 2, rejected: 1, expired: 0 }, name)
      assert.deepEqual(texts(world), [lines[1]])
    }
  }
})

test('a type conflict that names the retention policy is no matter of retention', async (t) => {
  const server = await startScriptedInflux(t)
  server.script(
    fault(
      422,
      'failure writing points to database: partial write: field type conflict: input field "v" on measurement "m" is type float, already exists as type integer dropped=1 for database: 0a for retention policy: autogen',
    ),
  )
  const error = await faultOf(influxWorld({ url: server.url, api: 'v2' }).write(someLines(30)))
  assert.equal(error.code, 'db_conflict')
})

test('413: halves, recursively, and smaller batches from then on', async (t) => {
  const server = await startScriptedInflux(t)
  const stored = new Set<string>()
  const limit = 30_000
  server.script(({ body, lines }) => {
    if (body.length > limit) return fault(413, 'Request Entity Too Large')
    for (const line of lines) stored.add(line)
    return OK
  })
  const world = influxWorld({ url: server.url })
  const lines = someLines(1_500)
  assert.deepEqual(await world.write(lines), { written: 1_500, rejected: 0, expired: 0 })
  assert.deepEqual([...stored].toSorted(), lines.toSorted())
  server.asked.length = 0
  assert.equal((await world.write(lines)).written, 1_500)
  assert.ok(
    server.asked.every(({ body }) => body.length <= limit),
    'nothing too large is sent again',
  )
})

test('413 for a single line: it lies in the dead letters, the others are written, and the ceiling stays useful', async (t) => {
  const server = await startScriptedInflux(t)
  const lines = someLines(64)
  lines[20] = `m,long=${'x'.repeat(5_000)} v=1i 1`
  server.script((asked) => (asked.lines.includes(lines[20] ?? '') ? { status: 413 } : OK))
  const world = influxWorld({ url: server.url })
  assert.deepEqual(await world.write(lines), { written: 63, rejected: 1, expired: 0 })
  assert.deepEqual(
    world.letters.map(({ reason, text }) => [reason, text]),
    [['too_large', lines[20]]],
  )
  server.asked.length = 0
  server.script(OK)
  await world.write(someLines(200))
  assert.ok(server.asked.length <= 2, `${server.asked.length} requests for 20 kB`)
})

/** Keeps lines from `floorNs` up to below `ceilingNs` as 1.x does; `lie` makes the number that it reports from the true one. */
function imitateRetention(
  stored: Set<string>,
  lie: (dropped: number, lines: number) => number | undefined,
  floorNs: bigint,
  ceilingNs = 1n << 62n,
): Reply {
  const timeOf = (line: string) => BigInt(line.slice(line.lastIndexOf(' ') + 1))
  return ({ lines }) => {
    const kept = lines.filter((line) => timeOf(line) >= floorNs && timeOf(line) < ceilingNs)
    for (const line of kept) stored.add(line)
    const dropped = lines.length - kept.length
    if (dropped === 0) return OK
    const reported = lie(dropped, lines.length)
    return fault(
      400,
      `partial write: points beyond retention policy${reported === undefined ? '' : ` dropped=${reported}`}`,
    )
  }
}

test('expired lines are counted, the others written, whatever number the database tells', async (t) => {
  const server = await startScriptedInflux(t)
  const lines = someLines(256)
  const lies: [string, (dropped: number, lines: number) => number | undefined, requestsMax: number][] = [
    ['true', (dropped) => dropped, 2],
    ['none', () => undefined, 20],
    ['zero', () => 0, 20],
    ['too small', (dropped) => Math.max(1, dropped - 3), 20],
    ['one', () => 1, 20],
  ]
  for (const [name, lie, requestsMax] of lies) {
    for (const old of [1, 10, 128, 255, 256]) {
      const stored = new Set<string>()
      server.asked.length = 0
      const floorNs = BigInt(lines[old]?.split(' ').at(-1) ?? 1n << 61n)
      server.script(imitateRetention(stored, lie, floorNs))
      const world = influxWorld({ url: server.url })
      // Not in order of time.
      const receipt = await world.write([...lines.slice(100), ...lines.slice(0, 100)])
      assert.deepEqual(receipt, { written: 256 - old, rejected: 0, expired: old }, `${name}, ${old}`)
      assert.equal(stored.size, 256 - old)
      assert.deepEqual(world.letters, [])
      assert.deepEqual(world.metrics.calls.get('rejected'), [[old, 'expired']])
      assert.ok(server.asked.length <= requestsMax, `${name}, ${old}: ${server.asked.length} requests`)
    }
  }
})

test('lines that are too new for the database end the search soon as well, and no other line is lost', async (t) => {
  const server = await startScriptedInflux(t)
  const lines = someLines(200)
  const stored = new Set<string>()
  server.script(imitateRetention(stored, (dropped) => dropped, 0n, BigInt(lines[190]?.split(' ').at(-1) ?? 0)))
  const world = influxWorld({ url: server.url })
  const receipt = await world.write(lines)
  // A few neighbours of the bound are counted with them: to be old is what the search expects.
  assert.ok(receipt.expired >= 10 && receipt.expired < 20, JSON.stringify(receipt))
  assert.equal(receipt.written + receipt.expired, 200)
  assert.equal(stored.size, 190)
  assert.ok(server.asked.length < 40, `${server.asked.length} requests`)
})

test('2.x: lines outside of the retention are reported in other words', async (t) => {
  const server = await startScriptedInflux(t)
  const lines = someLines(20)
  server.script((asked) => {
    const old = asked.lines.filter((line) => lines.indexOf(line) < 5)
    if (old.length === 0) return OK
    const message = `failure writing points to database: partial write: dropped ${old.length} points outside retention policy of duration 24h0m0s - oldest point tailnet_flow,node_name=max-series-per-database at 1970-01-01T00:00:01.541Z dropped because it violates a Retention Policy Lower Bound at 2026-05-20T19:06:17.612973Z dropped=${old.length} for database: 0a for retention policy: autogen`
    return { status: 422, body: JSON.stringify({ code: 'unprocessable entity', message }) }
  })
  const world = influxWorld({ url: server.url, api: 'v2' })
  assert.deepEqual(await world.write(lines), { written: 15, rejected: 0, expired: 5 })
})

test('expired, refused and good lines in one batch: each finds its place', async (t) => {
  const server = await startScriptedInflux(t)
  const lines = someLines(100)
  const old = new Set(lines.slice(0, 30))
  const bad = new Set([lines[10] ?? '', lines[50] ?? '', lines[99] ?? ''])
  const stored = new Set<string>()
  // As 1.6.7: what one shard says hides that other points expired.
  server.script((asked) => {
    for (const line of asked.lines) if (!old.has(line) && !bad.has(line)) stored.add(line)
    if (asked.lines.some((line) => bad.has(line) && !old.has(line)))
      return fault(400, 'partial write: invalid tag key: input tag "time" on measurement "m" is invalid dropped=1')
    const dropped = asked.lines.filter((line) => old.has(line)).length
    return dropped === 0 ? OK : fault(400, `partial write: points beyond retention policy dropped=${dropped}`)
  })
  const world = influxWorld({ url: server.url })
  assert.deepEqual(await world.write(lines), { written: 68, rejected: 2, expired: 30 })
  assert.deepEqual(new Set(texts(world)), new Set([lines[50], lines[99]]))
  assert.equal(stored.size, 68)
})

test('trouble in the middle of a search is waited out, and a search that lasts beyond giveUp ends', async (t) => {
  const server = await startScriptedInflux(t)
  const isBad = (line: string) => line.includes('v=5i')
  let requests = 0
  const imitation = imitateV2(new Map(), isBad, 'storage')
  server.script((asked) => {
    requests += 1
    return requests % 2 === 0 ? fault(503, 'busy', { 'retry-after': '3' }) : imitation(asked)
  })
  const world = influxWorld({ url: server.url })
  assert.deepEqual(await world.write(someLines(20)), { written: 19, rejected: 1, expired: 0 })
  assert.equal((await faultOf(influxWorld({ url: server.url, giveUp: '10s' }).write(someLines(20)))).stage, 'sink')
})

test('an abort in the middle of a search leaves no trace', async (t) => {
  const server = await startScriptedInflux(t)
  const controller = new AbortController()
  let requests = 0
  server.script(() => {
    requests += 1
    if (requests < 9) return fault(400, "unable to parse 'x'")
    controller.abort(new Error('stopping'))
    return undefined
  })
  const world = influxWorld({ url: server.url })
  await assert.rejects(world.write(someLines(64), controller.signal), /stopping/)
  assert.deepEqual(world.letters, [])
  server.script(OK)
  assert.equal((await world.write(someLines(64), live())).written, 64)
})
