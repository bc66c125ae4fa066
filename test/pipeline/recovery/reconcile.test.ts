/** Where reading begins, and what is read again. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DAY, HOUR, MINUTE } from '../../../src/base/clock.ts'
import { CollectorError } from '../../../src/base/errors.ts'
import { createCheckpointReader } from '../../../src/pipeline/recovery/checkpoint.ts'
import { REWIND_NS, type ReconcileOptions, reconcile } from '../../../src/pipeline/recovery/reconcile.ts'
import type { CheckpointPoint } from '../../../src/sink/sink.ts'
import { createFakeClock, NOON_NS } from '../../helpers/fake-clock.ts'
import { createFakeDb, type FakeDb } from '../../helpers/fake-line.ts'
import { createMemoryLedger, type MemoryLedger } from '../../helpers/memory-ledger.ts'
import { keptLog } from '../../helpers/silent.ts'

const OPTIONS: ReconcileOptions = {
  nowNs: NOON_NS,
  serverNowNs: NOON_NS,
  floorNs: NOON_NS - 30n * DAY + HOUR,
  lookbackNs: 2n * HOUR,
  lastPassNs: DAY,
  parallel: 1,
  isStart: true,
  provenNs: undefined,
}
const never = new AbortController().signal
const cannotBeQueried = 'It does not answer. Give it the right to.'

function done(ledger: MemoryLedger, fromNs: bigint, toNs: bigint, atNs = toNs + MINUTE, pass = 1) {
  ledger.done({ fromNs, toNs }, { pass, digest: '0:0', messages: 0, entries: 0, points: 0, atNs })
}

/** Six windows of ten minutes, acknowledged a minute after their end. */
function ledgerOfAnHour() {
  const ledger = createMemoryLedger()
  ledger.setOrigin(NOON_NS - HOUR)
  for (let index = 0n; index < 6n; index += 1n) {
    const toNs = NOON_NS - HOUR + (index + 1n) * 10n * MINUTE
    done(ledger, toNs - 10n * MINUTE, toNs)
  }
  return ledger
}

/** A database that shows the windows of the ledger that `isKept`. */
function dbOf(ledger: MemoryLedger, isKept: (atNs: bigint) => boolean = () => true): FakeDb {
  const db = createFakeDb()
  for (const { toNs, atNs, pass } of ledger.recent(1_000))
    if (isKept(atNs))
      db.show({ timeNs: toNs, pass: `${pass}`, writer: ledger.writer, ackedNs: atNs, watermarkNs: toNs })
  return db
}

async function agree(
  ledger: MemoryLedger,
  db: FakeDb,
  changes: Partial<ReconcileOptions> = {},
  settings = { restore: (_text: string) => true },
) {
  const clock = createFakeClock()
  let acked = NOON_NS + DAY
  const reader = createCheckpointReader(
    { tailnet: 'default' },
    {
      sink: db,
      writer: ledger.writer,
      nextAckNs: () => (acked += 1n),
      clock: { monotonicMs: clock.monotonicMs, sleep: async () => undefined },
    },
  )
  const { log, entries } = keptLog()
  const outcome = await reconcile({ ...OPTIONS, ...changes }, { ledger, settings, reader, log }, never)
  return { ...outcome, warnings: entries.filter(({ level }) => level >= 40).map(({ msg }) => msg) }
}
const show = (points: readonly Parameters<FakeDb['show']>[0][]) => {
  const db = createFakeDb()
  for (const point of points) db.show(point)
  return db
}

test('the database shows every window: reading goes on, and nothing is written to find that out', async () => {
  const ledger = ledgerOfAnHour()
  const db = dbOf(ledger)
  const { ackedNs, warnings, unproven } = await agree(ledger, db)
  assert.deepEqual([ackedNs, warnings, unproven], [NOON_NS + MINUTE, [], undefined])
  assert.equal(ledger.watermarkNs(), NOON_NS)
  assert.equal(db.windows.size, 6)
})

