import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DAY, HOUR, MINUTE, MS, SECOND } from '../../src/base/clock.ts'
import { type Code, CollectorError, type Reaction } from '../../src/base/errors.ts'
import type { Batch } from '../../src/sink/sink.ts'
import { createFakeClock, NOON_NS } from '../helpers/fake-clock.ts'
import { createFakeApi, createFakeDb, type FakeRecord } from '../helpers/fake-line.ts'
import { createLineWorld, type LineWorld } from '../helpers/line-world.ts'
import { keptLog } from '../helpers/silent.ts'

function records(fromNs: bigint, count: number, stepNs = SECOND): FakeRecord[] {
  return Array.from({ length: count }, (_, index) => ({
    id: `r${fromNs}-${index}`,
    loggedNs: fromNs + BigInt(index) * stepNs,
  }))
}

/** Everything that the API has below the edge is in the database. */
function assertComplete(world: LineWorld): void {
  const watermarkNs = world.ledger.watermarkNs() ?? 0n
  const expected = world.api.records.filter((one) => one.loggedNs <= watermarkNs)
  assert.ok(expected.length > 0)
  for (const one of expected) assert.ok(world.db.rows.has(one.id), `${one.id} is missing`)
}

test('a first start reads the look-back, then follows the edge at its lag', async () => {
  const world = createLineWorld()
  world.api.records = records(NOON_NS - HOUR, 3_000 + 3_600)
  assert.equal(await world.tick(), 'caught_up')
  assert.equal(world.ledger.originNs(), NOON_NS - HOUR)
  assert.equal(world.ledger.watermarkNs(), NOON_NS - MINUTE)
  assertComplete(world)
  await world.run(30 * 60_000)
  const lagNs = world.clock.now() - (world.ledger.watermarkNs() ?? 0n)
  assert.ok(lagNs <= 92n * SECOND, `${lagNs}`)
  assertComplete(world)
})

test('the watermark of the checkpoint follows the ledger and never overtakes it', async () => {
  const world = createLineWorld()
  world.api.records = records(NOON_NS - HOUR, 3_000)
  await world.run(300_000)
  assert.equal(world.db.highest.watermarkNs, world.ledger.watermarkNs())
})

test('a checkpoint from the future does not let reading begin there', async () => {
  const world = createLineWorld()
  world.api.records = records(NOON_NS - HOUR, 3_000)
  world.db.show({ timeNs: NOON_NS - HOUR, watermarkNs: (1n << 63n) - 1n, ackedNs: NOON_NS })
  assert.equal(await world.tick(), 'caught_up')
  assert.ok((world.ledger.originNs() ?? 0n) < NOON_NS)
  assert.equal(world.ledger.watermarkNs(), NOON_NS - MINUTE)
})

test('the checkpoint tells up to where every late pass was made', async () => {
  const world = createLineWorld({ latePassesMs: [900_000], lookbackMs: 0 })
  world.api.records = records(NOON_NS, 7_200)
  const passed: bigint[] = []
  world.db.fault = (batch) => {
    const line = batch ? Buffer.from(batch.bytes).toString() : ''
    if (line.startsWith('tailflux_window')) passed.push(BigInt(/passed=(\d+)i/.exec(line)?.[1] ?? '-1'))
  }
  await world.run(600_000)
  const originNs = world.ledger.originNs() ?? 0n
  assert.equal(passed.at(-1), originNs, 'none is old enough yet')
  await world.run(3_000_000)
  const ageNs = world.clock.now() - (passed.at(-1) ?? 0n)
  assert.ok(ageNs >= 15n * MINUTE && ageNs <= 17n * MINUTE, `${ageNs / SECOND} s`)
})

