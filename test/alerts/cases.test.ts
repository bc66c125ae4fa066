/** Late records, re-reads, restarts, outages: no false, no doubled, no lost alert. Each case tells what a webhook receiver heard. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { createFakeClock } from '../helpers/fake-clock.ts'
import { createHeardWorld } from './heard.ts'
import { createWorld, MIN, SEC, T0, type Traffic } from './world.ts'

const LOUD = { name: 'loud', above: '1MB', window: '5m', for: '3m' }
const QUIET = { name: 'quiet', silentFor: '5m', kind: 'virtual', within: '2h' }

const LABELS = ['alertname', 'node']

function begin(t: TestContext, rules: readonly object[], startNs = T0) {
  return createHeardWorld(t, rules, LABELS, { startNs })
}

const at = (minute: number, tx: number, node = 'nA', second = 7n): Traffic => ({
  node,
  start: T0 + BigInt(minute) * MIN + second * SEC,
  tx,
})
/** 300 kB a minute from minute 10 to 19: above 1 MB in five minutes from step 14 on, for three minutes at 17, over at 22. */
const burst = (minute: number) => [at(minute, minute >= 10 && minute < 20 ? 300_000 : 1_000)]
const TOLD = ['loud nA firing 17-', 'loud nA resolved 17-22']

test('the plain case', async (t) => {
  const { minutes, heard } = await begin(t, [LOUD, QUIET])
  await minutes(40, burst)
  assert.deepEqual(await heard(), TOLD)
})

test('every window is read twice, fails in between, and once more a day later', async (t) => {
  const { world, minutes, heard } = await begin(t, [LOUD])
  await minutes(40, (minute) => {
    const fromNs = T0 + BigInt(minute) * MIN
    world.open({ fromNs, toNs: fromNs + MIN }, burst(minute)).fail()
    world.read({ fromNs, toNs: fromNs + MIN, pass: 2, queue: 'late' }, burst(minute))
    return [...burst(minute), ...burst(minute)]
  })
  world.read(
    { fromNs: T0, toNs: T0 + 40n * MIN, pass: 3, queue: 'late' },
    Array.from({ length: 40 }, (_, minute) => burst(minute)).flat(),
  )
  assert.deepEqual(await heard(), TOLD)
})

test('both ends report the same bytes: a pair counts each byte once', async (t) => {
  const { world, minutes } = await begin(t, [
    { name: 'pair', by: 'pair', above: '1B', window: '5m' },
    { name: 'all', by: 'total', above: '1B', window: '5m' },
  ])
  const [a, b] = ['100.64.0.1:40000', '100.64.0.2:443']
  await minutes(8, (minute) => [
    { ...at(minute, 700, 'nA'), rx: 300, src: a, dst: b },
    { ...at(minute, 300, 'nB', 8n), rx: 700, src: b, dst: a },
  ])
  // Both directions together: nA uses what nB serves.
  assert.deepEqual(
    world.alerts.status().alerts.map(({ name, labels, value }) => ({ name, labels, value })),
    [
      { name: 'pair', labels: { src: 'nA', dst: 'nB' }, value: '5 kB' },
      { name: 'all', labels: {}, value: '5 kB' },
    ],
  )
})

test('a restart in the middle of `for`, in order and by a kill', async (t) => {
  for (const how of ['stopped', 'killed'] as const) {
    await t.test(how, async (t) => {
      const { world, minutes, heard } = await begin(t, [LOUD, QUIET])
      await minutes(16, burst)
      assert.deepEqual(
        world.alerts.status().alerts.map(({ state }) => state),
        ['pending'],
      )
      await world.restart(how)
      assert.deepEqual(world.ledger.missing(T0, T0 + 16n * MIN), [], 'nothing is read again for alerts')
      // What was not saved comes with the late pass.
      const all = Array.from({ length: 16 }, (_, minute) => burst(minute)).flat()
      world.read({ fromNs: T0, toNs: T0 + 16n * MIN, pass: 2, queue: 'late' }, all)
      await minutes(40, burst)
      assert.deepEqual(await heard(), TOLD)
    })
  }
})

