import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MINUTE, SECOND } from '../../src/base/clock.ts'
import { CollectorError } from '../../src/base/errors.ts'
import { createSemaphore } from '../../src/base/semaphore.ts'
import type { PipelineMetrics } from '../../src/observe/metrics.ts'
import type { WindowObserver } from '../../src/observers/observers.ts'
import { type DeliverWindowDeps, deliverWindow } from '../../src/pipeline/deliver-window.ts'
import type { PlannedWindow } from '../../src/pipeline/planner.ts'
import type { DeadLetter } from '../../src/sink/sink.ts'
import { createFakeClock, NOON_NS } from '../helpers/fake-clock.ts'
import { createFakeApi, createFakeDb, createFakeWorker } from '../helpers/fake-line.ts'
import { createMemoryLedger } from '../helpers/memory-ledger.ts'
import { countingMetrics, keepIn, silentLog } from '../helpers/silent.ts'

const FROM = NOON_NS - 10n * MINUTE
const WINDOW: PlannedWindow = { fromNs: FROM, toNs: FROM + MINUTE, queue: 'backlog', pass: 1 }
const never = new AbortController().signal

function setUp(serverNow: () => bigint | undefined = () => NOON_NS) {
  const clock = createFakeClock()
  const api = createFakeApi(serverNow)
  api.records = Array.from({ length: 40 }, (_, index) => ({ id: `r${index}`, loggedNs: FROM + BigInt(index) * SECOND }))
  const db = createFakeDb(() => clock.monotonicMs())
  const ledger = createMemoryLedger()
  ledger.setOrigin(FROM)
  const letters: DeadLetter[] = []
  const reported: string[] = []
  const observer: WindowObserver = {
    points: () => undefined,
    done: () => reported.push('done'),
    failed: () => reported.push('failed'),
  }
  const deps: DeliverWindowDeps = {
    source: api,
    sink: db,
    ledger,
    deadLetters: { append: keepIn(letters) },
    semaphore: createSemaphore(2),
    observers: { begin: () => observer },
    metrics: countingMetrics<PipelineMetrics>(),
    clock,
    log: silentLog,
    lagNs: MINUTE,
    safeNowNs: (serverNs) => serverNs ?? clock.now(),
    passAt: (ageNs) => (ageNs < 5n * MINUTE ? 1 : 2),
    recovery: { nextAckNs: () => clock.now(), wasAwaySince: () => false, mayInterrupt: () => true },
    heldBytesMax: 1 << 20,
  }
  return { api, db, ledger, letters, reported, deps, clock, worker: createFakeWorker() }
}

test('a window is done only when every batch has its receipt', async () => {
  const { api, db, ledger, deps, worker, reported } = setUp()
  let receipts = 0
  db.fault = async () => {
    await new Promise((resolve) => setImmediate(resolve))
    assert.equal(ledger.settled().length, 0, 'not done while a batch is under way')
    receipts += 1
  }
  const result = await deliverWindow(WINDOW, worker, deps, never)
  assert.equal(db.rows.size, 40)
  assert.ok(receipts >= 13)
  assert.deepEqual([result.messages, result.written, result.doneToNs], [40, 40, WINDOW.toNs])
  assert.deepEqual(ledger.settled(), [{ fromNs: WINDOW.fromNs, toNs: WINDOW.toNs }])
  assert.deepEqual(reported, ['done'])
  assert.equal(api.asked.length, 1)
})

test("when one batch fails nothing is done, the rest is not sent, and the reason is the batch's own", async () => {
  const { db, ledger, deps, worker, reported } = setUp()
  const refused = new CollectorError('no', { stage: 'sink', code: 'db_unauthorized', reaction: 'hold' })
  let calls = 0
  db.fault = () => {
    calls += 1
    if (calls === 4) throw refused
  }
  await assert.rejects(deliverWindow(WINDOW, worker, deps, never), (error) => error === refused)
  assert.deepEqual(ledger.settled(), [])
  assert.ok(calls < 10, `${calls} batches were sent`)
  assert.deepEqual(reported, ['failed'])
  assert.deepEqual(ledger.attempts, [], 'the attempt came to an end in this process')
  assert.equal(deps.semaphore.taken, 0)
})