const API_FAULTS: [Code, Reaction][] = [
  ['api_unauthorized', 'hold'],
  ['api_forbidden', 'hold'],
  ['api_feature_off', 'hold'],
  ['api_not_found', 'hold'],
  ['api_rate_limited', 'retry'],
  ['api_unreachable', 'retry'],
  ['api_unavailable', 'retry'],
  ['api_not_json', 'retry'],
  ['api_gateway', 'split'],
  ['api_timeout', 'split'],
  ['api_truncated', 'split'],
]
for (const [code, reaction] of API_FAULTS) {
  test(`${code}: the watermark stands still, health says so with the fix, and it recovers by itself without a gap`, async () => {
    const world = createLineWorld()
    world.api.records = records(NOON_NS - HOUR, 3_600 + 7_200)
    await world.run(120_000)
    const before = world.ledger.watermarkNs()
    const asked = world.api.asked.length
    world.api.fault = () => {
      throw new CollectorError(`${code}: remedy it`, { stage: 'source', code, reaction })
    }
    await world.run(1_200_000)
    assert.equal(world.ledger.watermarkNs(), before)
    const report = world.health.get('source')
    assert.deepEqual([report?.status, report?.code, report?.text], ['error', code, `${code}: remedy it`])
    const requests = world.api.asked.length - asked
    assert.ok(requests > 3 && requests < 400, `${requests} requests in 20 minutes`)
    world.api.fault = undefined
    await world.run(900_000)
    assert.equal(world.health.get('source')?.status, 'ok')
    assert.deepEqual(world.ledger.gaps(), [])
    assert.ok((world.ledger.watermarkNs() ?? 0n) > world.clock.now() - 95n * SECOND)
    assertComplete(world)
  })
}

test('Retry-After of the API is obeyed', async () => {
  const world = createLineWorld()
  world.api.records = records(NOON_NS - HOUR, 3_000)
  world.api.fault = () => {
    throw new CollectorError('later', {
      stage: 'source',
      code: 'api_rate_limited',
      reaction: 'retry',
      retryAfterMs: 240_000,
    })
  }
  await world.run(230_000)
  assert.equal(world.api.asked.length, 1)
})

test('while the database is down nothing is fetched, and afterwards nothing is missing', async () => {
  const world = createLineWorld()
  world.api.records = records(NOON_NS - HOUR, 3_600 + 15_000)
  await world.run(120_000)
  world.db.fault = () => {
    throw new CollectorError('refused: start it', { stage: 'sink', code: 'db_unreachable', reaction: 'retry' })
  }
  await world.tick()
  await world.clock.advance(30_000)
  await world.tick()
  const asked = world.api.asked.length
  const before = world.ledger.watermarkNs()
  await world.run(3 * 3_600_000)
  assert.equal(world.api.asked.length, asked, 'no request while the database is down')
  assert.equal(world.ledger.watermarkNs(), before)
  assert.equal(world.health.get('sink')?.status, 'error')
  world.db.fault = undefined
  await world.run(600_000)
  assert.equal(world.health.get('sink')?.status, 'ok')
  assertComplete(world)
  assert.ok((world.ledger.watermarkNs() ?? 0n) > world.clock.now() - 95n * SECOND)
})

test('one failure of the database is one warning with the fix, and a long one is repeated now and then', async () => {
  const { log, entries } = keptLog()
  // Many windows at once, and many probes: they all find the same.
  const world = createLineWorld({ lookbackMs: 6 * 3_600_000, windowMaxMs: 60_000 }, { log })
  world.api.records = records(NOON_NS - 6n * HOUR, 6 * 3_600)
  await world.tick()
  world.db.fault = () => {
    throw new CollectorError('refused: start it', { stage: 'sink', code: 'db_unreachable', reaction: 'retry' })
  }
  world.ledger.forget({ fromNs: NOON_NS - 6n * HOUR, toNs: NOON_NS })
  await world.run(240_000)
  const warnings = () => entries.filter(({ level }) => level >= 40)
  assert.deepEqual(
    warnings().map(({ msg, err }) => [msg, err?.message]),
    [['database is not accepting writes; polling is on hold', 'refused: start it']],
  )
  assert.ok((world.metrics.calls.get('windowFailed')?.length ?? 0) > 1, 'several windows failed')
  await world.run(900_000)
  assert.ok(warnings().length >= 3 && warnings().length <= 5, `${warnings().length} in 19 minutes`)
  world.db.fault = undefined
  await world.run(60_000)
  assert.ok(entries.some(({ msg }) => msg === 'database accepts writes again'))
  const count = warnings().length
  world.db.fault = () => {
    throw new CollectorError('token refused', { stage: 'sink', code: 'db_unauthorized', reaction: 'hold' })
  }
  await world.run(3_600_000)
  assert.equal(warnings().length, count + 1, 'the next failure is reported at once')
  assert.deepEqual([warnings().at(-1)?.level, warnings().at(-1)?.err?.message], [50, 'token refused'], 'and once')
})