test('a restart while it fires tells nothing twice, and its end', async (t) => {
  const { world, minutes, heard } = await begin(t, [LOUD])
  await minutes(20, burst)
  assert.deepEqual(await heard(), TOLD.slice(0, 1))
  await world.restart('stopped')
  await minutes(40, burst)
  assert.deepEqual(await heard(), TOLD)
})

test('records that come half an hour late: what they show is told, as over', async (t) => {
  const { world, minutes, heard } = await begin(t, [LOUD])
  await minutes(45, (minute) => [
    at(minute, 1_000),
    // nB could not upload; at 40 it does.
    ...(minute === 40 ? Array.from({ length: 10 }, (_, index) => at(10 + index, 300_000, 'nB')) : []),
  ])
  assert.deepEqual(await heard(), ['loud nB resolved 17-22'])
  assert.equal(world.events.length, 2)
})

test('late records take back what silence seemed to say', async (t) => {
  const { minutes, heard } = await begin(t, [QUIET])
  await minutes(30, (minute) => [
    ...(minute < 5 || minute > 18 ? [at(minute, 10, 'nB')] : []),
    // At 19 it tells that it was there all the time.
    ...(minute === 19 ? Array.from({ length: 14 }, (_, index) => at(5 + index, 10, 'nB')) : []),
  ])
  const all = await heard()
  assert.deepEqual(
    all.map((one) => one.split(' ').slice(0, 3).join(' ')),
    ['quiet nB firing', 'quiet nB resolved'],
  )
})

test('late records move the begin of what was told as over: nobody hears of it twice', async (t) => {
  const { world, minutes, heard } = await begin(t, [QUIET])
  await minutes(40, (minute) => [
    ...(minute < 5 || minute > 25 ? [at(minute, 10, 'nB')] : []),
    // At 30 it tells that it was there at 8 too: silent since 14, not since 10.
    ...(minute === 30 ? [at(8, 10, 'nB')] : []),
  ])
  assert.deepEqual(await heard(), ['quiet nB firing 10-', 'quiet nB resolved 10-27'])
  const events = world.events.map((line) =>
    /state=(\w+).*refuted=(\w+).* (\d+)$/.exec(line)?.slice(1, 4).join(' ').slice(0, -9),
  )
  const second = (minute: number) => (T0 + BigInt(minute) * MIN) / SEC
  assert.deepEqual(events, [
    `firing false ${second(10)}`,
    `resolved false ${second(27)}`,
    `firing true ${second(10)}`,
    `firing false ${second(14)}`,
    // Its end has another begin now.
    `resolved false ${second(27)}`,
  ])
})

test('records later than alerts.lateness do not count, and are told in a metric', async (t) => {
  const { world, minutes, heard } = await begin(t, [LOUD])
  await minutes(100, (minute) => [
    at(minute, 1_000),
    ...(minute === 95 ? [at(10, 9_000_000, 'nB'), at(11, 9_000_000, 'nB')] : []),
  ])
  assert.deepEqual(await heard(), [])
  assert.deepEqual(world.metrics.calls.get('ignored'), [[1], [1]])
  assert.equal(world.alerts.status().lateMinutes, 2)
})

test('a clock that is hours ahead counts when its time comes, as in the database', async (t) => {
  const { minutes, heard } = await begin(t, [LOUD])
  await minutes(300, (minute) => [at(minute, 1_000), ...(minute < 10 ? [at(minute + 300, 9_000_000, 'nB')] : [])])
  assert.deepEqual(await heard(), [])
  await minutes(320, (minute) => [at(minute, 1_000)])
  assert.deepEqual(await heard(), ['loud nB firing 304-', 'loud nB resolved 304-315'])
})

