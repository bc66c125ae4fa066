/** When ledger and database are compared, and that a comparison which is not possible stops nothing. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { HOUR, MINUTE, SECOND } from '../../../src/base/clock.ts'
import { CollectorError } from '../../../src/base/errors.ts'
import type { CheckpointPoint } from '../../../src/sink/sink.ts'
import { NOON_NS } from '../../helpers/fake-clock.ts'
import { createLineWorld, type LineWorld } from '../../helpers/line-world.ts'

const AWAY = new CollectorError('refused', { stage: 'sink', code: 'db_unreachable', reaction: 'retry' })
const REFUSED = 'InfluxDB (v3) does not show its checkpoint (500: would scan 432 Parquet files). Raise that limit.'

function worldOfHours(hours: number): LineWorld {
  const world = createLineWorld()
  world.api.records = Array.from({ length: hours * 720 }, (_, index) => ({
    id: `r${index}`,
    loggedNs: NOON_NS - HOUR + BigInt(index) * 5n * SECOND,
  }))
  return world
}

function missing(world: LineWorld): number {
  const untilNs = world.clock.now() - 100n * SECOND
  return world.api.records.filter(({ id, loggedNs }) => loggedNs <= untilNs && !world.db.rows.has(id)).length
}

interface Copy {
  readonly rows: Map<string, string>
  readonly windows: Map<string, CheckpointPoint>
}
const copyOf = ({ db }: LineWorld): Copy => ({ rows: new Map(db.rows), windows: new Map(db.windows) })
function restore({ db }: LineWorld, { rows, windows }: Copy): void {
  db.rows.clear()
  for (const [id, value] of rows) db.rows.set(id, value)
  db.windows = new Map(windows)
}
const EMPTY: Copy = { rows: new Map(), windows: new Map() }

/** Seconds until all is there again. */
async function recovered(world: LineWorld): Promise<number> {
  const beganMs = world.clock.monotonicMs()
  while (missing(world) > 0) {
    if (world.clock.monotonicMs() - beganMs > 3_600_000) throw new Error(`${missing(world)} records stay away`)
    await world.run(10_000)
  }
  return (world.clock.monotonicMs() - beganMs) / 1000
}

for (const [what, isWhole] of [
  ['dropped and made again between two polls', true],
  ['restored from an older copy between two polls', false],
] as const) {
  test(`${what}: what the database lost is read again within ten minutes, though it was never seen away`, async (t) => {
    const world = worldOfHours(4)
    await world.run(1_800_000)
    const copy = isWhole ? EMPTY : copyOf(world)
    await world.run(1_200_000)
    restore(world, copy)
    // New checkpoints carry the newest acknowledgement and hide nothing.
    await world.run(60_000)
    assert.ok(missing(world) > 100)
    const seconds = await recovered(world)
    t.diagnostic(`${seconds + 60} s`)
    assert.ok(seconds <= 600)
  })
}

test('a request that failed and succeeded at its second attempt is an outage: a database that came back older is noticed at once', async (t) => {
  const world = worldOfHours(4)
  await world.run(1_800_000)
  const copy = copyOf(world)
  await world.run(1_200_000)
  restore(world, copy)
  world.db.listeners.failed(AWAY)
  const seconds = await recovered(world)
  t.diagnostic(`${seconds} s`)
  assert.ok(seconds <= 60)
})

test('a question that is refused stops nothing: a warning with the fix, asked again after ten minutes, and then what is missing is read', async () => {
  const world = worldOfHours(6)
  await world.run(1_800_000)
  world.db.answer = () => ({ cannotBeQueried: REFUSED })
  restore(world, EMPTY)
  await world.run(1_800_000)
  const { health, db, pipeline } = world
  assert.deepEqual([health.get('sink')?.status, health.get('sink')?.code], ['warning', 'checkpoint_unanswered'])
  assert.match(health.get('sink')?.text ?? '', /points are written, but .* not noticed: .*432 Parquet files.*Raise/)
  assert.equal(pipeline.status().database.state, 'closed')
  assert.ok((pipeline.status().lagSeconds ?? 999) < 120, 'the line goes on')
  const asked = db.questions.length
  await world.run(1_200_000)
  assert.ok(db.questions.length - asked <= 2, 'once in ten minutes, however often it polls')
  db.answer = undefined
  const seconds = await recovered(world)
  assert.ok(seconds <= 660, `${seconds} s`)
  assert.equal(health.get('sink')?.status, 'ok')
})

test('refused at a first start without a state file: reading begins at the look-back, and goes back when an earlier ledger shows', async () => {
  const earlier = worldOfHours(6)
  await earlier.run(600_000)
  const world = worldOfHours(6)
  world.db.windows = new Map(earlier.db.windows)
  for (const [id, value] of earlier.db.rows) world.db.rows.set(id, value)
  world.clock.jump(3 * 3_600_000)
  await world.clock.advance(3 * 3_600_000)
  world.db.answer = () => ({ cannotBeQueried: REFUSED })
  await world.run(60_000)
  assert.ok((world.pipeline.status().lagSeconds ?? 999) < 120, 'nobody waits for the answer')
  world.db.answer = undefined
  await world.run(1_260_000)
  const lastNs = [...earlier.db.windows.values()].reduce((last, { timeNs }) => (timeNs > last ? timeNs : last), 0n)
  assert.ok((world.ledger.originNs() ?? 0n) <= lastNs)
  assert.equal(missing(world), 0)
})

for (const isForgetful of [false, true]) {
  test(`a database that fails every request once${isForgetful ? ' and keeps points for two hours' : ''}: reading goes on all the same`, async () => {
    const world = worldOfHours(8)
    await world.run(3 * 3_600_000)
    world.db.fault = (batch) => {
      if (batch) world.db.listeners.failed(AWAY)
    }
    // A retention deletes what is written below it, too.
    world.db.answer = () => {
      const keptFromNs = world.clock.now() - 2n * HOUR
      if (isForgetful)
        for (const [key, { timeNs }] of world.db.windows) if (timeNs < keptFromNs) world.db.windows.delete(key)
      return undefined
    }
    const before = world.ledger.watermarkNs() ?? 0n
    await world.run(1_800_000)
    assert.ok((world.ledger.watermarkNs() ?? 0n) > before + 25n * MINUTE)
    if (isForgetful) assert.equal(world.health.get('sink')?.status, 'warning')
    world.db.fault = undefined
    await world.run(1_200_000)
    assert.equal(missing(world), 0)
  })
}

test('away after the last batch of a window and before its checkpoint, and back without the batch: the window is read again', async () => {
  const world = worldOfHours(2)
  let lost = 0
  world.db.fault = (batch) => {
    if (lost > 0 || !batch || !Buffer.from(batch.bytes).toString().startsWith('tailflux_window')) return
    lost = world.db.rows.size
    if (lost === 0) return
    world.db.rows.clear()
    world.db.windows.clear()
    world.db.listeners.failed(AWAY)
  }
  await world.run(120_000)
  assert.ok(lost > 0)
  assert.equal(missing(world), 0)
})