test('a revoked key and a full disk of the state file are errors with the fix, logged once each time', async () => {
  const { log, entries } = keptLog()
  const world = createLineWorld({}, { log })
  // The first start comes after an hour of refusals, and looks back an hour.
  world.api.records = records(NOON_NS + 10n * MINUTE, 3 * 3_600)
  const errors = () =>
    entries.filter(({ level }) => level >= 40).map(({ level, msg, err }) => [level, msg, err?.message])
  for (let round = 1; round <= 2; round += 1) {
    world.api.fault = () => {
      throw new CollectorError('refused the key: make a new one', {
        stage: 'source',
        code: 'api_unauthorized',
        reaction: 'hold',
      })
    }
    await world.run(3_600_000)
    const expected = [50, 'the API refuses requests; polling is on hold', 'refused the key: make a new one']
    assert.deepEqual(
      errors(),
      Array.from({ length: round }, () => expected),
    )
    world.api.fault = undefined
    await world.run(600_000)
    assert.equal(world.health.get('source')?.status, 'ok')
  }
  assert.equal(entries.filter(({ msg }) => msg === 'the API accepts requests again').length, 2)
  const { done } = world.ledger
  world.ledger.done = () => {
    throw new CollectorError('the disk is full: free space', { stage: 'ledger', code: 'state_full', reaction: 'hold' })
  }
  await world.run(3_600_000)
  assert.deepEqual(errors().slice(2), [
    [50, 'state file cannot be written; polling is on hold', 'the disk is full: free space'],
  ])
  world.ledger.done = done
  await world.run(600_000)
  assertComplete(world)
})

test('what was acknowledged in the ten minutes before an outage is read again', async () => {
  const world = createLineWorld()
  world.api.records = records(NOON_NS - HOUR, 3_600 + 7_200)
  await world.run(1_800_000)
  const lost = [...world.db.rows.keys()].filter((id) => {
    const record = world.api.records.find((one) => one.id === id)
    return record && record.loggedNs > world.clock.now() - 5n * MINUTE
  })
  assert.ok(lost.length > 100)
  world.db.fault = () => {
    throw new CollectorError('refused', { stage: 'sink', code: 'db_unreachable', reaction: 'retry' })
  }
  await world.run(60_000)
  for (const id of lost) world.db.rows.delete(id)
  world.db.fault = undefined
  await world.run(300_000)
  assertComplete(world)
})

test('a lost state file and a checkpoint from a clock that was ahead: an outage costs its ten minutes, and a restored database is noticed', async () => {
  for (const aheadNs of [3_650n * DAY, (1n << 63n) - 1n - NOON_NS]) {
    const world = createLineWorld({ latePassesMs: [] })
    world.api.records = records(NOON_NS - HOUR, 3 * 3_600)
    const backup = { timeNs: NOON_NS - HOUR, watermarkNs: NOON_NS - HOUR, ackedNs: NOON_NS + aheadNs }
    world.db.show(backup)
    const restored = new Map(world.db.windows)
    await world.run(3_600_000)
    const before = world.ledger.recent(1_000)
    assert.ok(before.length > 100 && before.every(({ atNs }) => atNs > NOON_NS + 3_600n * DAY))
    world.db.fault = () => {
      throw new CollectorError('refused', { stage: 'sink', code: 'db_unreachable', reaction: 'retry' })
    }
    await world.run(60_000)
    world.db.fault = undefined
    const askedBefore = world.api.asked.length
    await world.run(60_000)
    const again = world.api.asked.slice(askedBefore)
    const oldestNs = again.reduce((oldest, { fromNs }) => (fromNs < oldest ? fromNs : oldest), NOON_NS + DAY)
    const outageNs = NOON_NS + HOUR
    assert.ok(oldestNs <= outageNs - 9n * MINUTE && oldestNs >= outageNs - 14n * MINUTE, `${oldestNs - outageNs}`)
    assertComplete(world)
    if (backup.ackedNs === (1n << 63n) - 1n) continue
    // The database is restored from its backup: what came after it is gone, and the checkpoint is as old.
    world.db.fault = () => {
      throw new CollectorError('refused', { stage: 'sink', code: 'db_unreachable', reaction: 'retry' })
    }
    await world.run(60_000)
    for (const { id, loggedNs } of world.api.records) if (loggedNs > NOON_NS) world.db.rows.delete(id)
    world.db.windows = restored
    world.db.fault = undefined
    await world.run(600_000)
    assertComplete(world)
  }
})