test('an older copy: exactly what was acknowledged after it is read again, and told', async () => {
  const ledger = ledgerOfAnHour()
  const { warnings } = await agree(
    ledger,
    dbOf(ledger, (atNs) => atNs <= NOON_NS - 29n * MINUTE),
  )
  assert.equal(ledger.watermarkNs(), NOON_NS - 30n * MINUTE)
  assert.deepEqual(warnings, ['database has lost acknowledged points, reading them again'])
})

test('dropped and made again between two polls: what newer windows hide is read again too', async () => {
  const ledger = ledgerOfAnHour()
  const db = dbOf(ledger, (atNs) => atNs > NOON_NS - 9n * MINUTE)
  await agree(ledger, db, { isStart: false, provenNs: NOON_NS - 20n * MINUTE })
  assert.deepEqual(ledger.settled(), [{ fromNs: NOON_NS - 10n * MINUTE, toNs: NOON_NS }])
})

test('a window whose point is older than its acknowledgement is read again', async () => {
  const ledger = ledgerOfAnHour()
  const db = dbOf(ledger)
  // It was read again later with something new, which the copy does not have.
  done(ledger, NOON_NS - HOUR, NOON_NS - 50n * MINUTE, NOON_NS + 2n * MINUTE, 2)
  await agree(ledger, db, { parallel: 0 })
  assert.equal(ledger.watermarkNs(), NOON_NS - HOUR)
})

test('the point of a late pass that found nothing new proves nothing about the content', async () => {
  const ledger = ledgerOfAnHour()
  const db = createFakeDb()
  for (const { toNs } of ledger.recent(10))
    db.show({ timeNs: toNs, pass: '2', writer: ledger.writer, watermarkNs: toNs })
  await agree(ledger, db)
  assert.deepEqual(ledger.settled(), [])
})

test('the points of another writer prove nothing, those of a version without writers do', async () => {
  const ledger = ledgerOfAnHour()
  const points = ledger.recent(10).map(({ toNs, atNs }) => ({ timeNs: toNs, ackedNs: atNs, watermarkNs: toNs }))
  await agree(ledger, show(points))
  assert.equal(ledger.watermarkNs(), NOON_NS)
  await agree(ledger, show(points.map((one) => ({ ...one, writer: 'other' }))))
  assert.deepEqual(ledger.settled(), [])
})

test('windows that were under way when the service was killed are read again without an alarm', async () => {
  const ledger = ledgerOfAnHour()
  const db = dbOf(ledger, (atNs) => atNs <= NOON_NS - 9n * MINUTE)
  const { warnings } = await agree(ledger, db, { parallel: 2 })
  assert.equal(ledger.watermarkNs(), NOON_NS - 10n * MINUTE)
  assert.deepEqual(warnings, [])
})

test('every ten minutes only what is new is asked for, and the last one before', async () => {
  const ledger = ledgerOfAnHour()
  const db = dbOf(ledger)
  await agree(ledger, db, { isStart: false, provenNs: NOON_NS - 8n * MINUTE })
  assert.deepEqual(db.questions, [{ fromNs: NOON_NS - 10n * MINUTE, toNs: NOON_NS }])
})

test('questions are bounded in time on both sides, newest first, and ask only where windows are', async () => {
  const ledger = createMemoryLedger()
  ledger.setOrigin(NOON_NS - 25n * DAY)
  for (const agoNs of [HOUR, 10n * HOUR, 20n * HOUR, 24n * DAY])
    done(ledger, NOON_NS - agoNs - MINUTE, NOON_NS - agoNs, NOON_NS - agoNs + MINUTE)
  const db = dbOf(ledger)
  await agree(ledger, db)
  assert.deepEqual(
    db.questions.map(({ fromNs, toNs }) => [(NOON_NS - fromNs) / HOUR, (NOON_NS - toNs) / HOUR]),
    [
      [10n, 1n],
      [20n, 20n],
      [24n * 24n, 24n * 24n],
    ],
  )
})

test('the database holds nothing: everything that the API still has is read again', async () => {
  const ledger = ledgerOfAnHour()
  await agree(ledger, createFakeDb())
  assert.deepEqual(ledger.settled(), [])
})

