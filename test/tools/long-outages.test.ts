/** Days and weeks without database or API, on virtual time: what was asked for meanwhile, what was reported, and what came back. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { DAY, HOUR, MINUTE, MS, SECOND } from '../../src/base/clock.ts'
import { createSimApi } from '../../tools/simulation/sim-api.ts'
import { createSimDb } from '../../tools/simulation/sim-db.ts'
import { createSimProcess } from '../../tools/simulation/sim-process.ts'
import { keyOf, messageText, pointsOf } from '../../tools/simulation/sim-records.ts'
import { createMemoryState } from '../../tools/simulation/sim-state.ts'
import { createFakeClock, NOON_NS } from '../helpers/fake-clock.ts'
import { OPTIONS } from '../helpers/line-world.ts'

const RECORD_EVERY_MS = 900_000

function createOutageWorld() {
  const clock = createFakeClock(NOON_NS, 1)
  const bites = new Map<string, number>()
  const bite = (name: string) => void bites.set(name, (bites.get(name) ?? 0) + 1)
  const deps = { nowMs: () => clock.monotonicMs(), sleep: clock.sleep, latencyMs: () => 0, bite }
  const api = createSimApi({ ...deps, nowNs: () => clock.now() })
  const db = createSimDb(deps)
  let dbRequests = 0
  const one = createSimProcess(OPTIONS, createMemoryState(), {
    clock,
    open: (_, window, signal) => api.open(window, signal),
    send(_, request, signal) {
      dbRequests += 1
      return db.http.send(request, signal)
    },
    letters: [],
    isDiskFull: () => false,
    bite,
    onDone: () => undefined,
    onOrigin: () => undefined,
    onOpen: () => undefined,
  })

  /** Ticks by the schedule. */
  async function pass(ms: number, everyMs = OPTIONS.intervalMs): Promise<void> {
    const untilMs = clock.monotonicMs() + ms
    while (clock.monotonicMs() < untilMs) {
      let isOver = false
      let failure: unknown
      one.pipeline.tick().then(
        () => {
          isOver = true
        },
        (error) => {
          failure = error
          isOver = true
        },
      )
      while (!isOver) {
        await turn()
        const nextMs = clock.nextWakeMs()
        if (!isOver && nextMs !== undefined) await clock.advance(nextMs)
      }
      if (failure !== undefined) throw failure
      await clock.advance(everyMs)
    }
  }
  let serial = 0
  /** Records of the whole time ahead: the API shows each when it is logged. */
  function record(ms: number): void {
    for (let atMs = 0; atMs < ms; atMs += RECORD_EVERY_MS) {
      // Neither those with an odd clock nor those that the database refuses.
      do serial += 1
      while (serial % 41 === 40 || serial % 37 === 36)
      const loggedNs = clock.now() + BigInt(atMs) * MS
      api.records.push({ text: messageText(serial, loggedNs), loggedNs, visibleNs: loggedNs })
    }
  }
  function missing(fromNs: bigint, toNs: bigint): number {
    const wanted = api.records.filter((record) => record.loggedNs >= fromNs && record.loggedNs <= toNs)
    assert.ok(wanted.length > 0)
    return wanted.flatMap(pointsOf).filter((point) => !db.rows.has(keyOf(point))).length
  }
  return { clock, api, db, one, bites, pass, record, missing, dbRequests: () => dbRequests }
}

const iso = (ns: bigint) => new Date(Number(ns / MS)).toISOString()

test('three days without database: nothing is asked of the API, the watermark stands, and all of it comes back', async (t: TestContext) => {
  const world = createOutageWorld()
  const days = 3 * 86_400_000
  world.record(days + 4 * 3_600_000)
  await world.pass(3_600_000)
  const beganNs = world.clock.now()
  const asked = world.api.asked
  const probes = world.dbRequests()
  const watermarkNs = world.one.ledger.watermarkNs()
  world.db.fault = 'refused'
  await world.pass(days)
  assert.equal(world.api.asked - asked <= OPTIONS.parallel, true, `${world.api.asked - asked} requests`)
  assert.ok((world.one.ledger.watermarkNs() ?? 0n) - (watermarkNs ?? 0n) <= MINUTE)
  assert.equal(world.one.health.get('sink'), 'error')
  const { lagSeconds } = world.one.pipeline.status()
  assert.ok((lagSeconds ?? 0) >= days / 1000, `lag ${lagSeconds}`)
  t.diagnostic(
    `during ${days / 86_400_000} days: ${world.api.asked - asked} requests to the API, ${world.dbRequests() - probes} to the database; lag told ${lagSeconds} s; sink ${world.one.health.get('sink')}`,
  )
  world.db.fault = undefined
  const before = world.api.asked
  await world.pass(3_600_000)
  t.diagnostic(`back: ${world.api.asked - before} requests to the API in the hour after it`)
  assert.equal(world.missing(beganNs - HOUR, world.clock.now() - 3n * MINUTE), 0, 'all is there')
  assert.deepEqual(world.one.ledger.gaps(), [])
})

test('31 days without API: an exact gap for what is beyond the retention is told, and all inside it comes back', async (t: TestContext) => {
  const world = createOutageWorld()
  const days = 31 * 86_400_000
  world.record(days + 6 * 3_600_000)
  await world.pass(3_600_000)
  const asked = world.api.asked
  const watermarkNs = world.one.ledger.watermarkNs() ?? 0n
  world.api.fault = 'unreachable'
  // The first day tick by tick; afterwards one in an hour, which changes nothing but the number of requests.
  await world.pass(86_400_000)
  const perDay = world.api.asked - asked
  await world.pass(days - 86_400_000, 3_600_000)
  assert.equal(world.one.health.get('source'), 'error')
  t.diagnostic(`${perDay} requests in a day without API, at most one in ${Math.round(86_400 / perDay)} s`)
  assert.ok(perDay <= 86_400 / 30, 'no more than one per interval')
  world.api.fault = undefined
  const backNs = world.clock.now()
  await world.pass(2 * 3_600_000)
  const gaps = world.one.ledger.gaps()
  assert.ok(gaps.every((gap) => gap.state === 'lost' && gap.reason === 'beyond_retention'))
  const fromNs = gaps[0]?.fromNs ?? 0n
  const toNs = gaps.at(-1)?.toNs ?? 0n
  for (const [index, gap] of gaps.entries()) if (index > 0) assert.equal(gap.fromNs, gaps[index - 1]?.toNs, 'one piece')
  assert.equal(fromNs, watermarkNs, 'it begins where reading had come to')
  // An hour before the API forgets, reading is given up: what would be gone before it is read must be reported.
  const expectedNs = backNs - 30n * DAY + HOUR
  assert.ok(toNs >= expectedNs - HOUR && toNs <= expectedNs + MINUTE, `${iso(toNs)}, not ${iso(expectedNs)}`)
  t.diagnostic(`gap told: ${iso(fromNs)} to ${iso(toNs)}, ${Number(toNs - fromNs) / 3.6e12} h`)
  assert.equal(world.missing(toNs + SECOND, world.clock.now() - 3n * MINUTE), 0, 'all inside the retention is there')
  assert.ok((world.one.ledger.watermarkNs() ?? 0n) > world.clock.now() - 3n * MINUTE)
})
