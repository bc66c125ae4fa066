/** What a new ledger takes over from earlier ones. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DAY, HOUR, MINUTE, SECOND } from '../../../src/base/clock.ts'
import { CollectorError } from '../../../src/base/errors.ts'
import type { Tier } from '../../../src/ledger/unsettled.ts'
import { unsettledText } from '../../../src/ledger/unsettled-text.ts'
import { type EarlierLedger, takeOver } from '../../../src/pipeline/recovery/take-over.ts'
import { NOON_NS } from '../../helpers/fake-clock.ts'
import { createMemoryLedger } from '../../helpers/memory-ledger.ts'
import { createMemoryUnsettled } from '../../helpers/memory-unsettled.ts'
import { keptLog } from '../../helpers/silent.ts'

const LONG_AGO = NOON_NS - 20n * DAY

/** An earlier ledger whose newest point lies far from everything else. */
function earlier(carries: { unsettled?: string; settings?: string } | undefined, ackedNs = 1n): EarlierLedger {
  const point = { timeNs: LONG_AGO, watermarkNs: LONG_AGO, passedNs: undefined, pass: '1', writer: 'gone', ackedNs }
  const texts = { unsettled: undefined, settings: undefined, ...carries }
  return { point, state: carries && { pass: '1', writer: 'gone', ...texts } }
}

function taken(ledgers: readonly EarlierLedger[], readable: (text: string) => boolean = () => true) {
  const ledger = createMemoryLedger()
  const restored: string[] = []
  const { log, entries } = keptLog()
  const restore = (text: string) => {
    if (readable(text)) restored.push(text)
    return readable(text)
  }
  takeOver(ledgers, NOON_NS, { ledger, settings: { restore }, log })
  const of = (tier: Tier) =>
    ledger.unsettled
      .all(tier)
      .filter(({ startNs }) => startNs < LONG_AGO - DAY || startNs > LONG_AGO + 2n * HOUR)
      .map(({ startNs }) => startNs)
  const warnings = entries.filter(({ level }) => level >= 40).map(({ msg }) => msg)
  return { ledger, restored, of, warnings }
}

test('every minute from two minutes before the checkpoint to an hour after, whatever it carries', () => {
  const timeNs = NOON_NS - 5n * HOUR + 20n * SECOND
  const watermarkNs = NOON_NS - 9n * HOUR
  const point = { timeNs, watermarkNs, passedNs: undefined, pass: '1', writer: 'gone', ackedNs: 1n }
  const { ledger } = taken([{ point, state: undefined }])
  const range = (fromNs: bigint, count: number) =>
    Array.from({ length: count }, (_, index) => fromNs + BigInt(index) * MINUTE)
  assert.deepEqual(
    ledger.unsettled.all('minute').map(({ startNs }) => startNs),
    [...range(watermarkNs - 2n * MINUTE, 63), ...range(timeNs - 20n * SECOND - 2n * MINUTE, 63)],
  )
  assert.ok(ledger.unsettled.all('minute').every(({ read, must }) => read === 0 && must > 0))
  assert.deepEqual([ledger.unsettled.all('hour'), ledger.unsettled.all('day')], [[], []])
})

test('what is listed is listed again as must, minutes with the hour that looks back at them', () => {
  const before = createMemoryUnsettled()
  before.read([NOON_NS - 3n * DAY], NOON_NS)
  const hour = { tier: 'hour', startNs: NOON_NS - 4n * DAY } as const
  before.must([hour, { tier: 'day', startNs: NOON_NS - (NOON_NS % DAY) - DAY }], NOON_NS)
  const { of, ledger } = taken([earlier({ unsettled: unsettledText(before) })])
  const minutes = of('minute')
  assert.deepEqual([minutes.length, minutes[0], minutes.at(-1)], [61, NOON_NS - 3n * DAY, NOON_NS - 3n * DAY + HOUR])
  assert.deepEqual(of('hour'), [hour.startNs])
  assert.deepEqual(of('day'), [NOON_NS - (NOON_NS % DAY) - DAY])
  assert.ok(ledger.unsettled.all('hour').every(({ read, must }) => read === 0 && must > 0))
})

test('ranges that reach beyond all records are cut: another program may have written them', () => {
  const { of } = taken([earlier({ unsettled: 'm0-99999999;h0-9999999;d0-99999' })])
  const minutes = of('minute')
  assert.equal(minutes[0], NOON_NS - 62n * DAY)
  assert.equal(minutes.at(-1), NOON_NS + 2n * HOUR)
  assert.ok(of('hour').length < 1_500 && of('day').length < 64)
  assert.equal((of('day')[0] ?? 0n) % DAY, 0n)
})

test('several earlier ledgers: the lists of all, the settings of the one that wrote last', () => {
  const at = (ns: bigint) => `m${ns / MINUTE}`
  const { of, restored, warnings } = taken([
    earlier({ unsettled: at(NOON_NS - 3n * DAY), settings: 'old' }, 5n),
    earlier({ unsettled: at(NOON_NS - 5n * DAY), settings: 'new' }, 9n),
    earlier(undefined, 20n),
  ])
  assert.equal(of('minute').length, 2 * 61)
  assert.deepEqual([restored, warnings], [['new'], []])
})

test('texts that cannot be read are said, and the next best settings count', () => {
  const some = [earlier({ unsettled: 'what?', settings: 'cut off' }, 9n), earlier({ settings: 'old' }, 5n)]
  const next = taken(some, (text) => text === 'old')
  assert.deepEqual(next.restored, ['old'])
  assert.deepEqual(next.warnings, ['the list of unsettled minutes in tailflux_window cannot be read'])
  assert.match(taken(some, () => false).warnings.at(-1) ?? '', /^the settings in tailflux_window cannot be read/)
})

test('nothing earlier, nothing taken over', () => {
  const { ledger, restored, warnings } = taken([])
  assert.deepEqual([ledger.unsettled.all('minute'), restored, warnings], [[], [], []])
})

test('a state file that cannot be written says so', () => {
  const full = new CollectorError('no space', { stage: 'ledger', code: 'state_full', reaction: 'retry' })
  const must = () => {
    throw full
  }
  const ledger = { unsettled: { ...createMemoryUnsettled(), must } }
  const deps = { ledger, settings: { restore: () => true }, log: keptLog().log }
  assert.throws(
    () => takeOver([earlier({})], NOON_NS, deps),
    (error) => error === full,
  )
})