test('older than every record that is kept: reading goes back beyond it by the age of the last late pass', async () => {
  const ledger = ledgerOfAnHour()
  ledger.setOrigin(NOON_NS - 10n * DAY)
  done(ledger, NOON_NS - 10n * DAY, NOON_NS - HOUR, NOON_NS - 30n * MINUTE, 3)
  ledger.compact(NOON_NS - HOUR, NOON_NS)
  const markNs = NOON_NS - 3n * DAY
  const db = show([{ timeNs: markNs, watermarkNs: markNs, ackedNs: markNs, writer: ledger.writer }])
  await agree(ledger, db)
  assert.equal(ledger.watermarkNs(), markNs - DAY)
  assert.ok(db.questions.every(({ fromNs, toNs }) => toNs - fromNs <= 12n * HOUR))
})

test('the same when no record is kept any more', async () => {
  const ledger = ledgerOfAnHour()
  ledger.compact(NOON_NS + DAY, NOON_NS + DAY)
  const behind = {
    timeNs: NOON_NS - 30n * MINUTE,
    watermarkNs: NOON_NS - 30n * MINUTE,
    ackedNs: NOON_NS - 29n * MINUTE,
  }
  await agree(ledger, show([behind]))
  assert.equal(ledger.watermarkNs(), NOON_NS - HOUR, 'all of it: the day before the watermark begins before the origin')
  const idle = ledgerOfAnHour()
  idle.compact(NOON_NS + DAY, NOON_NS + DAY)
  await agree(idle, show([{ timeNs: NOON_NS, watermarkNs: NOON_NS, ackedNs: NOON_NS + MINUTE }]))
  assert.equal(idle.watermarkNs(), NOON_NS, 'a checkpoint that is as new changes nothing')
})

test('a database that cannot be asked: at the start the last ten minutes of acknowledgements are read again, later nothing', async () => {
  const ledger = ledgerOfAnHour()
  const db = dbOf(ledger)
  db.answer = () => ({ cannotBeQueried })
  const { unproven } = await agree(ledger, db)
  assert.equal(ledger.watermarkNs(), NOON_NS - 20n * MINUTE)
  assert.deepEqual(unproven, { code: 'checkpoint_unanswered', text: cannotBeQueried, isByNature: false })
  await agree(ledger, db, { isStart: false })
  assert.equal(ledger.watermarkNs(), NOON_NS - 20n * MINUTE)
})

test('an answer in which nothing shows that was just written is not believed, and alarms nobody about a loss', async () => {
  const ledger = ledgerOfAnHour()
  const db = dbOf(ledger)
  db.answer = () => ({ points: [] })
  const { unproven, warnings } = await agree(ledger, db, { isStart: false })
  assert.equal(ledger.watermarkNs(), NOON_NS)
  assert.equal(unproven?.code, 'checkpoint_unseen')
  assert.match(unproven?.text ?? '', /INFLUX_ORG .* dbrp list.*INFLUX_URL/)
  assert.deepEqual(warnings, [])
})

test('a foreign checkpoint is not taken for the end of an earlier ledger', async () => {
  const ledger = createMemoryLedger()
  const foreign = {
    timeNs: NOON_NS - MINUTE,
    pass: '1',
    writer: 'x',
    ackedNs: NOON_NS,
    watermarkNs: NOON_NS,
    passedNs: NOON_NS,
  }
  const db = createFakeDb()
  db.answer = () => ({ points: [foreign] })
  const { unproven } = await agree(ledger, db)
  assert.equal(unproven?.code, 'checkpoint_unseen')
  assert.deepEqual([ledger.originNs(), ledger.isOriginGuessed()], [NOON_NS - OPTIONS.lookbackNs, true])
})

test('what a replica shows a moment later counts', async () => {
  const ledger = ledgerOfAnHour()
  const db = dbOf(ledger)
  let questions = 0
  db.answer = () => ((questions += 1) <= 3 ? { points: [] } : undefined)
  const { unproven, warnings } = await agree(ledger, db)
  assert.deepEqual([unproven, warnings, ledger.watermarkNs()], [undefined, [], NOON_NS])
})

