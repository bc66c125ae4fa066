/** The ledger in SQLite against the simplest one in memory, step by step, with restarts. */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { intersects, merge, subtract } from '../../../src/ledger/intervals.ts'
import type { DoneRecord, Interval, Ledger } from '../../../src/ledger/ledger.ts'
import { createLedger } from '../../../src/ledger/sqlite/sqlite-ledger.ts'
import { openStateFile } from '../../../src/ledger/sqlite/state-file.ts'
import { createFakeClock } from '../../helpers/fake-clock.ts'
import { createMemoryLedger } from '../../helpers/memory-ledger.ts'
import { silentLog } from '../../helpers/silent.ts'
import { temporaryFolder } from '../../helpers/temporary-folder.ts'

const open = (path: string) => openStateFile({ path }, { clock: createFakeClock(), log: silentLog })
const RECORD: DoneRecord = { pass: 1, digest: '1:a', messages: 3, entries: 4, points: 5, atNs: 9n }

const range = fc
  .tuple(fc.integer({ min: 0, max: 60 }), fc.integer({ min: 1, max: 12 }))
  .map(([from, length]): Interval => ({ fromNs: BigInt(from), toNs: BigInt(from + length) }))
const step = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({ kind: fc.constant('done' as const), range, pass: fc.integer({ min: 0, max: 3 }) }),
  },
  fc.record({ kind: fc.constant('forget' as const), range }),
  fc.record({ kind: fc.constant('openGap' as const), range }),
  fc.record({ kind: fc.constant('growGap' as const), range, next: fc.bigInt({ min: 6n, max: 9n }) }),
  fc.record({ kind: fc.constant('loseGap' as const), range }),
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('attempt' as const),
      range,
      ends: fc.constantFrom('at once' as const, 'never' as const, 'as done' as const, 'as done in part' as const),
    }),
  },
  fc.record({ kind: fc.constant('compact' as const), range }),
  fc.record({ kind: fc.constant('origin' as const), range, promises: fc.boolean() }),
  fc.record({ kind: fc.constant('restart' as const) }),
)

function look(ledger: Ledger) {
  const sorted = <T extends Interval>(some: readonly T[]) =>
    some.toSorted((one, other) => Number(one.fromNs - other.fromNs) || Number(one.toNs - other.toNs))
  return {
    origin: ledger.originNs(),
    promised: ledger.promisedNs(),
    settled: ledger.settled(),
    watermark: ledger.watermarkNs(),
    missing: ledger.missing(0n, 80n),
    gaps: sorted(ledger.gaps()),
    due: sorted(ledger.duePasses(3, 50n, 1_000)),
    recent: sorted(ledger.recent(1_000)),
  }
}

test('whatever is done to it, it tells what the simplest ledger tells, after restarts too', (t) => {
  const folder = temporaryFolder(t)
  let runs = 0
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      runs += 1
      const path = join(folder, `${runs}.db`)
      let file = open(path)
      let ledger: Ledger = createLedger(file, 'default')
      let model = createMemoryLedger()
      for (const one of [ledger, model]) one.setOrigin(2n)
      for (const one of steps) {
        if (one.kind === 'restart') {
          file.close()
          file = open(path)
          ledger = createLedger(file, 'default')
          model = model.reopen()
          const crashed = (some: readonly Interval[]) => merge(some)
          assert.deepEqual(crashed(ledger.crashed()), crashed(model.crashed()))
        } else {
          for (const each of [ledger, model]) {
            if (one.kind === 'done') each.done(one.range, { ...RECORD, pass: one.pass })
            if (one.kind === 'forget') each.forget(one.range)
            if (one.kind === 'openGap') each.openGap(one.range, 'timeout', 5n, 6n)
            if (one.kind === 'growGap') each.growGap(one.range, 'db_limit', 7n - one.next, one.next)
            if (one.kind === 'loseGap') each.loseGap(one.range, 'beyond_retention', 5n)
            if (one.kind === 'attempt') {
              const { fromNs, toNs } = one.range
              const attempt = each.beginAttempt(one.range)
              if (one.ends === 'at once') each.endAttempt(attempt)
              if (one.ends === 'as done') each.done(one.range, RECORD, attempt)
              if (one.ends === 'as done in part')
                each.done({ fromNs, toNs: (fromNs + toNs + 1n) / 2n }, RECORD, attempt)
            }
            if (one.kind === 'compact') each.compact(one.range.toNs, one.range.toNs + 500n)
            if (one.kind === 'origin') each.setOrigin(one.range.fromNs, ...(one.promises ? [one.range.toNs] : []))
          }
        }
        assert.deepEqual(look(ledger), look(model))
      }
      file.close()
    }),
    { numRuns: 60, seed: 5 },
  )
})