test('a limit of the database leaves the window not done, the rest of it sent, and tells how far it was read', async () => {
  const reachNs = FROM + 20n * SECOND
  const { db, ledger, deps, worker, reported } = setUp(() => reachNs + MINUTE)
  const limit = new CollectorError('full', { stage: 'sink', code: 'db_limit', reaction: 'hold' })
  let calls = 0
  db.fault = () => {
    calls += 1
    if (calls === 2) throw limit
  }
  const result = await deliverWindow(WINDOW, worker, deps, never)
  assert.deepEqual([result.limits, result.doneToNs], [[limit], reachNs])
  assert.ok(calls > 4 && db.rows.size > 12, 'the batches behind the one that was refused are sent')
  assert.deepEqual(ledger.settled(), [])
  assert.deepEqual([reported, ledger.attempts], [['failed'], []])
})

test('a window is not done when the database was away since its first batch was sent: a checkpoint of it would hide what was lost', async () => {
  const { db, ledger, deps, worker, reported, clock } = setUp()
  let firstMs: number | undefined
  db.fault = async () => {
    await clock.advance(1_000)
  }
  const isAway = (ms: number) => (firstMs ??= ms) === ms
  const away = { ...deps, recovery: { ...deps.recovery, wasAwaySince: isAway } }
  await assert.rejects(deliverWindow(WINDOW, worker, away, never), { code: 'db_interrupted' })
  assert.equal(firstMs, 0)
  assert.deepEqual([ledger.settled(), reported], [[], ['failed']])
  const often = { ...away, recovery: { ...away.recovery, mayInterrupt: () => false } }
  assert.equal((await deliverWindow(WINDOW, worker, often, never)).doneToNs, WINDOW.toNs)
})

test('an answer that breaks off in the middle leaves the window not done, and nothing in flight', async () => {
  const { api, ledger, deps, worker } = setUp()
  let groups = 0
  const broken = new CollectorError('cut', { stage: 'source', code: 'api_truncated', reaction: 'split' })
  api.midway = () => {
    groups += 1
    if (groups === 3) throw broken
  }
  await assert.rejects(deliverWindow(WINDOW, worker, deps, never), (error) => error === broken)
  assert.deepEqual(ledger.settled(), [])
  assert.equal(deps.semaphore.taken, 0)
})

test('the attempt is in the ledger before the first byte is asked for', async () => {
  const { api, ledger, deps, worker } = setUp()
  let seen = 0
  api.fault = () => {
    seen = ledger.attempts.length
  }
  await deliverWindow(WINDOW, worker, deps, never)
  assert.equal(seen, 1)
  assert.deepEqual(ledger.attempts, [])
})

test('the mark of an attempt outlives a programmer’s error, and no other end', async () => {
  const { api, ledger, deps, worker } = setUp()
  api.midway = () => {
    throw new TypeError('bug')
  }
  await assert.rejects(deliverWindow(WINDOW, worker, deps, never), TypeError)
  assert.equal(ledger.attempts.length, 1)
  assert.deepEqual(ledger.reopen().crashed(), [{ fromNs: WINDOW.fromNs, toNs: WINDOW.toNs }])
  api.midway = () => undefined
  await deliverWindow(WINDOW, worker, deps, never)
  assert.deepEqual(ledger.reopen().crashed(), [], 'what is done is forgotten')
  const again = setUp()
  const stopping = new AbortController()
  again.api.midway = () => stopping.abort(new Error('stopping'))
  await assert.rejects(deliverWindow(WINDOW, again.worker, again.deps, stopping.signal), /stopping/)
  assert.deepEqual(again.ledger.attempts, [], 'a stop is no crash')
})