test('a database that refuses the points of tailflux_window cannot be compared', async () => {
  const ledger = ledgerOfAnHour()
  const db = Object.assign(createFakeDb(), { write: async () => ({ written: 0, rejected: 1, expired: 0 }) })
  const { unproven } = await agree(ledger, db, { isStart: false })
  assert.equal(unproven?.code, 'db_rejected')
  assert.equal(ledger.watermarkNs(), NOON_NS)
})

test('a retention that is shorter than a day is told and no loss; what it should have kept is read again', async () => {
  for (const how of ['refused', 'vanishes'] as const) {
    const ledger = createMemoryLedger()
    ledger.setOrigin(NOON_NS - DAY)
    for (let agoNs = DAY - HOUR; agoNs >= 0n; agoNs -= HOUR)
      done(ledger, NOON_NS - agoNs - HOUR, NOON_NS - agoNs, NOON_NS - agoNs + MINUTE)
    const keptFromNs = NOON_NS - 6n * HOUR
    const db = dbOf(ledger, (atNs) => atNs > keptFromNs)
    const { write } = db
    db.write = async (batch, signal) => {
      const receipt = await write(batch, signal)
      for (const [key, { timeNs }] of db.windows) if (timeNs < keptFromNs) db.windows.delete(key)
      const isOld = BigInt(Buffer.from(batch.bytes).toString().trim().split(' ').at(-1) ?? 0) < keptFromNs
      return isOld && how === 'refused' ? { written: 0, rejected: 0, expired: 1, sentMs: 0 } : receipt
    }
    const first = await agree(ledger, db)
    assert.equal(ledger.watermarkNs(), NOON_NS, 'nothing is taken back')
    assert.deepEqual(first.warnings, [])
    assert.equal(first.unkeptToNs, keptFromNs - HOUR)
    // What is known to be unkept is not asked for again.
    const { writes, questions } = { writes: db.windows.size, questions: db.questions.length }
    const known = await agree(ledger, db, { unkeptToNs: first.unkeptToNs })
    assert.deepEqual([known.unkeptToNs, db.windows.size], [first.unkeptToNs, writes])
    assert.ok(db.questions.length - questions <= 2)
    db.windows.clear()
    const second = await agree(ledger, db)
    assert.deepEqual(ledger.missing(NOON_NS - DAY, NOON_NS), [{ fromNs: keptFromNs - HOUR, toNs: NOON_NS }])
    assert.equal(second.warnings.length, 1)
  }
})

test('no ledger, but a checkpoint: its watermark minus the age of the last late pass', async () => {
  const ledger = createMemoryLedger()
  const at = (watermarkNs: bigint, rest: Partial<CheckpointPoint> = {}) =>
    show([{ timeNs: watermarkNs, watermarkNs, ackedNs: NOON_NS, writer: 'gone', ...rest }])
  const { ackedNs } = await agree(ledger, at(NOON_NS - HOUR))
  assert.equal(ledger.originNs(), NOON_NS - HOUR - DAY)
  assert.equal(ackedNs, NOON_NS, 'acknowledgements go on above what was written')
  const overdue = createMemoryLedger()
  await agree(overdue, at(NOON_NS - HOUR, { passedNs: NOON_NS - 5n * DAY }))
  assert.equal(overdue.originNs(), NOON_NS - 5n * DAY, 'and back to where late passes were overdue')
  const ancient = createMemoryLedger()
  await agree(ancient, at(NOON_NS - 29n * DAY))
  assert.equal(ancient.originNs(), OPTIONS.floorNs, 'no further back than the API has')
})

test('no ledger, several writers: the newest of each, and of those the one that came furthest', async () => {
  const ledger = createMemoryLedger()
  const point = (writer: string, watermarkNs: bigint, ackedNs: bigint) => ({
    timeNs: NOON_NS - ackedNs,
    writer,
    watermarkNs,
    ackedNs,
  })
  // One had to go back after a loss.
  await agree(
    ledger,
    show([point('a', NOON_NS, 1n), point('a', NOON_NS - 3n * HOUR, 5n), point('b', NOON_NS - 4n * HOUR, 9n)]),
  )
  assert.equal(ledger.originNs(), NOON_NS - 3n * HOUR - DAY)
})

