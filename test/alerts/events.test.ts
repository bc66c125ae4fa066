/** Points of `tailflux_event`: each beginning and end of an alert becomes one, whatever the database is doing. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { CollectorError } from '../../src/base/errors.ts'
import { isoOf } from '../../src/base/format.ts'
import { createFakeClock } from '../helpers/fake-clock.ts'
import { createWorld, MIN, SEC, T0, type World } from './world.ts'

const settings = { rules: [{ name: 'loud', above: '1kB', window: '1m' }] }

/** One minute more, in which this node is loud. */
function minute(world: World, at: number, node: string): void {
  const fromNs = T0 + BigInt(at) * MIN
  world.read({ fromNs, toNs: fromNs + MIN }, [{ node, start: fromNs + 7n * SEC, tx: 2_000 }])
}

/** `state node`, once each. */
function seen({ events }: World): string[] {
  return events.map((line) => /state=(\w+),.*text="(\w+) /.exec(line)?.slice(1).join(' ') ?? line).toSorted()
}

test('events that come while others are being written are written next', async (t) => {
  const free = Promise.withResolvers<void>()
  const clock = createFakeClock(T0)
  const world = await createWorld({ settings, clock, takes: () => free.promise })
  t.after(() => world.close())
  minute(world, 0, 'nA')
  minute(world, 1, 'nB')
  await world.judge()
  // The first is under way, and stays so.
  for (const [index, node] of ['nC', 'nD', 'nE'].entries()) {
    minute(world, index + 2, node)
    await world.judge()
  }
  assert.deepEqual(world.events, [])
  free.resolve()
  await clock.advance(5_000)
  assert.deepEqual(seen(world), [
    'firing nA',
    'firing nB',
    'firing nC',
    'firing nD',
    'resolved nA',
    'resolved nB',
    'resolved nC',
  ])
})

test('events that the database refused are written again, in order, and survive a restart', async (t) => {
  let isAway = true
  const clock = createFakeClock(T0)
  const world = await createWorld({
    settings,
    clock,
    async takes() {
      if (isAway) throw new CollectorError('away', { stage: 'sink', code: 'db_unreachable', reaction: 'retry' })
    },
  })
  t.after(() => world.close())
  minute(world, 0, 'nA')
  minute(world, 1, 'nB')
  await world.judge()
  await clock.advance(5_000)
  assert.deepEqual(world.events, [])
  await world.restart('stopped')
  minute(world, 2, 'nC')
  isAway = false
  await world.judge()
  await clock.advance(5_000)
  assert.deepEqual(seen(world), ['firing nA', 'firing nB', 'resolved nA'])
})

test('a database that takes no events is not asked again at every turn, and each request is marked as an observer’s', async (t) => {
  const clock = createFakeClock(T0)
  let asked = 0
  let isBestEffort: boolean | undefined = true
  const world = await createWorld({
    settings,
    clock,
    async takes(batch) {
      asked += 1
      isBestEffort &&= batch.isBestEffort
      throw new CollectorError('type conflict', { stage: 'sink', code: 'db_rejected', reaction: 'hold' })
    },
  })
  t.after(() => world.close())
  minute(world, 0, 'nA')
  minute(world, 1, 'nB')
  await world.judge()
  await clock.advance(3_600_000)
  // 5, 10, 20, 40, 80, 160 s, and then every five minutes.
  assert.ok(asked > 10 && asked < 22, `asked ${asked} times in an hour`)
  assert.equal(isBestEffort, true)
})

test('thousands of events of one judgement are all written', async (t) => {
  const world = await createWorld({ settings })
  t.after(() => world.close())
  const nodes = Array.from({ length: 2_500 }, (_, index) => ({ node: `n${index}`, start: T0 + 7n * SEC, tx: 2_000 }))
  world.read({ fromNs: T0, toNs: T0 + 2n * MIN }, nodes)
  await world.judge()
  await turn()
  assert.equal(world.events.length, 2_500)
  assert.equal(new Set(seen(world)).size, 2_500)
})

test('what is refuted before the database took it is written once, as refuted', async (t) => {
  const free = Promise.withResolvers<void>()
  let isFirst = true
  const world = await createWorld({
    settings: { rules: [{ name: 'quiet', below: '1kB', window: '1m', within: '1h' }] },
    async takes() {
      if (isFirst) await free.promise
      isFirst = false
    },
  })
  t.after(() => world.close())
  const told = () =>
    world.events.map((line) => /state=(\w+).*text="(\w+) .*refuted=(\w+)/.exec(line)?.slice(1).join(' '))
  // A judgement that is under way already does not know of the last window.
  const judged = async (seconds: bigint) => {
    while (world.alerts.status().evaluated !== isoOf(T0 + seconds * SEC)) {
      await world.judge()
      await turn()
    }
  }
  world.read({ fromNs: T0, toNs: T0 + 2n * MIN }, [
    { node: 'nA', start: T0 + 7n * SEC, tx: 2_000 },
    { node: 'nB', start: T0 + 7n * SEC, tx: 5 },
  ])
  await judged(60n)
  // That nB sent too little is under way; that nA did a minute later waits, and turns out not to be so.
  world.read({ fromNs: T0 + 2n * MIN, toNs: T0 + 3n * MIN }, [{ node: 'nA', start: T0 + 127n * SEC, tx: 2_000 }])
  await judged(120n)
  world.read({ fromNs: T0 + 3n * MIN, toNs: T0 + 4n * MIN }, [{ node: 'nA', start: T0 + 70n * SEC, tx: 2_000 }])
  await judged(180n)
  free.resolve()
  await turn()
  assert.deepEqual(told(), ['firing nB false', 'firing nA true'])
})
