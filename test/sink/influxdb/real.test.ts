/** What a real InfluxDB 1.x says and does, and what the sink makes of it: no imitation knows that better. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { systemClock } from '../../../src/base/clock.ts'
import { createInfluxSink } from '../../../src/sink/influxdb/influxdb-sink.ts'
import { createPlaces } from '../../../src/sink/influxdb/places.ts'
import { type DeadLetter, type SinkMetrics, type Target, targetOf } from '../../../src/sink/sink.ts'
import { countingMetrics, keepIn, silentLog } from '../../helpers/silent.ts'
import { readPoints } from '../../services/influx-read.ts'
import { type Influxd, type InfluxdOptions, startInfluxd } from '../../services/influxd.ts'
import { startProxy } from '../../services/proxy.ts'
import { missing } from '../../services/servers.ts'
import { countsOf } from '../counts-of.ts'
import { batchOf, configOf, faultOf, live } from './influx-world.ts'

const skip = await missing('influxd')
const DB = 'telemetry'

async function stageFor(t: TestContext, options: InfluxdOptions = {}) {
  const influxd = await startInfluxd(t, { databases: [DB], ...options })
  return { influxd, open: (settings: Record<string, unknown> = {}) => openOn(influxd, settings) }
}

function openOn(influxd: Influxd, settings: Record<string, unknown>) {
  const config = configOf({ url: influxd.url, db: DB, ...settings })
  const letters: DeadLetter[] = []
  const metrics = countingMetrics<SinkMetrics>()
  const sink = createInfluxSink(
    { ...config, url: config.url ?? influxd.url },
    {
      clock: systemClock,
      log: silentLog,
      metrics,
      // Waiting is what the scripted tests are about.
      random: () => 0.02,
      deadLetters: { append: keepIn(letters) },
    },
  )
  return {
    sink,
    letters,
    metrics,
    write: (lines: readonly string[], target: Target = 'main') =>
      sink.write(batchOf(lines, target), live()).then(countsOf),
  }
}

const nowNs = () => systemClock.now()
const valuesOf = async (influxd: Influxd, measurement: string, rp?: string) =>
  (
    await readPoints(
      { url: influxd.url, db: DB, headers: influxd.adminHeaders, ...(rp === undefined ? {} : { rp }) },
      measurement,
    )
  )
    .map(({ fields }) => fields['v'])
    .toSorted()

test('lines that cannot be parsed or have a time that it refuses: only they are set aside, in two requests', {
  skip,
}, async (t) => {
  const { influxd, open } = await stageFor(t)
  const { write, letters, metrics } = open()
  const lines = Array.from({ length: 200 }, (_, index) => `m,t=a v=${index}i ${nowNs() - BigInt(index)}`)
  lines[17] = 'm,t=a v= 5'
  lines[18] = 'm,t= v=1i 6'
  lines[60] = `m,t=a v=1i 9223372036854775807`
  lines[199] = `m,t=a v=99999999999999999999i ${nowNs()}`
  assert.deepEqual(await write(lines), { written: 196, rejected: 4, expired: 0 })
  assert.deepEqual(new Set(letters.map(({ text }) => text)), new Set([lines[17], lines[18], lines[60], lines[199]]))
  assert.match(letters.find(({ text }) => text === lines[60])?.detail ?? '', /time outside range/)
  assert.equal(metrics.calls.get('request')?.length, 2)
  assert.match(
    letters.find(({ text }) => text === lines[17])?.detail ?? '',
    /unable to parse 'm,t=a v= 5': missing field value/,
  )
  assert.equal((await valuesOf(influxd, 'm')).length, 196)
})

test('a measurement that somebody else writes with floats: hold, nothing in the dead letters', { skip }, async (t) => {
  const { influxd, open } = await stageFor(t)
  await fetch(`${influxd.url}/write?db=${DB}`, { method: 'POST', body: `tailnet_flow,t=x v=1.5 ${nowNs()}` })
  const { write, letters } = open()
  const lines = Array.from({ length: 300 }, (_, index) => `tailnet_flow,t=a v=${index}i ${nowNs() - BigInt(index)}`)
  const error = await faultOf(write(lines))
  assert.deepEqual([error.code, error.reaction], ['db_conflict', 'hold'])
  assert.match(
    error.message,
    /measurement "tailnet_flow" is type integer, already exists as type float.*drop the measurement/,
  )
  assert.deepEqual(letters, [])
  await influxd.query('DROP MEASUREMENT tailnet_flow', DB)
  assert.equal((await write(lines)).written, 300)
})

test('lines beyond the retention, with and without other trouble in the batch', { skip }, async (t) => {
  const { influxd, open } = await stageFor(t)
  await influxd.query(`CREATE RETENTION POLICY "hour" ON "${DB}" DURATION 1h REPLICATION 1`)
  const { write, letters, metrics } = open({ rp: 'hour' })
  const fresh = Array.from({ length: 50 }, (_, index) => `m,t=a v=${index}i ${nowNs() - BigInt(index)}`)
  const old = Array.from(
    { length: 70 },
    (_, index) => `m,t=a v=${index}i ${1_600_000_000_000_000_000n + BigInt(index)}`,
  )
  assert.deepEqual(await write([...old, ...fresh]), { written: 50, rejected: 0, expired: 70 })
  assert.equal(metrics.calls.get('request')?.length, 2, 'the number that it tells is right')
  assert.deepEqual(await write(old), { written: 0, rejected: 0, expired: 70 })
  const bad = `m,t=a v=x ${nowNs()}`
  assert.deepEqual(await write([...old, ...fresh, bad]), { written: 50, rejected: 1, expired: 70 })
  assert.deepEqual(
    letters.map(({ text }) => text),
    [bad],
  )
  assert.equal((await valuesOf(influxd, 'm', 'hour')).length, 50)
})

test('at the limit of series everything that fits is stored, and after the fix every line is there', {
  skip,
}, async (t) => {
  const { influxd, open } = await stageFor(t, { settings: { data: { 'max-series-per-database': 50 } } })
  const { sink, write, letters, metrics } = open()
  const honest = Array.from({ length: 40 }, (_, index) => `m,node=n${index}CNTRL v=${index}i ${nowNs()}`)
  const scan = (first: number, count: number) =>
    Array.from({ length: count }, (_, index) => `m,node=nScan,dst=${first + index} v=${index}i ${nowNs()}`)
  await write(honest)
  // All that are known, and five new ones, for which there is room.
  const again = Array.from({ length: 45 }, (_, index) => `m,node=n${index}CNTRL v=${1_000 + index}i ${nowNs()}`)
  const before = metrics.calls.get('request')?.length ?? 0
  const error = await faultOf(write([...scan(0, 300), ...again]))
  assert.deepEqual([error.code, error.reaction], ['db_limit', 'hold'])
  assert.match(error.message, /max-series-per-database limit exceeded.*node nScan.*Raise max-series-per-database/)
  assert.deepEqual(letters, [])
  const requests = (metrics.calls.get('request')?.length ?? 0) - before
  assert.ok(requests <= 66, `${requests} requests`)
  const stored = await valuesOf(influxd, 'm')
  for (const index of again.keys()) assert.ok(stored.includes(1_000n + BigInt(index)), `node ${index}`)
  t.diagnostic(`${requests} requests`)
  await sink.probe(live())
  await influxd.query('DROP MEASUREMENT m', DB)
  assert.equal((await write(scan(0, 30))).written, 30)
})

test('at the limit of values of one tag everything that fits is stored, in a few requests', { skip }, async (t) => {
  const { influxd, open } = await stageFor(t, { settings: { data: { 'max-values-per-tag': 50 } } })
  const { write, letters, metrics } = open()
  const lines = Array.from({ length: 400 }, (_, index) => `m,node=nScan,dst=${index} v=${index}i ${nowNs()}`)
  const honest = Array.from({ length: 40 }, (_, index) => `m,node=n${index}CNTRL,dst=1 v=${1_000 + index}i ${nowNs()}`)
  // It looks at what was there before the request.
  await write(lines.slice(0, 60))
  const before = metrics.calls.get('request')?.length ?? 0
  const error = await faultOf(write([...lines, ...honest]))
  assert.deepEqual([error.code, error.reaction], ['db_limit', 'hold'])
  assert.match(error.message, /max-values-per-tag.*node nScan.*Raise max-values-per-tag/)
  assert.deepEqual(letters, [])
  const requests = (metrics.calls.get('request')?.length ?? 0) - before
  t.diagnostic(`${requests} requests`)
  assert.ok(requests <= 20, `${requests} requests`)
  const stored = await valuesOf(influxd, 'm')
  for (const index of honest.keys()) assert.ok(stored.includes(1_000n + BigInt(index)), `node ${index}`)
})

test('at the limit of values of one tag lines that fit are stored wherever they stand, and later batches cost few requests', {
  skip,
}, async (t) => {
  const { influxd, open } = await stageFor(t, { settings: { data: { 'max-values-per-tag': 50 } } })
  const { write, metrics } = open()
  const honest = (value: number) =>
    Array.from(
      { length: 200 },
      (_, index) => `m,node=n${index % 40}CNTRL,dst=d${index % 7} v=${value + index}i ${nowNs()}`,
    )
  const scan = (first: number) =>
    Array.from({ length: 400 }, (_, index) => `m,node=nScan,dst=${first + index} v=${index}i ${nowNs()}`)
  /** Each honest node meets a new node in each round as well. */
  const fresh = (round: number) =>
    Array.from({ length: 40 }, (_, index) => `m,node=n${index}CNTRL,dst=new${round}x${index} v=0i ${nowNs()}`)
  await write([...honest(1_000), ...scan(0)])
  const costs: number[] = []
  for (const round of [1, 2, 3]) {
    const before = metrics.calls.get('request')?.length ?? 0
    // 1.6.7 drops as many of the first lines as it refuses of the last ones.
    const lines = [...honest(round * 10_000), ...scan(round * 10_000), ...fresh(round)]
    assert.equal((await faultOf(write(lines))).code, 'db_limit')
    costs.push((metrics.calls.get('request')?.length ?? 0) - before)
    const stored = new Set(await valuesOf(influxd, 'm'))
    for (let index = 0; index < 200; index++) assert.ok(stored.has(BigInt(round * 10_000 + index)), `line ${index}`)
  }
  t.diagnostic(`${costs.join(', ')} requests`)
  assert.ok(costs[1]! <= 4 && costs[2]! <= 4, `${costs.join(', ')} requests`)

  // Another database, which has none of what was taken.
  await influxd.query('DROP MEASUREMENT m', DB)
  await write(scan(50_000))
  const error = await faultOf(write([...honest(90_000), ...scan(60_000)]))
  assert.match(error.message, /Most of the refused points come from node nScan/)
})