test('a loss that was noticed is known to whoever comes without the state file', async () => {
  const ledger = ledgerOfAnHour()
  const db = dbOf(ledger, (atNs) => atNs > NOON_NS - 9n * MINUTE)
  await agree(ledger, db, { isStart: false, provenNs: NOON_NS - 20n * MINUTE })
  const next = createMemoryLedger()
  await agree(next, db, { lastPassNs: 0n })
  assert.equal(next.originNs(), NOON_NS - HOUR - REWIND_NS)
})

test('a checkpoint at the end of time leaves room for acknowledgements, and tells of no loss', async () => {
  const end = (1n << 63n) - 1n
  const { ackedNs } = await agree(createMemoryLedger(), show([{ timeNs: NOON_NS, watermarkNs: NOON_NS, ackedNs: end }]))
  assert.ok(ackedNs > NOON_NS && end - ackedNs >= 100n * 365n * DAY, `${ackedNs}`)
  const ledger = createMemoryLedger()
  ledger.setOrigin(NOON_NS - HOUR)
  done(ledger, NOON_NS - HOUR, NOON_NS, ackedNs + 1n)
  await agree(ledger, show([{ timeNs: NOON_NS, watermarkNs: NOON_NS, ackedNs: end }]))
  assert.equal(ledger.watermarkNs(), NOON_NS)
})

test('nothing known at all is a first installation', async () => {
  for (const answer of [undefined, { cannotBeQueried, isByNature: true }]) {
    const ledger = createMemoryLedger()
    const db = createFakeDb()
    db.answer = () => answer
    await agree(ledger, db)
    assert.equal(ledger.originNs(), NOON_NS - OPTIONS.lookbackNs)
    assert.equal(ledger.promisedNs(), NOON_NS, 'what was logged before is read as far as it is still there')
    assert.equal(ledger.isOriginGuessed(), answer !== undefined)
  }
})

test('an origin that was guessed goes back to where an earlier ledger ended, as soon as the database can be asked', async () => {
  const ledger = createMemoryLedger()
  const db = show([{ timeNs: NOON_NS - 3n * DAY, writer: 'gone', watermarkNs: NOON_NS - 3n * DAY, ackedNs: 1n }])
  db.answer = () => ({ cannotBeQueried })
  await agree(ledger, db)
  assert.equal(ledger.originNs(), NOON_NS - OPTIONS.lookbackNs)
  db.answer = undefined
  await agree(ledger, db, { isStart: false })
  assert.deepEqual([ledger.originNs(), ledger.isOriginGuessed()], [NOON_NS - 4n * DAY, false])
  const fresh = createMemoryLedger()
  db.answer = () => ({ cannotBeQueried })
  await agree(fresh, db)
  db.answer = undefined
  db.windows.clear()
  await agree(fresh, db, { isStart: false })
  assert.deepEqual([fresh.originNs(), fresh.isOriginGuessed()], [NOON_NS - OPTIONS.lookbackNs, false])
})

test('a database that does not take the probe decides nothing', async () => {
  const ledger = createMemoryLedger()
  const down = new CollectorError('down', { stage: 'sink', code: 'db_unreachable', reaction: 'retry' })
  const db = createFakeDb()
  db.fault = () => {
    throw down
  }
  await assert.rejects(agree(ledger, db), (error) => error === down)
  assert.equal(ledger.originNs(), undefined)
})

test('healing reads at least ten minutes again, also without late passes', async () => {
  const ledger = createMemoryLedger()
  await agree(ledger, show([{ timeNs: NOON_NS, watermarkNs: NOON_NS, ackedNs: NOON_NS }]), { lastPassNs: 0n })
  assert.equal(ledger.originNs(), NOON_NS - REWIND_NS)
})

const gone = { writer: 'gone', watermarkNs: NOON_NS - HOUR, ackedNs: NOON_NS, timeNs: NOON_NS - HOUR }
const listed = `m${(NOON_NS - 3n * DAY) / MINUTE}`

/** Settings that keep what they are given. */
function keptSettings() {
  const restored: string[] = []
  return { restored, restore: (text: string) => restored.push(text) > 0 }
}