test('a fast local clock never lets the watermark pass what the API has', async () => {
  const world = createLineWorld()
  world.skewMs = -10 * 60_000
  world.api.records = records(NOON_NS - HOUR, 3_600 + 7_200)
  await world.run(3_600_000)
  const serverNs = world.clock.now() - 10n * MINUTE
  assert.ok((world.ledger.watermarkNs() ?? 0n) <= serverNs - MINUTE)
  assert.ok((world.ledger.watermarkNs() ?? 0n) > serverNs - 100n * SECOND)
  assertComplete(world)
  const reported = world.health.get('clock')
  assert.deepEqual([reported?.status, reported?.code], ['warning', 'skew'])
  assert.match(reported?.text ?? '', /600 s ahead of .* synchronise it \(NTP\)/)
})

test('a slow local clock delays by as much, loses nothing, and is reported with the fix until it is set right', async () => {
  const world = createLineWorld()
  world.skewMs = 10 * 60_000
  world.api.records = records(NOON_NS - HOUR, 3_600 + 7_200)
  await world.run(3_600_000)
  assert.ok((world.ledger.watermarkNs() ?? 0n) <= world.clock.now() - MINUTE)
  assert.ok((world.ledger.watermarkNs() ?? 0n) > world.clock.now() - 100n * SECOND)
  assertComplete(world)
  assert.match(world.health.get('clock')?.text ?? '', /600 s behind .* synchronise it \(NTP\)/)
  world.clock.jump(600_000)
  world.skewMs = 0
  await world.run(60_000)
  assert.equal(world.health.get('clock')?.status, 'ok')
  assert.ok((world.ledger.watermarkNs() ?? 0n) > world.clock.now() - 100n * SECOND)
  assertComplete(world)
})

test('a start with a clock that is ten years ahead gives nothing up', async () => {
  const first = createLineWorld()
  first.api.records = records(NOON_NS - HOUR, 3_600 + 7_200)
  await first.run(120_000)
  await first.clock.advance(3_600_000)
  first.clock.jump(10 * 365 * 86_400_000)
  const second = createLineWorld({}, { clock: first.clock, ledger: first.ledger, db: first.db })
  second.skewMs = -10 * 365 * 86_400_000
  second.api.records = first.api.records
  await second.run(120_000)
  assert.deepEqual(second.ledger.gaps(), [])
  assertComplete(second)
  assert.ok(second.db.rows.size > 3_600 + 3_000)
})

test('one Date header that is two hours behind silences nothing', async () => {
  const world = createLineWorld()
  world.api.records = records(NOON_NS - HOUR, 3_600 + 7_200)
  await world.run(120_000)
  world.skewMs = -7_200_000
  await world.clock.advance(30_000)
  await world.tick()
  world.skewMs = 0
  await world.run(120_000)
  assert.ok((world.ledger.watermarkNs() ?? 0n) > world.clock.now() - 95n * SECOND)
  assertComplete(world)
})

test('without a Date header the local clock stands in, which is reported', async () => {
  const clock = createFakeClock()
  const world = createLineWorld({}, { clock, api: createFakeApi(() => undefined) })
  world.api.records = records(NOON_NS - HOUR, 7_200)
  await world.run(300_000)
  assert.equal(world.ledger.watermarkNs(), clock.now() - MINUTE)
  assert.deepEqual([world.health.get('clock')?.status, world.health.get('clock')?.code], ['warning', 'no_date'])
  assertComplete(world)
})

test('what is first read when it is older than the late passes is not read again', async () => {
  const world = createLineWorld({ lookbackMs: 2 * 86_400_000 })
  world.api.records = records(NOON_NS - 40n * HOUR, 100, HOUR / 4n)
  await world.run(120_000)
  const old = world.api.asked.filter((window) => window.toNs < NOON_NS - 25n * HOUR)
  const lengthNs = old.reduce((sum, window) => sum + window.toNs - window.fromNs, 0n)
  assert.ok(lengthNs <= 23n * HOUR, `${lengthNs / MINUTE} minutes were asked for`)
  assertComplete(world)
})