test('a batch beyond max-body-size is halved until it fits', { skip }, async (t) => {
  const { influxd, open } = await stageFor(t, { settings: { http: { 'max-body-size': 20_000 } } })
  const { write, metrics } = open({ gzip: 'off' })
  const lines = Array.from({ length: 2_000 }, (_, index) => `m,t=a v=${index}i ${nowNs() - BigInt(index)}`)
  assert.deepEqual(await write(lines), { written: 2_000, rejected: 0, expired: 0 })
  const refused = () => metrics.calls.get('request')?.filter(([code]) => code === '413').length
  const before = refused()
  assert.ok((before ?? 0) > 0)
  assert.equal((await write(lines)).written, 2_000)
  assert.equal(refused(), before, 'no request is too large any more')
  assert.equal((await valuesOf(influxd, 'm')).length, 2_000)
})

test('users: wrong ones, ones that may only write, ones that may only read', { skip }, async (t) => {
  const { influxd, open } = await stageFor(t, { auth: true })
  for (const [user, right] of [
    ['writer', 'WRITE'],
    ['reader', 'READ'],
  ]) {
    await influxd.query(`CREATE USER "${user}" WITH PASSWORD 'it:is "very-secret"'`)
    await influxd.query(`GRANT ${right} ON "${DB}" TO "${user}"`)
  }
  const password = 'it:is "very-secret"'
  const line = [`m v=1i ${nowNs()}`]
  for (const [settings, code] of [
    [{}, 'db_unauthorized'],
    [{ user: 'writer', password: 'wrong' }, 'db_unauthorized'],
    [{ user: 'nobody', password }, 'db_unauthorized'],
    [{ user: 'reader', password }, 'db_forbidden'],
  ] as const) {
    const { sink, write } = open(settings)
    for (const attempt of [() => sink.probe(live()), () => write(line)]) {
      const error = await faultOf(attempt())
      assert.deepEqual([error.code, error.reaction], [code, 'hold'], JSON.stringify(settings))
      assert.ok(!error.message.includes('very-secret'))
    }
  }
  const writer = open({ user: 'writer', password })
  await writer.sink.probe(live())
  assert.equal((await writer.write(line)).written, 1)
  const range = { fromNs: 0n, toNs: nowNs() }
  const ask = async (settings: Record<string, unknown>) =>
    await open(settings).sink.checkpoint('default', range, live())
  for (const user of ['writer', 'nobody']) {
    const answer = await ask({ user, password })
    assert.match('cannotBeQueried' in answer ? answer.cannotBeQueried : '', /does not show .*read access/, user)
  }
  assert.deepEqual(await ask({ user: 'reader', password }), { points: [] })
  // A user who may not create anything needs not, as long as the database is there.
  await open({ user: 'writer', password, createDatabase: true }).sink.start(live())
  const error = await faultOf(open({ user: 'admin', password: 'admin', db: 'absent' }).sink.probe(live()))
  assert.equal(error.code, 'db_not_found')
})