test('a range that cannot be read: silence in it is no silence, and others go on', async (t) => {
  const { world, clock, minutes, heard } = await begin(t, [LOUD, QUIET])
  await minutes(10, burst)
  const gap = { fromNs: T0 + 10n * MIN, toNs: T0 + 18n * MIN }
  world.ledger.openGap(gap, 'timeout', clock.now(), clock.now())
  // Beyond it there is traffic again; in it there was some too, but nobody knows.
  world.read(
    { fromNs: gap.toNs, toNs: gap.toNs + 20n * MIN },
    Array.from({ length: 20 }, (_, index) => at(18 + index, 1_000)),
  )
  await clock.advance(20 * 60_000)
  assert.deepEqual(await heard(), [])
  world.read(
    { ...gap, queue: 'gap' },
    Array.from({ length: 8 }, (_, index) => at(10 + index, 300_000)),
  )
  // 300 kB from 10 to 17: above from 14 to 19, firing from 17, over at 20.
  assert.deepEqual(await heard(), ['loud nA resolved 17-20'])
})

test('a range that is read when it does not count any more is no silence either', async (t) => {
  const few = { name: 'few', below: '150kB', window: '3h', within: '6h' }
  const { world, clock, minutes, heard } = await begin(t, [few])
  // 1 kB a minute makes 180 kB in three hours.
  await minutes(200, (minute) => [at(minute, 1_000)])
  const gap = { fromNs: T0 + 200n * MIN, toNs: T0 + 240n * MIN }
  world.ledger.openGap(gap, 'timeout', clock.now(), clock.now())
  await clock.advance(40 * 60_000)
  async function goOn(from: number, to: number, tx: number): Promise<void> {
    for (let minute = from; minute < to; minute++) {
      await clock.advance(60_000)
      const fromNs = T0 + BigInt(minute) * MIN
      world.read({ fromNs, toNs: fromNs + MIN }, [at(minute, tx)])
      await world.judge()
    }
  }
  await goOn(240, 340, 1_000)
  world.read(
    { ...gap, queue: 'gap' },
    Array.from({ length: 40 }, (_, index) => at(200 + index, 1_000)),
  )
  await goOn(340, 430, 1_000)
  assert.deepEqual(await heard(), [])
  // Nothing of it is in the window any more, and the window is known.
  await goOn(430, 480, 1)
  assert.deepEqual(await heard(), ['few nA firing 461-'])
})

test('minutes whose rows were not made when the service started are no silence', async (t) => {
  const { world, clock, minutes, heard } = await begin(t, [LOUD, QUIET])
  await minutes(10, (minute) => [at(minute, 1_000)])
  // Everything was read; rows could not be written for hours.
  const record = { pass: 1, digest: '', messages: 1, entries: 1, points: 1 }
  const fromNs = T0 + 10n * MIN
  const window = { fromNs, toNs: fromNs + 300n * MIN }
  const listed = Array.from({ length: 300 }, (_, index) => fromNs + BigInt(index) * MIN)
  world.ledger.done(window, { ...record, atNs: clock.now() }, undefined, listed)
  await clock.advance(300 * 60_000)
  await world.restart()
  await world.judge()
  assert.deepEqual(await heard(), [])
  assert.deepEqual(world.events, [])
})

test('a quota counts hours whose rows were not written when the service started', async (t) => {
  const rule = { name: 'allowance', quotaAbove: '550kB', per: 'day' }
  const { world, clock, heard } = await begin(t, [LOUD], T0 + 670n * MIN)
  const hour = (index: number) => T0 + BigInt(index) * 60n * MIN
  for (let index = 0; index < 10; index++) {
    const messages = Array.from({ length: 60 }, (_, minute) => at(index * 60 + minute, 1_000))
    world.read({ fromNs: hour(index), toNs: hour(index + 1) }, messages)
    await world.judge()
  }
  // Rows of minutes were written, and then the process was killed.
  const waiting = [2, 3, 4, 5].map(hour)
  world.ledger.unsettled.must(
    waiting.map((startNs) => ({ tier: 'hour', startNs })),
    clock.now(),
  )
  const { database } = world.minutes
  const { rows } = database
  Object.assign(database, {
    rows: ((measurement, fromNs, toNs, each, signal) =>
      rows(
        measurement,
        fromNs,
        toNs,
        (timeNs, ...row) => {
          if (!measurement.endsWith('_1h') || !waiting.includes(timeNs)) each(timeNs, ...row)
        },
        signal,
      )) satisfies typeof rows,
  })
  await world.restart('stopped', { rules: [rule], notify: world.settings['notify'] })
  world.read({ fromNs: hour(10), toNs: hour(10) + 65n * MIN }, [at(600, 1_000)])
  await world.judge()
  assert.deepEqual(
    (await heard()).map((line) => line.replace(/\d+-/, '')),
    ['allowance nA firing '],
  )
})

