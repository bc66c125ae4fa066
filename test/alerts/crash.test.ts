/** What survives: states in the state file, sums in the rows of the database. A crash, a database that is away, a lost state file and a new name change
 * nothing of what alerts say. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { CollectorError } from '../../src/base/errors.ts'
import { createHeardWorld } from './heard.ts'
import { MIN, SEC, T0, type WorldOptions } from './world.ts'

async function begin(t: TestContext, rule: Record<string, unknown>, options: Partial<WorldOptions> = {}) {
  const one = await createHeardWorld(t, [{ name: 'rule', ...rule }], ['tailnet'], options)
  return {
    ...one,
    /** In each minute nA sends this many bytes. */
    minutes: (to: number, bytes: number) =>
      one.minutes(to, (minute) =>
        bytes === 0 ? [] : [{ node: 'nA', start: T0 + BigInt(minute) * MIN + 7n * SEC, tx: bytes }],
      ),
  }
}

test('receipts are the pipeline’s: a crash changes nothing in the ledger, and nothing that alerts say', async (t) => {
  const { world, minutes, heard } = await begin(t, { above: '1MB', window: '5m' })
  await minutes(8, 300_000)
  const before = [world.ledger.settled(), world.ledger.watermarkNs()]
  await world.restart('killed')
  assert.deepEqual([world.ledger.settled(), world.ledger.watermarkNs()], before)
  await minutes(20, 0)
  // 1.2 MB in the five minutes before 4, and still in those before 9.
  assert.deepEqual(await heard(), ['default firing 4-', 'default resolved 4-10'])
})

test('nobody is silent for want of data: what was told before a crash is read back', async (t) => {
  const { world, minutes } = await begin(t, { silentFor: '5m', within: '2h', kind: 'virtual' })
  await minutes(12, 100)
  await world.restart('killed')
  assert.deepEqual(await minutes(20, 0), ['18 firing'])
})

test('`for` goes on after a crash', async (t) => {
  const { world, minutes } = await begin(t, { above: '1MB', window: '1m', for: '5m' })
  await minutes(5, 2_000_000)
  await world.restart('killed')
  assert.deepEqual(await minutes(10, 2_000_000), ['7 firing'])
})

test('what late records showed shortly before a crash is evaluated after it', async (t) => {
  const { world, minutes, heard } = await begin(t, { above: '1MB', window: '5m' })
  await minutes(20, 100)
  const late = Array.from({ length: 5 }, (_, i) => ({ node: 'nB', start: T0 + BigInt(5 + i) * MIN, tx: 400_000 }))
  world.read({ fromNs: T0, toNs: T0 + 20n * MIN, pass: 2, queue: 'late' }, late)
  await world.restart('killed')
  await minutes(22, 100)
  assert.deepEqual(await heard(), ['default resolved 8-13'])
})

test('a database that does not answer after a start: alerts wait and say so, and nothing is notified twice', async (t) => {
  let isAway = false
  const { world, clock, minutes, heard } = await begin(
    t,
    { above: '1MB', window: '5m' },
    {
      onRequest() {
        if (isAway)
          throw new CollectorError('InfluxDB does not answer. Start it.', {
            stage: 'sink',
            code: 'db_unreachable',
            reaction: 'retry',
          })
      },
    },
  )
  // Rows are asked for once, at the start.
  await settled(world)
  await minutes(8, 300_000)
  assert.deepEqual(await heard(), ['default firing 4-'])
  isAway = true
  await world.restart('killed')
  await world.judge()
  for (let i = 0; i < 60; i += 1) await clock.advance(60_000)
  assert.equal(world.alerts.status().waiting, true)
  assert.deepEqual(world.health.at(-1), [
    'alerts',
    'warning',
    'db_unreachable',
    'Alerts wait: after a start they read recent traffic from the database, which does not answer. InfluxDB does not answer. Start it.',
    'fill',
  ])
  assert.deepEqual(await heard(), ['default firing 4-'])
  isAway = false
  await clock.advance(61_000)
  await settled(world)
  assert.deepEqual(world.health.at(-1), ['alerts', 'ok', undefined, undefined, 'fill'])
  // The hour is read at once.
  world.read({ fromNs: T0 + 8n * MIN, toNs: T0 + 68n * MIN }, [])
  assert.deepEqual(await heard(), ['default firing 4-', 'default resolved 4-10'])
})

test('minutes that are not in the database yet are told again after a restart, in any order: nothing is over until all of them are', async (t) => {
  const { world, minutes } = await begin(t, { above: '1MB', window: '5m' })
  await minutes(12, 300_000)
  for (const how of ['stopped', 'killed'] as const) {
    const { database, made } = world.minutes
    const everything = database.rows
    // As where rows are written 16 minutes after their minute.
    database.rows = (measurement, fromNs, toNs, each, signal) =>
      everything(measurement, fromNs, toNs, (ns, ...row) => ns < T0 + 6n * MIN && each(ns, ...row), signal)
    await world.restart(how)
    const { alerts } = world
    const left = new Set([10, 6, 9, 7, 8])
    const transitions = []
    for (const minute of [undefined, ...left]) {
      if (minute !== undefined) {
        const startNs = T0 + BigInt(minute) * MIN
        const { rows, hasGap } = made.get(startNs)!
        const [eachEdge, eachNode] = [rows.edges, rows.nodes].map((some) => some.forEach.bind(some)) as never[]
        alerts.minute({ startNs, hasGap, eachEdge: eachEdge!, eachNode: eachNode! })
        left.delete(minute)
      }
      alerts.finalTo(T0 + BigInt(Math.min(11, ...left)) * MIN)
      while (alerts.status().waiting) await turn()
      transitions.push(...(await alerts.evaluate()))
    }
    assert.deepEqual(transitions, [], how)
    assert.deepEqual([alerts.status().rules[0]?.firing, alerts.status().rules[0]?.value], [1, '1.5 MB'], how)
    database.rows = everything
  }
  assert.deepEqual(await minutes(20, 0), ['15 resolved'])
})

test('a quota is right after the state file is lost, and says since when it counts', async (t) => {
  const rule = { quotaAbove: '5MB', per: 'month' }
  const { world, minutes } = await begin(t, rule)
  await minutes(70, 50_000)
  const since = new Date(Number(T0 / 1_000_000n)).toISOString()
  assert.equal(world.alerts.status().rules[0]?.countsSince, since)
  assert.equal(world.alerts.status().rules[0]?.value, '3 MB')
  await world.restart('lost')
  await minutes(190, 50_000)
  // An hour is its step: what the evening before the loss had counts too.
  assert.equal(world.alerts.status().rules[0]?.value, '9 MB')
  assert.equal(world.alerts.status().rules[0]?.firing, 1)
})

test('a renamed tailnet: what fires under the old name is over, and fires under the new one', async (t) => {
  const { world, minutes, heard } = await begin(t, { above: '1MB', window: '5m' })
  await minutes(8, 300_000)
  await world.restart('stopped', world.settings, 'renamed')
  await minutes(10, 300_000)
  const all = await heard()
  assert.deepEqual(all.map((text) => text.split(' ').slice(0, 2).join(' ')).toSorted(), [
    'default firing',
    'default resolved',
    'renamed firing',
  ])
})

async function settled(world: {
  alerts: { status(): { waiting: boolean } }
  judge(): Promise<unknown>
}): Promise<void> {
  await world.judge()
  while (world.alerts.status().waiting) await turn()
}