test('jumps of the local clock, both ways, lose nothing', async () => {
  const world = createLineWorld()
  world.api.records = records(NOON_NS - HOUR, 3_600 + 20_000)
  await world.run(300_000)
  for (const jump of [3_600_000, -3_600_000, -1_800_000, 1_800_000]) {
    world.clock.jump(jump)
    world.skewMs -= jump
    await world.run(600_000)
    const serverNs = world.clock.now() + BigInt(world.skewMs) * MS
    assert.ok((world.ledger.watermarkNs() ?? 0n) <= serverNs - MINUTE)
    assertComplete(world)
  }
  const serverNs = world.clock.now() + BigInt(world.skewMs) * MS
  assert.ok((world.ledger.watermarkNs() ?? 0n) > serverNs - 100n * SECOND)
})

test('records that become visible late are found by the late passes, counted, and written', async () => {
  const world = createLineWorld({ intervalMs: 120_000 })
  world.api.records = records(NOON_NS - HOUR, 120 + 3_000, 30n * SECOND)
  const late = { id: 'late-10m', loggedNs: NOON_NS + 30n * SECOND, visibleNs: NOON_NS + 10n * MINUTE }
  const later = { id: 'late-5h', loggedNs: NOON_NS + 31n * SECOND, visibleNs: NOON_NS + 5n * HOUR }
  world.api.records.push(late, later)
  await world.run(10 * 60_000)
  assert.equal(world.db.rows.has('late-10m'), false)
  await world.run(10 * 60_000)
  assert.equal(world.db.rows.has('late-10m'), true)
  assert.equal(world.db.rows.has('late-5h'), false)
  await world.run(24 * 3_600_000)
  assert.equal(world.db.rows.has('late-5h'), true)
  const reported = (world.metrics.calls.get('late') ?? []).map((args) => [args[0], args[1]])
  assert.deepEqual(reported, [
    [2, 1],
    [3, 1],
  ])
})

test('a cursor older than the retention records an exact gap, says so, and reading goes on', async () => {
  const world = createLineWorld({ lookbackMs: 3_600_000 })
  world.api.records = records(NOON_NS - HOUR, 3_600)
  await world.run(120_000)
  const watermarkNs = world.ledger.watermarkNs() ?? 0n
  await world.clock.advance(31 * 86_400_000)
  const nowNs = world.clock.now()
  world.api.records = records(nowNs - 2n * HOUR, 7_000)
  await world.run(120_000)
  const gaps = world.ledger.gaps()
  assert.equal(gaps.length, 1)
  assert.deepEqual([gaps[0]?.fromNs, gaps[0]?.reason, gaps[0]?.state], [watermarkNs, 'beyond_retention', 'lost'])
  assert.equal(gaps[0]?.toNs, nowNs - 30n * 24n * HOUR + HOUR)
  assert.ok((world.ledger.watermarkNs() ?? 0n) > world.clock.now() - 95n * SECOND)
  assertComplete(world)
})

test('ticks do not overlap: a second call joins the first', async () => {
  const world = createLineWorld()
  world.api.records = records(NOON_NS - HOUR, 3_000)
  const first = world.pipeline.tick()
  assert.equal(world.pipeline.tick(), first)
  await world.tick()
  await first
})

test('a stop finishes what is in flight and takes no new window', async () => {
  const world = createLineWorld({ parallel: 1 })
  world.api.records = records(NOON_NS - HOUR, 4_000)
  await world.tick()
  await world.clock.advance(120_000)
  const before = { asked: world.api.asked.length, missing: world.ledger.missing(NOON_NS - HOUR, NOON_NS + MINUTE) }
  let release: () => void = () => undefined
  world.api.midway = () => new Promise<void>((resolve) => (release = resolve))
  const tick = world.pipeline.tick()
  await world.clock.advance(0)
  const stopped = world.pipeline.stop()
  world.api.midway = undefined
  release()
  await world.clock.advance(0)
  assert.equal(await tick, 'stopped')
  await stopped
  assert.equal(world.api.asked.length, before.asked + 1)
  assert.notDeepEqual(
    world.ledger.missing(NOON_NS - HOUR, NOON_NS + MINUTE),
    before.missing,
    'the window under way was finished',
  )
})

