/** What ages out at the API: a loss where it was promised, and no loss where a first start only read as far back as it could. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DAY, HOUR, MINUTE, SECOND } from '../../src/base/clock.ts'
import { CollectorError } from '../../src/base/errors.ts'
import { createFakeClock, NOON_NS } from '../helpers/fake-clock.ts'
import { createLineWorld, type LineWorld } from '../helpers/line-world.ts'
import { createMemoryLedger } from '../helpers/memory-ledger.ts'

const DAY_MS = 86_400_000

function lostSeconds(world: LineWorld): number {
  return (world.metrics.calls.get('gapLost') ?? []).reduce((sum, args) => sum + Number(args[1]), 0)
}
function unreachable(): never {
  throw new CollectorError('refused: start it', { stage: 'source', code: 'api_unreachable', reaction: 'retry' })
}

test('a first start with the longest look-back begins safely above what ages out: no loss, no gap', async () => {
  const world = createLineWorld({ lookbackMs: 30 * DAY_MS, parallel: 2 })
  const serverMs = 3_000
  world.api.midway = () => world.clock.sleep(serverMs)
  world.api.records = Array.from({ length: 30 * 24 }, (_, index) => ({
    id: `r${index}`,
    loggedNs: NOON_NS - 30n * DAY + BigInt(index) * HOUR + MINUTE,
  }))
  await world.run(60 * 60_000)
  assert.deepEqual(world.ledger.gaps(), [])
  assert.equal(lostSeconds(world), 0)
  assert.equal(world.ledger.originNs(), NOON_NS - 30n * DAY + 2n * HOUR)
  assert.ok((world.ledger.watermarkNs() ?? 0n) > world.clock.now() - 100n * SECOND)
  for (const one of world.api.records.slice(3)) assert.ok(world.db.rows.has(one.id), one.id)
})

test('history that ages out before it can be read moves the origin and is no loss', async () => {
  const world = createLineWorld({ lookbackMs: 30 * DAY_MS })
  // The first answer has the time, everything after it is refused.
  world.api.fault = () => {
    if (world.api.asked.length > 1) unreachable()
  }
  await world.run(10 * 3_600_000)
  world.api.fault = undefined
  await world.run(600_000)
  assert.deepEqual(world.ledger.gaps(), [])
  assert.equal(lostSeconds(world), 0)
  const originNs = world.ledger.originNs() ?? 0n
  assert.ok(originNs > NOON_NS - 30n * DAY + 10n * HOUR && originNs < NOON_NS - 30n * DAY + 12n * HOUR)
  assert.ok((world.ledger.watermarkNs() ?? 0n) > world.clock.now() - 100n * SECOND)
})

test('a service that never reached the API since its first start tells as lost exactly what it had promised', async () => {
  const world = createLineWorld({ lookbackMs: DAY_MS })
  world.api.fault = () => {
    if (world.api.asked.length > 1) unreachable()
  }
  await world.tick()
  await world.clock.advance(31 * DAY_MS)
  world.api.fault = undefined
  await world.run(120_000)
  const [gap, ...more] = world.ledger.gaps()
  assert.deepEqual(more, [])
  assert.deepEqual([gap?.fromNs, gap?.state, gap?.reason], [NOON_NS, 'lost', 'beyond_retention'])
  assert.ok((gap?.toNs ?? 0n) - (NOON_NS + DAY + HOUR) < 3n * MINUTE)
})

for (const when of ['between two polls', 'in the middle of one', 'while it wrote']) {
  test(`a machine that slept for a year ${when}: what the API no longer has is not asked for, and is told as lost exactly`, async () => {
    const world = createLineWorld({ lookbackMs: 3 * 3_600_000, windowMaxMs: 1_200_000 })
    const yearNs = 365n * DAY
    let wokeAt: number | undefined
    const sleepAndWake = () => {
      wokeAt ??= world.api.asked.length
      world.clock.jump(365 * DAY_MS)
    }
    if (when === 'between two polls') {
      await world.run(60_000)
      sleepAndWake()
    } else if (when === 'in the middle of one') {
      world.api.fault = () => {
        if (world.api.asked.length === 5) sleepAndWake()
      }
    } else {
      world.db.fault = (batch) => {
        if (batch && wokeAt === undefined && world.api.asked.length >= 6) sleepAndWake()
      }
    }
    const settled = world.ledger.watermarkNs() ?? NOON_NS
    const fromNs = NOON_NS + yearNs - 30n * DAY
    world.api.records = Array.from({ length: 30 * 24 }, (_, index) => ({
      id: `r${index}`,
      loggedNs: fromNs + BigInt(index) * HOUR + MINUTE,
    }))
    await world.run(600_000)
    const gaps = world.ledger.gaps()
    assert.deepEqual([...new Set(gaps.map(({ state, reason }) => `${state} ${reason}`))], ['lost beyond_retention'])
    const [gap] = gaps
    assert.ok(gap)
    assert.ok(when !== 'between two polls' || gap.fromNs === settled)
    assert.ok(gap.toNs >= fromNs + HOUR && gap.toNs < fromNs + HOUR + 3n * MINUTE)
    const tooOld = world.api.asked.slice(wokeAt).filter((window) => window.toNs < fromNs)
    // Those in progress when it fell asleep were asked for already.
    assert.ok(tooOld.length <= 2, `${tooOld.length}`)
    assert.ok((world.ledger.watermarkNs() ?? 0n) > world.clock.now() - 100n * SECOND)
    for (const one of world.api.records.slice(2)) assert.ok(world.db.rows.has(one.id), one.id)
  })
}

test('a machine without a clock that starts years ago: when its clock is set, nothing of those years is a loss', async () => {
  const years = 6 * 365 * DAY_MS
  const clock = createFakeClock()
  clock.jump(-years)
  const world = createLineWorld({ lookbackMs: DAY_MS }, { clock })
  world.skewMs = years
  world.api.records = Array.from({ length: 48 }, (_, index) => ({
    id: `r${index}`,
    loggedNs: NOON_NS - DAY + BigInt(index) * (HOUR / 2n) + SECOND,
  }))
  await world.run(120_000)
  assert.equal(world.health.get('clock')?.code, 'skew')
  clock.jump(years)
  world.skewMs = 0
  await world.run(600_000)
  assert.deepEqual(world.ledger.gaps(), [])
  assert.equal(lostSeconds(world), 0)
  assert.ok((world.ledger.watermarkNs() ?? 0n) > clock.now() - 100n * SECOND)
  for (const one of world.api.records) assert.ok(world.db.rows.has(one.id), one.id)
})

test('a ledger of before this version promises everything from its origin on', async () => {
  const ledger = createMemoryLedger()
  ledger.setOrigin(NOON_NS - 31n * DAY)
  const world = createLineWorld({}, { ledger })
  await world.tick()
  assert.equal(lostSeconds(world), 25 * 3_600)
})
