/** When ledger and database are compared, and that a comparison which is not possible stops nothing. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { HOUR, MINUTE, SECOND } from '../../../src/base/clock.ts'
import { CollectorError } from '../../../src/base/errors.ts'
import { NO_OBSERVERS } from '../../../src/observers/observers.ts'
import type { LineSettings } from '../../../src/pipeline/recovery/recovery.ts'
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

/** Settings of a process, kept in memory: what was settled, and what came back from the database. */
function settingsOf(ports: string, names: readonly string[] = ['default']) {
  let changes: string[] = []
  const settled: bigint[] = []
  const settings: LineSettings = {
    settle(nowNs) {
      settled.push(nowNs)
      if (changes.at(-1) !== ports) changes.push(ports)
    },
    text: () => changes.join(' '),
    restore(text) {
      changes = text.split(' ')
      return true
    },
    names: () => names,
    problem: () => undefined,
  }
  return { settings, settled, changes: () => changes }
}

test('a lost state file: the new ledger lists what the old one listed, and knows its settings before it reads', async () => {
  const first = createLineWorld({}, { settings: settingsOf('service').settings })
  first.api.records = worldOfHours(3).api.records.map((one) => ({ ...one, startNs: one.loggedNs - 9n * HOUR }))
  await first.run(1_800_000)
  const listed = first.ledger.unsettled.all('minute')
  assert.ok(listed.length > 60)
  const second = settingsOf('full')
  let asked: readonly string[] = []
  const observers = {
    begin() {
      asked = second.changes()
      return NO_OBSERVERS.begin({} as never)
    },
  }
  const { clock, api, db } = first
  const world = createLineWorld({}, { clock, api, db, settings: second.settings, observers })
  await world.tick()
  assert.deepEqual(asked, ['service', 'full'])
  const found = new Set(world.ledger.unsettled.all('minute').map(({ startNs }) => startNs))
  assert.ok(listed.every(({ startNs }) => found.has(startNs)))
  const ours = [...db.windows.values()].filter(({ writer }) => writer === world.ledger.writer && writer !== undefined)
  assert.ok(
    ours.some(({ settings }) => settings === 'service full'),
    'and hands them on',
  )
})

test('settings are settled after each comparison, by the clock of the source, and never while the database was not compared', async () => {
  const one = settingsOf('service')
  const world = createLineWorld({}, { settings: one.settings })
  world.skewMs = 7_200_000
  world.db.fault = () => {
    throw AWAY
  }
  await world.tick()
  assert.deepEqual(one.settled, [])
  world.db.fault = undefined
  await world.run(900_000)
  assert.ok(one.settled.length >= 2)
  assert.ok((one.settled[0] ?? 0n) >= NOON_NS + 2n * HOUR - SECOND, 'not by the local clock, which is two hours behind')
})

test('settings that cannot be recorded stop reading until they can, because nobody would know what it was read with', async () => {
  const one = settingsOf('service')
  let isFull = true
  const settings: LineSettings = {
    ...one.settings,
    settle(nowNs) {
      if (isFull) throw new CollectorError('no space left', { stage: 'ledger', code: 'state_full', reaction: 'retry' })
      one.settings.settle(nowNs)
    },
  }
  const world = createLineWorld({}, { settings })
  world.api.records = worldOfHours(1).api.records
  assert.equal(await world.tick(), 'state_failed')
  assert.deepEqual([world.health.get('state')?.code, world.db.rows.size], ['state_full', 0])
  isFull = false
  await world.run(120_000)
  assert.ok(world.db.rows.size > 0)
})

test('a key that is missing is told by /health with its fix, until it is there', async () => {
  let status: 'warning' | 'error' | undefined = 'error'
  const problem = () => status && { status, text: 'hashed with another key. Set privacy.formerKey.' }
  const world = createLineWorld({}, { settings: { ...settingsOf('service').settings, problem } })
  await world.tick()
  const line = () => world.health.get('line')
  assert.deepEqual([line()?.status, line()?.code], ['error', 'privacy_key_missing'])
  assert.match(line()?.text ?? '', /formerKey/)
  status = undefined
  await world.run(700_000)
  assert.equal(line()?.status, 'ok')
})

test('a renamed tailnet: windows that were written under the old name are found, and nothing is read again', async () => {
  const first = createLineWorld({ tailnet: 'old' }, { settings: settingsOf('service', ['old']).settings })
  first.api.records = worldOfHours(3).api.records
  await first.run(1_800_000)
  const { clock, api, db, ledger } = first
  const asked = api.asked.length
  const given = { clock, api, db, ledger }
  const renamed = createLineWorld({ tailnet: 'new' }, { ...given, settings: settingsOf('x', ['new', 'old']).settings })
  await renamed.tick()
  assert.ok(api.asked.slice(asked).every(({ fromNs }) => fromNs > NOON_NS))
  await renamed.run(300_000)
  const names = new Set([...db.windows.values()].map(({ tailnet }) => tailnet))
  assert.deepEqual([...names], ['old', 'new'])
  const forgetful = createLineWorld({ tailnet: 'new' }, { ...given, settings: settingsOf('x', ['new']).settings })
  const before = api.asked.length
  await forgetful.tick()
  const oldest = api.asked.slice(before).some(({ fromNs }) => fromNs < NOON_NS)
  assert.ok(oldest, 'who asks under one name only reads all of it again')
})