test('what a long window counts is known again after a start', async (t) => {
  for (const [window, hours] of [
    ['3d', 66],
    ['14d', 330],
  ] as const) {
    const rule = { name: 'many', distinctPeersAbove: 8, window }
    const { world } = await begin(t, [rule], T0 + BigInt(hours * 60 + 70) * MIN)
    const hour = (index: number) => T0 + BigInt(index) * 60n * MIN
    for (let index = 0; index < hours; index += 6) {
      const one = { ...at(index * 60 + 7, 1_000), dst: `100.64.1.${index / 6 + 1}:443`, name: 'anna' }
      world.read({ fromNs: hour(index), toNs: hour(index + 6) }, [one])
      await world.judge()
    }
    const value = () => world.alerts.status().alerts.map(({ state, value }) => `${state} ${value}`)
    const before = value()
    assert.deepEqual(before, [`firing ${hours / 6} peers`])
    await world.restart()
    world.read({ fromNs: hour(hours), toNs: hour(hours + 1) }, [])
    await world.judge()
    assert.deepEqual(value(), before, window)
  }
})

test('a day of catching up: what fires is told, what is over is told once, and all of it is in the events', async (t) => {
  const { world, clock, heard } = await begin(t, [LOUD, QUIET], T0 + 24n * 60n * MIN)
  const dayMinutes = 24 * 60 - 2
  const day = (minute: number) => [
    at(minute, 1_000),
    // Three bursts of nB, the last one not over yet.
    at(
      minute,
      [100, 700, dayMinutes - 12].some((from) => minute >= from && minute < from + 12) ? 400_000 : 1_000,
      'nB',
      9n,
    ),
    at(minute, minute >= 300 && minute < 312 ? 400_000 : 1_000, 'nC', 11n),
  ]
  for (let from = 0; from < dayMinutes; from += 60) {
    const to = Math.min(from + 60, dayMinutes)
    const messages = Array.from({ length: to - from }, (_, index) => day(from + index)).flat()
    world.read({ fromNs: T0 + BigInt(from) * MIN, toNs: T0 + BigInt(to) * MIN }, messages)
    await world.judge()
    await clock.advance(2_000)
  }
  const all = await heard()
  assert.deepEqual(all.toSorted(), [`loud nB firing ${dayMinutes - 12 + 3 + 3}-`, 'loud nC resolved 306-315'])
  const events = world.events.map((line) => /state=(\w+)/.exec(line)?.[1])
  assert.equal(events.filter((state) => state === 'firing').length, 4)
  assert.equal(events.filter((state) => state === 'resolved').length, 3)
})

test('a rule that goes away, or changes, takes its alert back', async (t) => {
  const { world, minutes, heard } = await begin(t, [LOUD])
  await minutes(18, burst)
  assert.deepEqual(await heard(), TOLD.slice(0, 1))
  const notify = world.settings['notify']
  await world.restart('stopped', { rules: [{ ...LOUD, above: '2GB' }], notify })
  const all = await heard()
  assert.deepEqual(
    all.slice(1).map((one) => one.split(' ').slice(0, 3).join(' ')),
    ['loud nA resolved'],
  )
})

test('more groups than may be watched: the rest is told as overflow, and those that fit are right', async (t) => {
  const clock = createFakeClock(T0)
  const world = await createWorld({
    settings: { rules: [{ name: 'loud', above: '1kB', window: '5m' }], seriesMax: 10 },
    clock,
  })
  t.after(() => world.close())
  const nodes = Array.from({ length: 25 }, (_, index) => at(0, 2_000, `n${index}`))
  world.read({ fromNs: T0, toNs: T0 + 2n * MIN }, nodes)
  await world.judge()
  const [rule] = world.alerts.status().rules
  assert.deepEqual([rule?.series, rule?.firing, rule?.overflowed], [10, 10, 15])
})
