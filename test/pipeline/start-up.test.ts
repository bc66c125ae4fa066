import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DAY, HOUR, MINUTE } from '../../src/clock.ts'
import { CollectorError } from '../../src/errors.ts'
import { HEAL_NS, reconcile } from '../../src/pipeline/start-up.ts'
import type { Mirror } from '../../src/sink/sink.ts'
import { NOON_NS } from '../helpers/fake-clock.ts'
import { createMemoryLedger } from '../helpers/memory-ledger.ts'
import { silentLog } from '../helpers/silent.ts'

const OPTIONS = {
  tailnet: 'default',
  nowNs: NOON_NS,
  floorNs: NOON_NS - 30n * DAY + HOUR,
  serverNowNs: NOON_NS,
  lookbackNs: 2n * HOUR,
  lastPassNs: DAY,
}
const never = new AbortController().signal

/** Six windows of ten minutes, acknowledged a minute after their end. */
function ledgerOfAnHour() {
  const ledger = createMemoryLedger()
  ledger.setOrigin(NOON_NS - HOUR)
  for (let index = 0n; index < 6n; index += 1n) {
    const toNs = NOON_NS - HOUR + (index + 1n) * 10n * MINUTE
    const record = { pass: 1, digest: '0:0', messages: 0, entries: 0, points: 0, atNs: toNs + MINUTE }
    ledger.done({ fromNs: toNs - 10n * MINUTE, toNs }, record)
  }
  return ledger
}
function agree(ledger: ReturnType<typeof createMemoryLedger>, mirror: Mirror | 'unanswerable' | undefined) {
  const sink = { lastMirror: async () => mirror }
  return reconcile(OPTIONS, { ledger, sink, log: silentLog }, never)
}

test('ledger and mirror agree: reading goes on', async () => {
  const ledger = ledgerOfAnHour()
  const acked = await agree(ledger, { watermarkNs: NOON_NS, ackedNs: NOON_NS + MINUTE })
  assert.equal(acked, NOON_NS + MINUTE)
  assert.equal(ledger.watermarkNs(), NOON_NS)
})

test('the mirror is older: exactly what was acknowledged after it is read again', async () => {
  const ledger = ledgerOfAnHour()
  await agree(ledger, { watermarkNs: NOON_NS - 30n * MINUTE, ackedNs: NOON_NS - 29n * MINUTE })
  assert.equal(ledger.watermarkNs(), NOON_NS - 30n * MINUTE)
})

test('the database holds nothing: everything that the API still has is read again', async () => {
  const ledger = ledgerOfAnHour()
  await agree(ledger, undefined)
  assert.deepEqual(ledger.settled(), [])
})

test('the mirror is older than every record that is kept: reading goes back beyond it by the age of the last late pass', async () => {
  const ledger = ledgerOfAnHour()
  ledger.setOrigin(NOON_NS - 10n * DAY)
  ledger.done(
    { fromNs: NOON_NS - 10n * DAY, toNs: NOON_NS - HOUR },
    { pass: 3, digest: '', messages: 0, entries: 0, points: 0, atNs: NOON_NS - 30n * MINUTE },
  )
  ledger.compact(NOON_NS - HOUR)
  const markNs = NOON_NS - 3n * DAY
  await agree(ledger, { watermarkNs: markNs, ackedNs: markNs })
  assert.equal(ledger.watermarkNs(), markNs - DAY)
})

test('the same when no record is kept any more', async () => {
  const ledger = ledgerOfAnHour()
  ledger.compact(NOON_NS + DAY)
  await agree(ledger, { watermarkNs: NOON_NS - 30n * MINUTE, ackedNs: NOON_NS - 29n * MINUTE })
  assert.equal(ledger.watermarkNs(), NOON_NS - HOUR, 'all of it: the day before the mirror begins before the origin')
  const idle = ledgerOfAnHour()
  idle.compact(NOON_NS + DAY)
  await agree(idle, { watermarkNs: NOON_NS, ackedNs: NOON_NS + MINUTE })
  assert.equal(idle.watermarkNs(), NOON_NS, 'a mirror that is as new changes nothing')
})

test('a database that cannot be asked: the last ten minutes of acknowledgements are read again', async () => {
  const ledger = ledgerOfAnHour()
  await agree(ledger, 'unanswerable')
  assert.equal(ledger.watermarkNs(), NOON_NS - 20n * MINUTE)
})

test('no ledger, but a mirror: its watermark minus the age of the last late pass', async () => {
  const ledger = createMemoryLedger()
  const acked = await agree(ledger, { watermarkNs: NOON_NS - HOUR, ackedNs: NOON_NS })
  assert.equal(ledger.originNs(), NOON_NS - HOUR - DAY)
  assert.equal(acked, NOON_NS, 'acknowledgements go on above what was mirrored')
  const overdue = createMemoryLedger()
  await agree(overdue, { watermarkNs: NOON_NS - HOUR, ackedNs: NOON_NS, passedNs: NOON_NS - 5n * DAY })
  assert.equal(overdue.originNs(), NOON_NS - 5n * DAY, 'and back to where late passes were overdue')
  const ancient = createMemoryLedger()
  await agree(ancient, { watermarkNs: NOON_NS - 90n * DAY, ackedNs: NOON_NS - 90n * DAY })
  assert.equal(ancient.originNs(), OPTIONS.floorNs, 'no further back than the API has')
})

test('a mirror at the end of time leaves room for acknowledgements, and tells of no loss', async () => {
  const end = (1n << 63n) - 1n
  const acked = await agree(createMemoryLedger(), { watermarkNs: NOON_NS, ackedNs: end })
  assert.ok(acked > NOON_NS && end - acked >= 100n * 365n * DAY, `${acked}`)
  const ledger = createMemoryLedger()
  ledger.setOrigin(NOON_NS - HOUR)
  const record = { pass: 1, digest: '0:0', messages: 0, entries: 0, points: 0, atNs: acked + 1n }
  ledger.done({ fromNs: NOON_NS - HOUR, toNs: NOON_NS }, record)
  await agree(ledger, { watermarkNs: NOON_NS, ackedNs: end })
  assert.equal(ledger.watermarkNs(), NOON_NS)
})

test('nothing known at all is a first installation', async () => {
  for (const mirror of [undefined, 'unanswerable'] as const) {
    const ledger = createMemoryLedger()
    await agree(ledger, mirror)
    assert.equal(ledger.originNs(), NOON_NS - OPTIONS.lookbackNs)
    assert.equal(ledger.promisedNs(), NOON_NS, 'what was logged before is read as far as it is still there')
  }
})

test('a database that does not answer decides nothing', async () => {
  const ledger = createMemoryLedger()
  const down = new CollectorError('down', { stage: 'sink', code: 'db_unreachable', reaction: 'retry' })
  const sink = { lastMirror: () => Promise.reject(down) }
  await assert.rejects(reconcile(OPTIONS, { ledger, sink, log: silentLog }, never), (error) => error === down)
  assert.equal(ledger.originNs(), undefined)
})

test('healing reads at least ten minutes again, also without late passes', async () => {
  const ledger = createMemoryLedger()
  const sink = { lastMirror: async () => ({ watermarkNs: NOON_NS, ackedNs: NOON_NS }) }
  await reconcile({ ...OPTIONS, lastPassNs: 0n }, { ledger, sink, log: silentLog }, never)
  assert.equal(ledger.originNs(), NOON_NS - HEAL_NS)
})