test('a missing database is created where that is asked for, also when it is dropped later', { skip }, async (t) => {
  const { influxd, open } = await stageFor(t, { databases: [] })
  const plain = open()
  for (const attempt of [() => plain.sink.probe(live()), () => plain.write([`m v=1i ${nowNs()}`])]) {
    const error = await faultOf(attempt())
    assert.deepEqual([error.code, error.reaction], ['db_not_found', 'hold'])
  }
  const db = 'odd "name" ü'
  const creating = open({ createDatabase: true, db })
  await creating.sink.start(live())
  assert.equal((await creating.write([`m v=1i ${nowNs()}`])).written, 1)
  const names = async () => (await influxd.query('SHOW DATABASES'))[0]?.series?.[0]?.values?.flat()
  assert.ok((await names())?.includes(db), JSON.stringify(await names()))
  await influxd.query('DROP DATABASE "odd \\"name\\" ü"')
  assert.equal((await faultOf(creating.write([`m v=1i ${nowNs()}`]))).code, 'db_not_found')
  await creating.sink.probe(live())
  assert.equal((await creating.write([`m v=1i ${nowNs()}`])).written, 1)
})

test('raw points and minutes lie in retention policies of their own, and are read there', { skip }, async (t) => {
  const { influxd, open } = await stageFor(t)
  const retention = { raw: 7, minutes: 30 }
  const { sink, write } = open({ retention })
  const missingPolicy = await faultOf(sink.probe(live()))
  assert.deepEqual([missingPolicy.code, missingPolicy.reaction], ['db_not_found', 'hold'])
  assert.match(missingPolicy.message, /retention policy not found: raw.*tailflux init/)
  assert.equal((await faultOf(write([`tailnet_flow v=1i ${nowNs()}`], 'raw'))).code, 'db_not_found')
  await influxd.query(`CREATE RETENTION POLICY "raw" ON "${DB}" DURATION 7d REPLICATION 1`)
  await sink.probe(live())
  assert.equal((await write([`tailnet_flow,node=a v=1i ${nowNs()}`], 'raw')).written, 1)
  assert.match(
    (await faultOf(write([`tailnet_edge v=1i ${nowNs()}`], 'minutes'))).message,
    /the place of retention\.minutes/,
  )
  await influxd.query(`CREATE RETENTION POLICY "minutes" ON "${DB}" DURATION 30d REPLICATION 1`)
  const places = createPlaces(configOf({ db: DB, retention }))
  for (const [index, measurement] of ['tailnet_flow', 'tailnet_edge', 'tailnet_node', 'tailnet_edge_1h'].entries()) {
    await write([`${measurement},node=b v=${10 + index}i ${nowNs()}`], targetOf(measurement))
    const [result] = await influxd.query(`SELECT last("v") FROM ${places.from(measurement)}`, DB)
    assert.equal(result?.series?.[0]?.values[0]?.[1], 10 + index, measurement)
  }
  assert.deepEqual(await valuesOf(influxd, 'tailnet_flow', 'raw'), [1n, 10n])
  assert.deepEqual(await valuesOf(influxd, 'tailnet_edge', 'minutes'), [11n])
  assert.deepEqual(await valuesOf(influxd, 'tailnet_node', 'minutes'), [12n])
  assert.deepEqual(await valuesOf(influxd, 'tailnet_edge_1h'), [13n])
  assert.deepEqual(await valuesOf(influxd, 'tailnet_flow'), [])
})

