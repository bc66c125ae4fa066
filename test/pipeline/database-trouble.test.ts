/** What becomes of windows that the database does not take, or takes only in part. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { HOUR, MINUTE, MS, SECOND } from '../../src/base/clock.ts'
import { CollectorError } from '../../src/base/errors.ts'
import type { Interval } from '../../src/ledger/ledger.ts'
import { createPlanner } from '../../src/pipeline/planner.ts'
import { LimitError, type NewSeries } from '../../src/sink/limit-error.ts'
import type { Batch } from '../../src/sink/sink.ts'
import { NOON_NS } from '../helpers/fake-clock.ts'
import type { FakeRecord } from '../helpers/fake-line.ts'
import { createLineWorld, type LineWorld } from '../helpers/line-world.ts'
import { linesOf } from '../helpers/lines.ts'
import { createMemoryLedger } from '../helpers/memory-ledger.ts'
import { keptLog } from '../helpers/silent.ts'

const LIMIT_TEXT = 'max-values-per-tag is reached (100000/100000): most new lines are of node scanner. Raise it.'

function sinkError(code: 'db_limit' | 'db_conflict' | 'db_rejected' | 'db_unavailable', text: string): CollectorError {
  return new CollectorError(text, { stage: 'sink', code, reaction: code === 'db_unavailable' ? 'retry' : 'hold' })
}

/** One record a second of an honest node; of the scanner too, as long as it scans. */
function traffic(fromNs: bigint, seconds: number, scanUntilNs: bigint): FakeRecord[] {
  return Array.from({ length: seconds }, (_, index) => {
    const loggedNs = fromNs + BigInt(index) * SECOND
    const ids = loggedNs < scanUntilNs ? ['honest', 'scanner'] : ['honest']
    return ids.map((name) => ({ id: `${name}-${loggedNs}`, loggedNs }))
  }).flat()
}

/** A database with a limit: of a batch it stores the honest lines, and refuses the scanner's. `hasLimit` false: raised. */
function limited(world: LineWorld): { hasLimit: boolean; refusals: number } {
  const limit = { hasLimit: true, refusals: 0 }
  world.db.fault = (batch) => {
    const lines = linesIn(batch)
    if (!limit.hasLimit || !lines.some((line) => line.startsWith('scanner'))) return
    for (const line of lines) if (line.startsWith('honest')) world.db.rows.set(line.split(' ')[0]!, '1')
    limit.refusals += 1
    throw sinkError('db_limit', LIMIT_TEXT)
  }
  return limit
}

function linesIn(batch: Batch | undefined): string[] {
  return batch === undefined ? [] : linesOf(batch.bytes)
}

function missing(world: LineWorld, name: string, untilNs: bigint): number {
  return world.api.records.filter(
    (one) => one.id.startsWith(name) && one.loggedNs <= untilNs && !world.db.rows.has(one.id),
  ).length
}

