import assert from 'node:assert/strict'
import { test } from 'node:test'
import { HOUR, MINUTE } from '../../../src/base/clock.ts'
import { CollectorError } from '../../../src/base/errors.ts'
import { createLiveness } from '../../../src/observe/line/liveness.ts'
import { createFakeClock, NOON_NS } from '../../helpers/fake-clock.ts'
import { createLineWorld, type LineWorld } from '../../helpers/line-world.ts'

const STEP_MAX_MS = 900_000
const SPARE_MS = 300_000
const away = new CollectorError('away: start it', { stage: 'sink', code: 'db_unreachable', reaction: 'retry' })

function busyWorld(recordsPerMinute = 12, minutes = 50): LineWorld {
  const world = createLineWorld({ lookbackMs: 3_600_000 })
  world.api.records = Array.from({ length: minutes * recordsPerMinute }, (_, index) => ({
    id: `r${index}`,
    loggedNs: NOON_NS - HOUR + (BigInt(index) * MINUTE) / BigInt(recordsPerMinute),
  }))
  return world
}

/** A tick that does not end, as long as the test lasts. */
async function hang(world: LineWorld): Promise<void> {
  void world.pipeline.tick()
  await world.clock.advance(10)
}

test('alive while polls begin, and not when none begins any more', async () => {
  const world = busyWorld()
  assert.equal(world.pipeline.isAlive(), true, 'before the first')
  await world.run(6 * 3_600_000)
  assert.equal(world.pipeline.isAlive(), true)
  await world.clock.advance(4 * 30_000 + SPARE_MS)
  assert.equal(world.pipeline.isAlive(), true)
  await world.clock.advance(1)
  assert.equal(world.pipeline.isAlive(), false)
  await world.tick()
  assert.equal(world.pipeline.isAlive(), true)
})

test('rare polls are not missed before they are due, and a wall clock that jumps changes nothing', async () => {
  const clock = createFakeClock()
  const liveness = createLiveness({ gapMs: 86_400_000, stepMaxMs: STEP_MAX_MS }, clock)
  liveness.pollBegan()
  liveness.pollEnded()
  await clock.advance(3 * 86_400_000)
  clock.jump(10 * 365 * 86_400_000)
  assert.equal(liveness.isAlive(), true)
  clock.jump(-20 * 365 * 86_400_000)
  assert.equal(liveness.isAlive(), true)
})

for (const [where, hangs] of [
  ['an answer of the API', (world: LineWorld) => (world.api.fault = () => new Promise(() => undefined))],
  ['a write of the database', (world: LineWorld) => (world.db.fault = () => new Promise(() => undefined))],
] as const) {
  test(`a poll in which ${where} never ends, its time-out notwithstanding, is not alive`, async () => {
    const world = busyWorld()
    hangs(world)
    await hang(world)
    await world.clock.advance(STEP_MAX_MS + SPARE_MS - 1_000)
    assert.equal(world.pipeline.isAlive(), true)
    await world.clock.advance(2_000)
    assert.equal(world.pipeline.isAlive(), false)
  })
}

test('an API that is away for a day, or answers only just before its time-out, is no reason for a restart', async () => {
  const world = busyWorld()
  world.api.fault = () => {
    throw new CollectorError('away', { stage: 'source', code: 'api_unreachable', reaction: 'retry' })
  }
  for (let hour = 0; hour < 24; hour += 1) {
    await world.run(3_600_000)
    assert.equal(world.pipeline.isAlive(), true)
  }
  world.api.fault = () => world.clock.sleep(599_000)
  void world.pipeline.tick()
  for (let minute = 0; minute < 240; minute += 1) {
    await world.clock.advance(60_000)
    assert.equal(world.pipeline.isAlive(), true, `minute ${minute}`)
    void world.pipeline.tick()
  }
})

test('a database that is away for a day, or refuses each attempt of a write for hours, is no reason for a restart', async () => {
  const world = busyWorld()
  world.db.fault = () => {
    throw away
  }
  for (let hour = 0; hour < 24; hour += 1) {
    await world.run(3_600_000)
    assert.equal(world.pipeline.isAlive(), true)
  }
  // Batch after batch is tried for minutes, and taken in the end: the window lasts for hours.
  const other = busyWorld(100, 360)
  other.db.fault = async (batch) => {
    if (batch === undefined) return
    for (let attempt = 0; attempt < 9; attempt += 1) {
      await other.clock.sleep(30_000)
      other.db.listeners.failed(away)
    }
  }
  void other.pipeline.tick()
  for (let minute = 0; minute < 240; minute += 1) {
    await other.clock.advance(60_000)
    assert.equal(other.pipeline.isAlive(), true, `minute ${minute}`)
    void other.pipeline.tick()
  }
})

test('a pause of a day is no reason for a restart', async () => {
  const world = busyWorld()
  world.pipeline.pause()
  await world.run(86_400_000)
  assert.equal(world.pipeline.isAlive(), true)
})
