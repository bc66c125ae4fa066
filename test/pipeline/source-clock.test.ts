/** Two clocks, either of which may jump, be wrong or stand still: what counts as now, and what is reported. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DAY, HOUR, MINUTE, MS, SECOND } from '../../src/base/clock.ts'
import { createSourceClock } from '../../src/pipeline/source-clock.ts'
import { createFakeClock, NOON_NS } from '../helpers/fake-clock.ts'
import { createFakeApi } from '../helpers/fake-line.ts'
import { createLineWorld, OPTIONS } from '../helpers/line-world.ts'

function setUp() {
  const clock = createFakeClock()
  const reported = { status: '', code: '' as string | undefined, text: '' as string | undefined }
  const health = {
    set: (_: unknown, status: string, code?: string, text?: string) =>
      void Object.assign(reported, { status, code, text }),
  }
  const sourceClock = createSourceClock(OPTIONS, { clock, health })
  return { clock, sourceClock, reported }
}

test('both clocks are compared at one instant, also at the edge of a millisecond', () => {
  // Each look at the wall clock is a millisecond later than the one before.
  let looks = 0n
  const clock = { now: () => NOON_NS + (looks += 1n) * MS, monotonicMs: () => 0 }
  const sourceClock = createSourceClock(OPTIONS, { clock, health: { set: () => undefined } })
  sourceClock.hear(NOON_NS)
  for (let count = 0; count < 10; count += 1) assert.equal(sourceClock.isAgreed(), true)
})

test('a jump of the local clock, either way, moves neither the clock of the API nor what is measured by it', async () => {
  for (const days of [-4_000, -365, -30, -1, 1, 30, 365, 4_000]) {
    const { clock, sourceClock } = setUp()
    sourceClock.hear(NOON_NS)
    clock.jump(days * 86_400_000)
    await clock.advance(10_000)
    assert.equal(sourceClock.serverNowNs(), NOON_NS + 10n * SECOND)
    assert.equal(sourceClock.runningNs(), NOON_NS + 10n * SECOND)
    assert.equal(sourceClock.hasJumped(), true)
    assert.equal(sourceClock.isAgreed(), false)
    const expectedNs = days > 0 ? NOON_NS + 10n * SECOND : clock.now()
    assert.equal(sourceClock.safeNowNs(), expectedNs)
  }
})

test('a Date that stands still is an error after five minutes of answers, while the clock that lag is measured by runs on', async () => {
  const { clock, sourceClock, reported } = setUp()
  for (let seconds = 0; seconds < 300; seconds += 30) {
    sourceClock.hear(NOON_NS)
    assert.notEqual(reported.status, 'error', `after ${seconds} s`)
    await clock.advance(30_000)
  }
  sourceClock.hear(NOON_NS)
  assert.deepEqual([reported.status, reported.code], ['error', 'date_stands_still'])
  assert.match(
    reported.text ?? '',
    /has not moved for 5 minutes .*proxy .*let requests to tailscale\.apiUrl pass uncached/,
  )
  assert.equal(sourceClock.runningNs(), NOON_NS + 5n * MINUTE)
  assert.equal(sourceClock.safeNowNs(), NOON_NS, 'what cannot be undone waits for the Date')
  sourceClock.hear(clock.now())
  assert.equal(reported.status, 'ok', 'it moves again')
})

test('a Date that a cache renews only every few minutes, or that was wrong once, does not stand still', async () => {
  const { clock, sourceClock, reported } = setUp()
  for (let minutes = 0n; minutes < 60n; minutes += 1n) {
    sourceClock.hear(NOON_NS + (minutes / 4n) * 4n * MINUTE)
    assert.notEqual(reported.code, 'date_stands_still')
    await clock.advance(60_000)
  }
  for (const wrongNs of [2n * HOUR, -2n * HOUR, 365n * DAY]) {
    sourceClock.hear(clock.now() + wrongNs)
    for (let minutes = 0; minutes < 20; minutes += 1) {
      await clock.advance(60_000)
      sourceClock.hear(clock.now())
      assert.equal(reported.status, 'ok')
      assert.ok(sourceClock.runningNs() - clock.now() < 5n * SECOND)
    }
  }
})

test('answers that are rare are not taken for a Date that stands still before there were several', async () => {
  const { clock, sourceClock, reported } = setUp()
  sourceClock.hear(NOON_NS)
  for (let hours = 0; hours < 2; hours += 1) {
    await clock.advance(3_600_000)
    sourceClock.hear(NOON_NS)
    assert.notEqual(reported.code, 'date_stands_still')
  }
  await clock.advance(3_600_000)
  sourceClock.hear(NOON_NS)
  assert.equal(reported.code, 'date_stands_still')
})

test('behind a proxy whose Date stands still nothing is taken as read, lag grows, health is an error, and afterwards nothing is missing', async () => {
  const clock = createFakeClock()
  let stillNs: bigint | undefined
  const api = createFakeApi(() => stillNs ?? (clock.now() / SECOND) * SECOND)
  const world = createLineWorld({}, { clock, api })
  api.records = Array.from({ length: 2 * 7_200 }, (_, index) => ({
    id: `r${index}`,
    loggedNs: NOON_NS - HOUR + BigInt(index) * SECOND,
  }))
  await world.run(300_000)
  stillNs = (clock.now() / SECOND) * SECOND
  const asked = api.asked.length
  await world.run(3_600_000)
  assert.ok((world.ledger.watermarkNs() ?? 0n) <= stillNs - MINUTE)
  const { lagSeconds } = world.pipeline.status()
  assert.ok(Math.abs((lagSeconds ?? 0) - 3_660) < 35, `${lagSeconds} s`)
  const reported = (world.metrics.calls.get('position') ?? []).at(-1)?.[1] as number
  assert.ok(Math.abs(reported - 3_660) < 35, `${reported} s`)
  assert.deepEqual([world.health.get('clock')?.status, world.health.get('clock')?.code], ['error', 'date_stands_still'])
  assert.ok(api.asked.length - asked <= 2 * 121, `${api.asked.length - asked} requests in an hour`)
  stillNs = undefined
  await world.run(120_000)
  assert.equal(world.health.get('clock')?.status, 'ok')
  const watermarkNs = world.ledger.watermarkNs() ?? 0n
  assert.ok(watermarkNs > clock.now() - 95n * SECOND)
  for (const one of api.records) if (one.loggedNs <= watermarkNs) assert.ok(world.db.rows.has(one.id), one.id)
  assert.deepEqual(world.ledger.gaps(), [])
})