test('a stop that takes too long aborts what is in flight, which then is not done', async () => {
  const world = createLineWorld({ parallel: 1 })
  world.api.records = records(NOON_NS - HOUR, 3_600)
  await world.tick()
  await world.clock.advance(120_000)
  const { lastTick } = world.pipeline.status()
  const settled = world.ledger.settled()
  world.api.fault = (_, signal) =>
    new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason), { once: true }))
  const tick = world.pipeline.tick()
  await world.clock.advance(0)
  const stopped = world.pipeline.stop(5_000)
  await world.clock.advance(4_900)
  assert.equal(world.pipeline.status().lastTick, lastTick)
  await world.clock.advance(200)
  await stopped
  assert.equal(await tick, 'stopped')
  assert.deepEqual(world.ledger.settled(), settled)
})

test('a bug is not taken for weather: the tick rejects', async () => {
  const world = createLineWorld()
  world.api.fault = () => {
    throw new TypeError('bug')
  }
  await assert.rejects(world.tick(), TypeError)
})

test('a database that refuses the checkpoint is reported as a warning, and windows are done all the same', async () => {
  const db = createFakeDb()
  let isRefused = true
  const world = createLineWorld(
    {},
    {
      db: Object.assign(Object.create(db), {
        async write(batch: Batch, signal: AbortSignal) {
          const isCheckpoint = Buffer.from(batch.bytes).toString().startsWith('tailflux_window')
          if (isCheckpoint && isRefused) return { written: 0, rejected: 1, expired: 0 }
          return await db.write(batch, signal)
        },
      }),
    },
  )
  world.api.records = records(NOON_NS - HOUR, 3_000)
  await world.tick()
  assert.equal(world.ledger.watermarkNs(), NOON_NS - MINUTE)
  assert.deepEqual([world.health.get('sink')?.status, world.health.get('sink')?.code], ['warning', 'db_rejected'])
  isRefused = false
  await world.run(60_000)
  assert.equal(world.health.get('sink')?.status, 'ok')
})

test('a large window of which lines are acknowledged is not stalled, however long it takes', async () => {
  const world = createLineWorld()
  world.api.records = records(NOON_NS - HOUR, 3_000)
  const hanging = Promise.withResolvers<void>()
  world.api.midway = () => hanging.promise
  const tick = world.pipeline.tick()
  for (let minute = 0; minute < 5; minute++) {
    await world.clock.advance(60_000)
    world.db.listeners.succeeded(1)
    world.pipeline.watch()
    assert.notEqual(world.health.get('line')?.code, 'stalled')
  }
  world.api.midway = undefined
  hanging.resolve()
  await tick
})

test('a window that hangs is reported while it hangs, and forgotten when it ends', async () => {
  const world = createLineWorld()
  world.api.records = records(NOON_NS - HOUR, 3_000)
  const hanging = Promise.withResolvers<void>()
  world.api.midway = () => hanging.promise
  const tick = world.pipeline.tick()
  await world.clock.advance(100_000)
  world.pipeline.watch()
  assert.notEqual(world.health.get('line')?.code, 'stalled')
  await world.clock.advance(30_000)
  world.pipeline.watch()
  assert.deepEqual([world.health.get('line')?.status, world.health.get('line')?.code], ['warning', 'stalled'])
  world.api.midway = undefined
  hanging.resolve()
  await tick
  assert.equal(world.health.get('line')?.status, 'ok')
})

test('passes are reported as they are made: due by the earlier of both clocks', async () => {
  const world = createLineWorld()
  world.api.records = records(NOON_NS - HOUR, 3_600)
  await world.run(60_000)
  // The local clock is set an hour ahead; the API's clock continues.
  world.clock.jump(3_600_000)
  world.skewMs = -3_600_000
  await world.tick()
  const [first, second] = world.pipeline.status().passes
  assert.deepEqual([first?.pass, first?.ageSeconds, first?.due], [2, 900, 0])
  assert.ok((first?.waiting ?? 0) > 0)
  assert.deepEqual([second?.pass, second?.due], [3, 0])
  await world.run(1_000_000)
  assert.ok(
    world.metrics.calls.get('windowDone')?.some(([pass]) => pass === 2),
    'the pass was made when it was due',
  )
})