test("a window is done no further than the API's clock minus the lag, whatever the local clock says", async () => {
  const { ledger, deps, worker } = setUp(() => FROM + MINUTE + 30n * SECOND)
  const result = await deliverWindow(WINDOW, worker, deps, never)
  assert.equal(result.doneToNs, FROM + 30n * SECOND)
  assert.equal(ledger.watermarkNs(), FROM + 30n * SECOND)
  const early = setUp(() => FROM)
  const none = await deliverWindow(WINDOW, early.worker, early.deps, never)
  assert.equal(none.doneToNs, undefined)
  assert.deepEqual(early.ledger.settled(), [])
})

test('without a Date header the local clock stands in', async () => {
  const { deps, worker } = setUp(() => undefined)
  assert.equal((await deliverWindow(WINDOW, worker, deps, never)).doneToNs, WINDOW.toNs)
})

test('what is quarantined lies in the dead letters before the window is done', async () => {
  const { api, ledger, letters, deps, worker } = setUp()
  api.records.push({ id: 'bad', loggedNs: FROM + SECOND, quarantined: true })
  const refuse = {
    ...deps,
    deadLetters: {
      append: () =>
        Promise.reject(new CollectorError('disk full', { stage: 'sink', code: 'db_misconfigured', reaction: 'hold' })),
    },
  }
  await assert.rejects(deliverWindow(WINDOW, worker, refuse, never), /disk full/)
  assert.deepEqual(ledger.settled(), [])
  const result = await deliverWindow(WINDOW, worker, deps, never)
  assert.deepEqual([result.quarantined, letters.map((one) => one.text)], [1, ['bad']])
})

test('a late pass writes nothing when nothing changed, and everything when a record came late', async () => {
  const { api, db, ledger, deps, worker } = setUp()
  await deliverWindow(WINDOW, worker, deps, never)
  const writes = db.writes
  const previous = ledger.recent(1)[0]
  assert.ok(previous)
  const late: PlannedWindow = { ...WINDOW, queue: 'late', pass: 2, previous }
  api.records.push({ id: 'r3', loggedNs: FROM + 50n * SECOND })
  const same = await deliverWindow(late, worker, deps, never)
  assert.equal(same.changed, false, 'a re-delivered copy is no change')
  assert.equal(db.writes, writes)
  assert.equal(ledger.recent(1)[0]?.pass, 2)
  api.records.push({ id: 'came-late', loggedNs: FROM + 5n * SECOND })
  const changed = await deliverWindow({ ...late, pass: 3 }, worker, deps, never)
  assert.equal(changed.changed, true)
  assert.ok(db.rows.has('came-late'))
})

test('a late pass that is too large to hold is written without waiting for its digest', async () => {
  const { db, ledger, deps, worker } = setUp()
  await deliverWindow(WINDOW, worker, deps, never)
  const previous = ledger.recent(1)[0]
  assert.ok(previous)
  const writes = db.writes
  await deliverWindow({ ...WINDOW, queue: 'late', pass: 2, previous }, worker, { ...deps, heldBytesMax: 20 }, never)
  assert.ok(db.writes > writes)
})

test('a stop in the middle rejects with the reason of the stop and leaves the window failed, will retry', async () => {
  const { api, ledger, deps, worker } = setUp()
  const stop = new AbortController()
  let groups = 0
  api.midway = () => {
    groups += 1
    if (groups === 2) stop.abort(new Error('stopping'))
  }
  await assert.rejects(deliverWindow(WINDOW, worker, deps, stop.signal), /stopping/)
  assert.deepEqual(ledger.settled(), [])
})

/** The minutes on the list, as minutes from FROM on. */
function listedIn({ ledger }: ReturnType<typeof setUp>): bigint[] {
  return ledger.unsettled.all('minute').map(({ startNs }) => (startNs - FROM) / MINUTE)
}