test('200 attempts with one begin, and two of one range: each has its own mark, which ends with it alone', () => {
  const file = open(':memory:')
  const ledger = createLedger(file, 'default')
  ledger.setOrigin(0n)
  const left = () => createLedger(file, 'default').crashed()
  const attempts = Array.from({ length: 200 }, (_, index) =>
    ledger.beginAttempt({ fromNs: 0n, toNs: 1_000n + BigInt(index) }),
  )
  const twin = ledger.beginAttempt({ fromNs: 0n, toNs: 1_000n })
  assert.equal(left().length, 200)
  ledger.done({ fromNs: 0n, toNs: 10n }, RECORD, attempts[7])
  ledger.endAttempt(attempts[8]!)
  ledger.endAttempt(attempts[8]!)
  assert.equal(left().length, 198, 'a window that is done, or failed, takes no mark of the others with it')
  ledger.endAttempt(attempts[0]!)
  assert.equal(left().length, 198, 'the twin still reads that range')
  ledger.endAttempt(twin)
  assert.equal(left().length, 197)
})

test('two tailnets in one file do not see each other', () => {
  const file = open(':memory:')
  const [one, other] = [createLedger(file, 'one'), createLedger(file, 'other')]
  one.setOrigin(0n)
  one.done({ fromNs: 0n, toNs: 5n }, RECORD)
  assert.equal(other.originNs(), undefined)
  assert.deepEqual(other.settled(), [])
})

test('intervals: union and difference agree with counting points one by one', () => {
  fc.assert(
    fc.property(fc.array(range, { maxLength: 8 }), fc.array(range, { maxLength: 8 }), (some, holes) => {
      // Half points stand for the inside of unit intervals, so that shared ends do not matter.
      const covers = (intervals: readonly Interval[], unit: bigint) =>
        intervals.some((each) => each.fromNs <= unit && unit < each.toNs)
      const union = merge(some)
      const rest = subtract(union, holes)
      for (let unit = 0n; unit < 80n; unit += 1n) {
        assert.equal(covers(union, unit), covers(some, unit))
        assert.equal(covers(rest, unit), covers(some, unit) && !covers(holes, unit))
      }
      for (const [index, each] of union.entries())
        for (const next of union.slice(index + 1)) assert.ok(each.toNs < next.fromNs)
      for (const one of some)
        for (const hole of holes) {
          let shares = false
          for (let unit = 0n; unit < 80n; unit += 1n) shares ||= covers([one], unit) && covers([hole], unit)
          assert.equal(intersects(one, hole), shares)
        }
    }),
    { numRuns: 200, seed: 11 },
  )
})

test('a window and its minutes are one transaction: after a crash anywhere both are there, or neither', () => {
  for (const kept of [true, false]) {
    const file = open(':memory:')
    let transactions = 0
    let isOpen = false
    const ledger = createLedger(
      {
        ...file,
        transaction(work) {
          transactions += 1
          return file.transaction(() => {
            const value = work()
            if (isOpen && !kept) throw new Error('killed before the commit')
            return value
          })
        },
      },
      'a',
    )
    transactions = 0
    isOpen = true
    const minutes = [60_000_000_000n, 120_000_000_000n]
    const done = () => ledger.done({ fromNs: 0n, toNs: 9n }, RECORD, undefined, minutes)
    kept ? done() : assert.throws(done, /killed/)
    assert.equal(transactions, 1)
    for (const one of [ledger, createLedger(file, 'a')]) {
      assert.equal(one.settled().length, kept ? 1 : 0)
      assert.deepEqual(
        one.unsettled.all('minute').map(({ startNs }) => startNs),
        kept ? minutes : [],
      )
    }
  }
})