test('no ledger, but a checkpoint: the list and the settings that its newest point carries', async () => {
  const ledger = createMemoryLedger()
  const settings = keptSettings()
  const older = { ...gone, timeNs: NOON_NS - 2n * HOUR, ackedNs: 5n, settings: 'older', unsettled: 'm1' }
  await agree(ledger, show([older, { ...gone, settings: 'newest', unsettled: listed }]), {}, settings)
  assert.deepEqual(settings.restored, ['newest'])
  assert.ok(ledger.unsettled.find('minute', NOON_NS - 3n * DAY))
  assert.ok(ledger.unsettled.find('minute', NOON_NS - HOUR - 2n * MINUTE))
  assert.equal(ledger.originNs(), NOON_NS - HOUR - DAY)
})

test('what a point carries cannot be asked: reading begins as without a checkpoint, and all is taken over when it can', async () => {
  const ledger = createMemoryLedger()
  const settings = keptSettings()
  const db = show([{ ...gone, settings: 'newest', unsettled: listed }])
  db.stateAnswer = { cannotBeQueried }
  const first = await agree(ledger, db, {}, settings)
  assert.equal(first.unproven?.text, cannotBeQueried)
  assert.deepEqual([ledger.originNs(), ledger.isOriginGuessed()], [NOON_NS - OPTIONS.lookbackNs, true])
  assert.deepEqual([settings.restored, ledger.unsettled.all('minute')], [[], []])
  db.stateAnswer = undefined
  await agree(ledger, db, { isStart: false }, settings)
  assert.deepEqual(settings.restored, ['newest'])
  assert.ok(ledger.unsettled.find('minute', NOON_NS - 3n * DAY))
  assert.deepEqual([ledger.originNs(), ledger.isOriginGuessed()], [NOON_NS - HOUR - DAY, false])
})

test('a state file that fails while a list is taken over: no origin yet, so the next attempt takes all of it over', async () => {
  const ledger = createMemoryLedger()
  const db = show([{ ...gone, settings: 'newest', unsettled: listed }])
  const full = new CollectorError('no space', { stage: 'ledger', code: 'state_full', reaction: 'retry' })
  const failing = {
    restore() {
      throw full
    },
  }
  await assert.rejects(agree(ledger, db, {}, failing), (error) => error === full)
  assert.equal(ledger.originNs(), undefined)
  const settings = keptSettings()
  await agree(ledger, db, {}, settings)
  assert.deepEqual(settings.restored, ['newest'])
})

/** The same hour, but version 0.1.0 wrote the first half of it. */
function ledgerAfterUpgrade() {
  const { recent, gaps, settled } = ledgerOfAnHour()
  const records = [...recent(9)]
  const content = { originNs: NOON_NS - HOUR, promisedNs: undefined, done: [...settled()], records, gaps: [...gaps()] }
  return createMemoryLedger([], { ...content, oldPointsToNs: NOON_NS - 30n * MINUTE })
}

test('windows of version 0.1.0 are read again only if it is certain that the database lost them', async () => {
  const unknown = ledgerAfterUpgrade()
  const db = createFakeDb()
  db.answer = () => ({ cannotBeQueried })
  const long = unknown.recent(9).map((window) => ({ ...window, atNs: NOON_NS }))
  for (const { fromNs, toNs, ...record } of long) unknown.done({ fromNs, toNs }, record)
  await agree(unknown, db)
  assert.deepEqual(
    unknown.recent(9).map(({ toNs }) => NOON_NS - toNs),
    [30n, 40n, 50n].map((minutes) => minutes * MINUTE),
    'a database that cannot be asked: the windows of the last ten minutes, but not those of before',
  )

  const killed = ledgerAfterUpgrade()
  const shown = dbOf(killed)
  killed.done(
    { fromNs: NOON_NS - HOUR, toNs: NOON_NS - 50n * MINUTE },
    { ...killed.recent(9)[5]!, atNs: NOON_NS + HOUR },
  )
  await agree(killed, shown)
  assert.deepEqual(killed.missing(NOON_NS - HOUR, NOON_NS), [], 'in progress when it was killed')

  const lost = ledgerAfterUpgrade()
  await agree(lost, createFakeDb(), { isStart: false })
  assert.deepEqual(lost.settled(), [], 'a database that is empty')
})