test('a window that is done lists each minute of `start` that it has points of, in the transaction that makes it done', async () => {
  const world = setUp()
  world.api.records = [
    { id: 'a', loggedNs: FROM, startNs: FROM - 3n * MINUTE },
    { id: 'b', loggedNs: FROM, startNs: FROM - 2n * MINUTE - 1n },
    { id: 'c', loggedNs: FROM, startNs: FROM - 2n * MINUTE },
    { id: 'd', loggedNs: FROM, startNs: FROM + 30n * MINUTE + SECOND },
    { id: 'e', loggedNs: FROM, startNs: FROM - 3n * MINUTE + SECOND },
    { id: 'bad', loggedNs: FROM, startNs: FROM + 7n * MINUTE, quarantined: true },
  ]
  const before = world.ledger.unsettled.all('minute')
  await deliverWindow(WINDOW, world.worker, world.deps, never)
  assert.deepEqual([before, listedIn(world)], [[], [-3n, -2n, 30n]])
  assert.ok(world.ledger.unsettled.all('minute').every(({ read, must }) => read > 0 && must === 0))
})

test('what is beyond the end of a window that was cut is listed when it is done', async () => {
  const world = setUp(() => FROM + MINUTE + 30n * SECOND)
  world.api.records = [
    { id: 'a', loggedNs: FROM + 10n * SECOND, startNs: FROM },
    { id: 'b', loggedNs: FROM + 50n * SECOND, startNs: FROM - 5n * MINUTE },
  ]
  await deliverWindow(WINDOW, world.worker, world.deps, never)
  assert.deepEqual(listedIn(world), [0n])
})

test('a late pass lists minutes only if it wrote', async () => {
  const world = setUp()
  const { api, ledger, deps, worker } = world
  await deliverWindow(WINDOW, worker, deps, never)
  const strike = () => {
    for (const one of ledger.unsettled.all('minute'))
      ledger.unsettled.strikeOff({ tier: 'minute', startNs: one.startNs }, one, [], NOON_NS)
  }
  strike()
  const [previous] = ledger.recent(1)
  assert.ok(previous)
  const late: PlannedWindow = { ...WINDOW, queue: 'late', pass: 2, previous }
  await deliverWindow(late, worker, deps, never)
  assert.deepEqual(listedIn(world), [])
  api.records.push({ id: 'came-late', loggedNs: FROM + 5n * SECOND, startNs: FROM - 9n * MINUTE })
  await deliverWindow(late, worker, deps, never)
  assert.deepEqual(listedIn(world), [-9n, 0n], 'all of the window, because all of it was written')
  strike()
  const [changed] = ledger.recent(1)
  assert.ok(changed)
  await deliverWindow({ ...late, previous: changed }, worker, { ...deps, heldBytesMax: 20 }, never)
  assert.deepEqual(listedIn(world), [-9n, 0n], 'too large to hold: written without waiting for the digest')
})

test('a window that is not done lists nothing: a limit, an outage, a batch that fails, a state file that cannot be written', async () => {
  const limited = setUp()
  let calls = 0
  limited.db.fault = () => {
    calls += 1
    if (calls === 2) throw new CollectorError('full', { stage: 'sink', code: 'db_limit', reaction: 'hold' })
  }
  await deliverWindow(WINDOW, limited.worker, limited.deps, never)
  assert.deepEqual(listedIn(limited), [])
  limited.db.fault = undefined
  await deliverWindow({ ...WINDOW, queue: 'gap' }, limited.worker, limited.deps, never)
  assert.deepEqual(listedIn(limited), [0n], 'when it is done later')

  const away = setUp()
  const recovery = { ...away.deps.recovery, wasAwaySince: () => true }
  await assert.rejects(deliverWindow(WINDOW, away.worker, { ...away.deps, recovery }, never), /away/)
  assert.deepEqual(listedIn(away), [])

  const broken = setUp()
  broken.db.fault = () => {
    throw new CollectorError('no', { stage: 'sink', code: 'db_unauthorized', reaction: 'hold' })
  }
  await assert.rejects(deliverWindow(WINDOW, broken.worker, broken.deps, never), /no/)
  assert.deepEqual(listedIn(broken), [])

  const full = setUp()
  const done = () => {
    throw new CollectorError('no space', { stage: 'ledger', code: 'state_full', reaction: 'retry' })
  }
  await assert.rejects(
    deliverWindow(WINDOW, full.worker, { ...full.deps, ledger: { ...full.ledger, done } }, never),
    /no space/,
  )
  assert.deepEqual(listedIn(full), [])
})