test('the checkpoint is found in the retention policy that is written to, within its range', { skip }, async (t) => {
  const { influxd, open } = await stageFor(t)
  await influxd.query(`CREATE RETENTION POLICY "week" ON "${DB}" DURATION 7d REPLICATION 1`)
  const { sink, write } = open({ rp: 'week' })
  const ns = nowNs()
  await write([
    `tailflux_window,pass=1,tailnet=default,writer=w1 watermark=9223372036854775807i,acked=6i ${ns}`,
    `tailflux_window,pass=2,tailnet=default,writer=w1 watermark=4i,passed=3i ${ns}`,
    `tailflux_window,pass=1,tailnet=default acked=2i ${ns - 1n}`,
    `tailflux_window,pass=1,tailnet=other,writer=w1 acked=7i ${ns}`,
  ])
  const whole = { watermarkNs: undefined, passedNs: undefined, ackedNs: undefined, writer: 'w1', timeNs: ns }
  const points = [
    { ...whole, pass: '1', watermarkNs: 9223372036854775807n, ackedNs: 6n },
    { ...whole, pass: '2', watermarkNs: 4n, passedNs: 3n },
  ]
  assert.deepEqual(await sink.checkpoint('default', { fromNs: ns, toNs: ns }, live()), { points })
  const both = await sink.checkpoint('default', { fromNs: ns - 1n, toNs: ns }, live())
  assert.deepEqual('points' in both && both.points[0], {
    ...whole,
    timeNs: ns - 1n,
    pass: '1',
    writer: undefined,
    ackedNs: 2n,
  })
  const range = { fromNs: ns - 1n, toNs: ns }
  assert.deepEqual(await open().sink.checkpoint('default', range, live()), { points: [] })
  for (const settings of [{ rp: 'none' }, { db: 'none' }]) {
    const answer = await open(settings).sink.checkpoint('default', range, live())
    assert.match('cannotBeQueried' in answer ? answer.cannotBeQueried : '', /not found/)
  }
})