test('a limit that one node reaches: honest points are stored all the time, one named gap, an error with the fix, and all of it arrives when it is raised', async () => {
  const world = createLineWorld({ lookbackMs: 600_000 })
  world.api.records = traffic(NOON_NS - HOUR, 4 * 3_600, NOON_NS + HOUR)
  const limit = limited(world)
  for (let minute = 0; minute < 60; minute += 5) {
    await world.run(300_000)
    assert.equal(
      missing(world, 'honest', world.clock.now() - 100n * SECOND),
      missing(world, 'honest', NOON_NS - 601n * SECOND),
    )
    assert.equal(world.pipeline.status().database.state, 'closed')
  }
  assert.ok(missing(world, 'scanner', NOON_NS + HOUR - 2n * MINUTE) > 3_000)
  const gaps = world.ledger.gaps()
  assert.deepEqual(
    gaps.map(({ reason, state }) => [reason, state]),
    [['db_limit', 'open']],
    'an hour of it is one row',
  )
  assert.ok((gaps[0]?.nextNs ?? 0n) - world.clock.now() <= 10n * MINUTE)
  const sink = world.health.get('sink')
  assert.deepEqual([sink?.status, sink?.code], ['error', 'db_limit'])
  assert.match(
    sink?.text ?? '',
    /node scanner\. Raise it\. The refused points lie between 2026-11-02T11:50.*retried every ten minutes \(next: 2026-11-02T1/,
  )
  assert.equal(world.health.get('line')?.status, 'ok', 'the API has nothing to do with it')
  const changes = world.healthChanges
  await world.run(1_800_000)
  assert.equal(world.healthChanges, changes, 'one steady error')
  assert.ok(world.pipeline.status().gaps[0]?.next, 'when it is tried next is told')
  limit.hasLimit = false
  await world.run(720_000)
  assert.deepEqual(world.ledger.gaps(), [])
  const floorNs = NOON_NS - 10n * MINUTE
  world.api.records = world.api.records.filter((one) => one.loggedNs >= floorNs)
  assert.equal(missing(world, '', world.clock.now() - 100n * SECOND), 0)
  assert.equal(world.health.get('sink')?.status, 'ok')
})

test('while a limit lasts one gap is tried every ten minutes, not each of them, and new ones do not put it off', async () => {
  const world = createLineWorld({ lookbackMs: 0 })
  // It scans every other minute: gaps that do not touch.
  world.api.records = traffic(NOON_NS - HOUR, 4 * 3_600, NOON_NS + 3n * HOUR).filter(
    (one) => one.id.startsWith('honest') || (one.loggedNs / MINUTE) % 4n === 0n,
  )
  limited(world)
  await world.run(3_600_000)
  const gaps = world.ledger.gaps().length
  assert.ok(gaps >= 10, `${gaps} gaps`)
  world.api.asked.length = 0
  await world.run(3_600_000)
  const horizonNs = world.clock.now() - HOUR - 2n * MINUTE
  const again = world.api.asked.filter((window) =>
    world.ledger.gaps().some((gap) => gap.toNs < horizonNs && gap.fromNs === window.fromNs),
  )
  assert.ok(again.length >= 5 && again.length <= 7, `${again.length} attempts in an hour`)
})

test('of a window with a limit in its first batch the batches behind it are stored too', async () => {
  const world = createLineWorld({ lookbackMs: 60_000, lagMs: 5_000 })
  world.api.records = Array.from({ length: 40 }, (_, index) => ({
    id: `${index === 0 ? 'scanner' : 'honest'}-${index}`,
    loggedNs: NOON_NS - MINUTE + BigInt(index) * SECOND,
  }))
  limited(world)
  await world.tick()
  assert.equal(missing(world, 'honest', NOON_NS), 0)
  assert.equal(world.ledger.gaps().length, 1)
})

test('a late pass that meets the limit takes nothing back, and is made again', async () => {
  const world = createLineWorld({ latePassesMs: [900_000], lookbackMs: 600_000 })
  world.api.records = traffic(NOON_NS - HOUR, 4 * 3_600, 0n)
  const limit = limited(world)
  const late = { id: 'scanner-late', loggedNs: NOON_NS - 5n * MINUTE, visibleNs: NOON_NS + 5n * MINUTE }
  world.api.records.push(late)
  await world.run(1_500_000)
  const done = world.ledger.settled()
  assert.equal(done.length, 1)
  assert.ok(limit.refusals > 0, 'the late pass met the limit')
  assert.deepEqual(world.ledger.gaps(), [])
  assert.equal(world.health.get('sink')?.code, 'db_limit')
  limit.hasLimit = false
  await world.run(720_000)
  assert.ok(world.db.rows.has('scanner-late'))
  await world.run(600_000)
  assert.equal(world.health.get('sink')?.status, 'ok')
})

/** The first ids are those that every refusal has, the last one is new. */
function newSeries(node: string, known: number, fresh: number): NewSeries {
  const ids = Array.from({ length: known }, (_, index) => BigInt(index))
  return new Map([[node, new Set([...ids, BigInt(fresh)].map((id) => (id << 8n) + BigInt(node.length)))]])
}

test('the node with the most new series of all that waits is named, whoever was refused last and most often, and once', async () => {
  const kept = keptLog()
  const world = createLineWorld({ lookbackMs: 600_000 }, { log: kept.log })
  world.api.records = traffic(NOON_NS - HOUR, 4 * 3_600, NOON_NS + 10n * MINUTE)
  let refusals = 0
  let isRaised = false
  world.db.fault = (batch) => {
    const lines = linesIn(batch)
    if (isRaised || lines.length === 0 || lines[0]!.startsWith('tailflux')) return
    refusals += 1
    const isScan = lines.some((line) => line.startsWith('scanner'))
    throw new LimitError(
      (whose) => `It is full. ${whose} Raise it.`,
      isScan && refusals < 60 ? newSeries('scanner', 0, 1_000 + refusals) : newSeries('honest', 9, 10),
    )
  }
  await world.run(1_200_000)
  assert.ok(refusals > 90, `${refusals} refusals`)
  const text = world.health.get('sink')?.text ?? ''
  assert.match(
    text,
    /^It is full\. Most of the refused points come from node scanner \(\d+ of \d+ new series so far\)\. Raise it\./,
  )
  const [, count, all] = /\((\d+) of (\d+)/.exec(text) ?? []
  assert.equal(Number(all) - Number(count), 10, 'series that are refused again and again count once')
  const warnings = () =>
    kept.entries.filter((line) => line.msg === 'database limit reached, refused points will be retried')
  assert.deepEqual([...new Set(warnings().map(({ node }) => node))], ['scanner'])
  assert.equal(warnings().length, 1, 'told when it begins')

  isRaised = true
  await world.run(1_200_000)
  assert.equal(world.health.get('sink')?.status, 'ok')
  assert.equal(kept.entries.filter(({ msg }) => msg === 'database limit no longer blocks any window').length, 1)
})

test('after a restart the gap is still told, with a fix, before the database was asked again', async () => {
  const world = createLineWorld({ lookbackMs: 600_000 })
  world.api.records = traffic(NOON_NS - HOUR, 4 * 3_600, NOON_NS + HOUR)
  limited(world)
  await world.run(300_000)
  const next = createLineWorld({}, { clock: world.clock, api: world.api, db: world.db, ledger: world.ledger })
  next.pipeline.watch()
  assert.deepEqual([next.health.get('sink')?.status, next.health.get('sink')?.code], ['error', 'db_limit'])
  assert.match(next.health.get('sink')?.text ?? '', /Raise it .*max-values-per-tag/)
})

test('what lies behind the reach of a window that met a limit is no part of the gap, and is read', () => {
  const ledger = createMemoryLedger()
  ledger.setOrigin(NOON_NS - MINUTE)
  const planner = createPlanner(
    {
      ...{ intervalNs: 30n * SECOND, windowMaxNs: HOUR, windowBytesTarget: 8 << 20, latePassesNs: [] },
      monotonicMs: () => 0,
    },
    ledger,
    NOON_NS,
  )
  const window = planner.next(NOON_NS, NOON_NS)
  assert.deepEqual([window?.fromNs, window?.toNs], [NOON_NS - MINUTE, NOON_NS])
  const reachNs = NOON_NS - 10n * SECOND
  planner.limited(window!, reachNs, NOON_NS)
  assert.deepEqual(
    ledger.gaps().map(({ fromNs, toNs }) => [fromNs, toNs]),
    [[NOON_NS - MINUTE, reachNs]],
  )
  const next = planner.next(NOON_NS, NOON_NS)
  assert.deepEqual([next?.fromNs, next?.toNs], [reachNs, NOON_NS])
  planner.limited(next!, reachNs, NOON_NS)
  assert.equal(ledger.gaps().length, 1, 'nothing was read of it: it is neither done nor a gap')
})

test('a limit gap whose reading fails is read in smaller pieces, and stays what it is', () => {
  const ledger = createMemoryLedger()
  ledger.setOrigin(NOON_NS - HOUR)
  const planner = createPlanner(
    {
      ...{ intervalNs: 30n * SECOND, windowMaxNs: HOUR, windowBytesTarget: 8 << 20, latePassesNs: [] },
      monotonicMs: () => 0,
    },
    ledger,
    NOON_NS,
  )
  for (let window = planner.next(NOON_NS, NOON_NS); window; window = planner.next(NOON_NS, NOON_NS))
    planner.limited(window, window.toNs, NOON_NS)
  assert.deepEqual(
    ledger.gaps().map((gap) => gap.toNs - gap.fromNs),
    [HOUR],
  )
  const atNs = NOON_NS + 11n * MINUTE
  const first = planner.next(atNs, NOON_NS)
  assert.equal(first?.queue, 'gap')
  planner.tooMuch(first, 'timeout', atNs)
  const second = planner.next(atNs, NOON_NS)
  assert.equal(second?.fromNs, first.fromNs)
  assert.ok(second.toNs - second.fromNs <= (first.toNs - first.fromNs) / 2n)
  assert.deepEqual(
    ledger.gaps().map((gap) => gap.reason),
    ['db_limit'],
  )
})

for (const code of ['db_conflict', 'db_rejected', 'db_unavailable'] as const) {
  test(`${code} of whatever has lines: one sentence, a growing backoff, nothing else reads, and it heals by itself`, async () => {
    const world = createLineWorld({ lookbackMs: 3_600_000 })
    world.api.records = traffic(NOON_NS - HOUR, 4 * 3_600, 0n)
    await world.run(60_000)
    assert.equal(world.health.get('sink')?.status, 'ok')
    world.healthChanges = 0
    // Points of the service's own and probes go through: they prove nothing.
    world.db.fault = (batch) => {
      if (linesIn(batch).some((line) => !line.startsWith('tailflux_window'))) throw sinkError(code, `${code}: fix it`)
    }
    const asked = world.api.asked.length
    await world.run(90_000)
    const statuses = code === 'db_unavailable' ? 'warning' : 'error'
    assert.deepEqual([world.health.get('sink')?.status, world.health.get('sink')?.text], [statuses, `${code}: fix it`])
    assert.equal(world.healthChanges, 1, 'once, and never in between')
    assert.ok(world.api.asked.length - asked <= 4, `${world.api.asked.length - asked} windows read in 90 s`)
    const before = world.api.asked.length
    await world.run(3_600_000)
    const windows: Interval[] = world.api.asked.slice(before)
    const isHold = code !== 'db_unavailable'
    assert.ok(windows.length <= (isHold ? 20 : 130), `${windows.length} windows read in an hour`)
    assert.equal(new Set(windows.map((one) => one.fromNs)).size, 1, 'only the window that failed is tried')
    assert.equal(world.healthChanges, isHold ? 1 : 2)
    world.db.fault = undefined
    await world.run(600_000)
    assert.equal(world.health.get('sink')?.status, 'ok')
    assert.equal(missing(world, '', world.clock.now() - 100n * SECOND), 0)
  })
}

test('two hundred windows that fail at once are one failure, and all of them are read afterwards', async () => {
  const world = createLineWorld({ lookbackMs: 200 * 60_000, windowMaxMs: 60_000, parallel: 200 })
  world.api.records = traffic(NOON_NS - 200n * MINUTE, 200 * 60, 0n)
  await world.tick()
  world.ledger.forget({ fromNs: NOON_NS - 200n * MINUTE, toNs: NOON_NS })
  world.db.rows.clear()
  world.healthChanges = 0
  const waiting = Promise.withResolvers<void>()
  let begun = 0
  world.db.fault = async (batch) => {
    if (batch === undefined) return
    begun += 1
    await waiting.promise
    throw sinkError('db_unavailable', 'away: start it')
  }
  const tick = world.tick()
  for (let turns = 0; turns < 100 && begun < 4; turns += 1) await world.clock.advance(1)
  waiting.resolve()
  assert.equal(await tick, 'db_down')
  assert.ok((world.metrics.calls.get('windowFailed')?.length ?? 0) > 3)
  assert.equal(world.healthChanges, 1)
  const { next } = world.pipeline.status().database
  assert.ok(next && BigInt(Date.parse(next)) * MS <= world.clock.now() + 2n * SECOND, 'one backoff, the first')
  world.db.fault = undefined
  await world.run(120_000)
  assert.equal(missing(world, '', world.clock.now() - 100n * SECOND), 0)
})
