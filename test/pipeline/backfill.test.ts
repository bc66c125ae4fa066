/** History that was requested, beside what is read anyway. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DAY, HOUR, MINUTE, SECOND } from '../../src/base/clock.ts'
import { CollectorError } from '../../src/base/errors.ts'
import { isoOf } from '../../src/base/format.ts'
import { type BackfillRequests, createBackfillRequests } from '../../src/ledger/sqlite/backfill-requests.ts'
import { openStateFile } from '../../src/ledger/sqlite/state-file.ts'
import { createFakeClock, NOON_NS } from '../helpers/fake-clock.ts'
import { createFakeApi, type FakeRecord } from '../helpers/fake-line.ts'
import { createLineWorld } from '../helpers/line-world.ts'
import { createMemoryLedger } from '../helpers/memory-ledger.ts'
import { silentLog } from '../helpers/silent.ts'

function requestsIn(path = ':memory:'): BackfillRequests {
  return createBackfillRequests(openStateFile({ path }, { clock: createFakeClock(), log: silentLog }), 'default')
}

function records(fromNs: bigint, toNs: bigint, stepNs: bigint): FakeRecord[] {
  const list: FakeRecord[] = []
  for (let ns = fromNs; ns < toNs; ns += stepNs) list.push({ id: `r${ns}`, loggedNs: ns })
  return list
}

const range = { fromNs: NOON_NS - 7n * DAY, toNs: NOON_NS - 6n * DAY }

function world(backfillRequests = requestsIn()) {
  const made = createLineWorld({}, { backfillRequests })
  made.api.records = [
    ...records(range.fromNs, range.toNs, 5n * MINUTE),
    ...records(NOON_NS - HOUR, NOON_NS + 3n * HOUR, 10n * SECOND),
  ]
  return made
}

test('asked history is read behind everything else, and the watermark does not move for it', async () => {
  const { pipeline, tick, ledger, db, api } = world()
  await tick()
  const before = ledger.watermarkNs()
  const status = pipeline.backfill(range, false)
  assert.deepEqual([status.state, status.share, status.missingSeconds], ['running', 0, 86_400])
  assert.equal(await tick(), 'caught_up')
  assert.ok((ledger.watermarkNs() ?? 0n) >= (before ?? 0n))
  for (const { id, loggedNs } of api.records) if (loggedNs < range.toNs) assert.ok(db.rows.has(id), id)
  assert.deepEqual(ledger.missing(range.fromNs, range.toNs), [])
  const done = pipeline.status().backfill
  assert.deepEqual([done?.state, done?.share], ['done', 1])
  // A record on a shared end of two windows is read with both.
  assert.ok((done?.messages ?? 0) >= 288)
})

test('what a backfill reads is counted, whichever queue reads it: on a fresh state, and again inside what is read anyway', async () => {
  const { pipeline, tick, run, api } = world()
  const recent = { fromNs: NOON_NS - 30n * MINUTE, toNs: NOON_NS - 5n * MINUTE }
  const inside = api.records.filter(({ loggedNs }) => loggedNs > recent.fromNs && loggedNs <= recent.toNs).length
  pipeline.backfill(recent, false)
  await tick()
  const first = pipeline.status().backfill
  assert.equal(first?.state, 'done')
  assert.ok((first?.messages ?? 0) >= inside && (first?.points ?? 0) >= inside, `${first?.messages} of ${inside}`)
  assert.ok((first?.windows ?? 0) >= 1)
  pipeline.backfill(recent, true)
  await tick()
  const again = pipeline.status().backfill
  assert.equal(again?.state, 'done')
  assert.ok((again?.messages ?? 0) >= inside, `${again?.messages} of ${inside}`)
  await run(3_600_000)
  assert.deepEqual(pipeline.status().backfill, again, 'late passes and new records are no part of it')
  pipeline.backfill(recent, false)
  await tick()
  assert.deepEqual([pipeline.status().backfill?.messages, pipeline.status().backfill?.state], [0, 'done'])
})

test('what is live does not wait: it stays as fresh while history is read', async () => {
  const { pipeline, run, tick, clock, ledger } = world()
  await tick()
  pipeline.backfill({ fromNs: NOON_NS - 20n * DAY, toNs: NOON_NS - DAY }, false)
  await run(10 * 60_000)
  assert.ok(clock.now() - (ledger.watermarkNs() ?? 0n) <= 95n * SECOND)
})

test('the request outlives the process, and what is done is not read again', async () => {
  const backfillRequests = requestsIn()
  const first = world(backfillRequests)
  await first.tick()
  first.pipeline.backfill(range, false)
  // Half of it is done when the process goes away.
  first.ledger.done(
    { fromNs: range.fromNs, toNs: range.fromNs + 12n * HOUR },
    { pass: 3, digest: '', messages: 1, entries: 1, points: 1, atNs: 1n },
  )
  first.db.show({ timeNs: range.fromNs + 12n * HOUR, pass: '3', writer: first.ledger.writer, ackedNs: 1n })
  const second = createLineWorld({}, { backfillRequests, ledger: first.ledger, api: first.api, db: first.db })
  assert.equal(second.pipeline.status().backfill?.share, 0.5)
  const askedBefore = first.api.asked.length
  await second.tick()
  const asked = first.api.asked.slice(askedBefore).filter(({ toNs }) => toNs <= range.toNs)
  assert.ok(asked.every(({ fromNs }) => fromNs >= range.fromNs + 12n * HOUR))
  assert.equal(second.pipeline.status().backfill?.state, 'done')
  assert.equal(backfillRequests.range(), undefined)
})

test('again: what is done is forgotten first', async () => {
  const { pipeline, tick, ledger } = world()
  await tick()
  pipeline.backfill(range, false)
  await tick()
  assert.equal(pipeline.backfill(range, false).share, 1)
  assert.equal(pipeline.backfill(range, true).share, 0)
  await tick()
  assert.deepEqual(ledger.missing(range.fromNs, range.toNs), [])
})

test('only what the API still has: clipped, or refused with the reason', async () => {
  const { pipeline, tick } = world()
  await tick()
  const { from, to } = pipeline.backfill({ fromNs: NOON_NS - 90n * DAY, toNs: NOON_NS + DAY }, false)
  assert.equal(from, '2026-10-03T13:00:00.000Z')
  assert.equal(to, '2026-11-02T11:59:00.000Z')
  assert.throws(() => pipeline.backfill({ fromNs: NOON_NS - 90n * DAY, toNs: NOON_NS - 60n * DAY }, false), {
    code: 'config_invalid',
    message: /The API has nothing from .* \(poll\.retention\)/,
  })
  pipeline.cancelBackfill()
  assert.equal(pipeline.status().backfill, null)
})

test('paused: nothing is read, and everything is as it was afterwards', async () => {
  const { pipeline, tick, ledger, clock, api } = world()
  await tick()
  const before = ledger.watermarkNs()
  pipeline.pause()
  await clock.advance(600_000)
  const asked = api.asked.length
  assert.equal(await tick(), 'paused')
  assert.equal(api.asked.length, asked)
  assert.equal(pipeline.status().paused, true)
  assert.equal(ledger.watermarkNs(), before)
  pipeline.resume()
  assert.equal(await tick(), 'caught_up')
  assert.ok(clock.now() - (ledger.watermarkNs() ?? 0n) <= 62n * SECOND)
})

test('a Date header that stands still, as behind a caching proxy, does not make it rest for longer than its windows took', async () => {
  const clock = createFakeClock()
  let frozenNs: bigint | undefined
  const api = createFakeApi(() => frozenNs ?? clock.now())
  const { pipeline, tick, ledger } = createLineWorld({}, { clock, api, backfillRequests: requestsIn() })
  await tick()
  frozenNs = clock.now()
  pipeline.backfill(range, false)
  let windows = 0
  const tookMs = 3_000
  api.fault = async (window) => {
    if (window.toNs > range.toNs) return
    windows += 1
    await clock.sleep(tookMs)
  }
  const beganMs = clock.monotonicMs()
  await tick()
  assert.deepEqual(ledger.missing(range.fromNs, range.toNs), [])
  const usedMs = clock.monotonicMs() - beganMs
  // The helper moves time in steps of 100 ms, which is what each wait may be longer.
  assert.ok(usedMs >= (2 * windows - 1) * tookMs, `${windows} windows in ${usedMs} ms do not rest`)
  assert.ok(usedMs <= 2 * windows * (tookMs + 200), `${windows} windows of ${tookMs} ms took ${usedMs} ms`)
})

test('what version 0.1.0 wrote is not read again: a backfill over it is refused with the fix, until its points were deleted', async () => {
  const oldToNs = NOON_NS - 2n * DAY
  const ledger = createMemoryLedger([], {
    originNs: NOON_NS - 3n * DAY,
    oldPointsToNs: oldToNs,
    promisedNs: undefined,
    done: [{ fromNs: NOON_NS - 3n * DAY, toNs: NOON_NS - 2n * MINUTE }],
    records: [],
    gaps: [],
  })
  const backfillRequests = requestsIn()
  const { pipeline } = createLineWorld({}, { backfillRequests, ledger })
  const over = { fromNs: oldToNs - HOUR, toNs: NOON_NS - DAY }
  assert.throws(
    () => pipeline.backfill(over, true),
    (error) =>
      error instanceof CollectorError &&
      error.code === 'config_invalid' &&
      error.message.includes(isoOf(oldToNs)) &&
      /would be in tailnet_flow twice\. Begin at .* or later, or delete .*docs\/upgrade\.md.*--old-points-deleted\.$/.test(
        error.message,
      ),
  )
  assert.equal(backfillRequests.range(), undefined)
  assert.deepEqual(ledger.missing(over.fromNs, over.toNs), [], 'nothing is forgotten')
  assert.equal(pipeline.backfill(over, false).missingSeconds, 0, 'without --again it reads nothing of it')
  assert.ok(pipeline.backfill({ fromNs: oldToNs, toNs: NOON_NS - DAY }, true).missingSeconds > 80_000)
  assert.equal(ledger.oldPointsToNs(), oldToNs)
  assert.ok(pipeline.backfill(over, true, true).missingSeconds > 86_400)
  assert.equal(ledger.oldPointsToNs(), undefined, 'from now on nothing of it is special')
  assert.ok(pipeline.backfill(over, true))
})