test('the wrong API is told: 1.6 knows no /api/v2', { skip }, async (t) => {
  const { open } = await stageFor(t)
  for (const api of ['v2', 'v3']) {
    const { sink, write } = open({ api, bucket: DB, db: undefined })
    for (const attempt of [() => sink.probe(live()), () => write([`m v=1i ${nowNs()}`])]) {
      const error = await faultOf(attempt())
      assert.deepEqual([error.code, error.reaction], ['db_not_found', 'hold'])
      assert.match(error.message, /INFLUX_API/)
    }
  }
})

test('kill -9 of the database while batches are under way: every receipt is kept, every batch arrives', {
  skip,
}, async (t) => {
  const { influxd, open } = await stageFor(t, { index: 'tsi1' })
  const { write, metrics } = open()
  const baseNs = nowNs()
  const confirmed: string[] = []
  let next = 0
  let isOver = false
  async function sender(): Promise<void> {
    while (!isOver) {
      const part = next
      next += 1
      const lines = Array.from(
        { length: 200 },
        (_, index) => `m,t=${index % 20} v=${part * 200 + index}i ${baseNs - BigInt(part * 200 + index)}`,
      )
      assert.equal((await write(lines)).written, 200)
      confirmed.push(...lines)
    }
  }
  const senders = [sender(), sender(), sender()]
  for (let times = 0; times < 3; times += 1) {
    const target = confirmed.length + 2_000
    while (confirmed.length < target) await new Promise(setImmediate)
    await influxd.kill('SIGKILL')
    await influxd.start()
  }
  isOver = true
  await Promise.all(senders)
  assert.ok(metrics.calls.get('retried')?.length, 'some were tried again')
  const stored = (await valuesOf(influxd, 'm')) as bigint[]
  assert.equal(new Set(stored).size, next * 200)
  assert.equal(stored.length, confirmed.length)
})

test('an answer that is lost: written twice, stored once', { skip }, async (t) => {
  const { influxd, open } = await stageFor(t)
  const proxy = await startProxy(t, influxd.url)
  await proxy.set({ kind: 'lose-answer' }, 2)
  const { write, metrics } = open({ url: proxy.url })
  const lines = Array.from({ length: 100 }, (_, index) => `m,t=a v=${index}i ${nowNs() - BigInt(index)}`)
  assert.equal((await write(lines)).written, 100)
  assert.equal(metrics.calls.get('retried')?.length, 2)
  assert.equal((await valuesOf(influxd, 'm')).length, 100)
})
