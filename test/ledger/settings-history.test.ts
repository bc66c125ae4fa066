/** Settings through time: what is in force for a record, and how the changes get through a database. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { DAY, HOUR, MINUTE, SECOND } from '../../src/base/clock.ts'
import {
  changesText,
  readChanges,
  type SettingsChange,
  settingsAt,
  withSettings,
} from '../../src/ledger/settings-history.ts'
import { encodeLine } from '../../src/sink/line-protocol/encode-line.ts'
import { NOON_NS } from '../helpers/fake-clock.ts'

interface Some {
  readonly ports: string
  readonly networks?: string
}
const service: Some = { ports: 'service' }
const full: Some = { ports: 'full' }
const parse = (data: unknown) => (typeof (data as Some)?.ports === 'string' ? (data as Some) : undefined)

test('the first settings count for all times, and nothing changes while they stay', () => {
  const first = withSettings<Some>([], service, NOON_NS)
  assert.equal(settingsAt(first, 0n), service)
  assert.equal(settingsAt(first, -1n), service)
  assert.equal(settingsAt(first, NOON_NS + 400n * DAY), service)
  assert.equal(withSettings(first, { ports: 'service' }, NOON_NS + DAY), first)
  assert.equal(settingsAt([], NOON_NS), undefined)
})

test('a change counts for what starts from the first whole minute later than the change and the bound ahead', () => {
  for (const [nowNs, fromNs] of [
    [NOON_NS, NOON_NS + HOUR + MINUTE],
    [NOON_NS + 1n, NOON_NS + HOUR + MINUTE],
    [NOON_NS + 59n * SECOND, NOON_NS + HOUR + MINUTE],
    [NOON_NS - 1n, NOON_NS + HOUR],
  ] as const) {
    const changes = withSettings(withSettings<Some>([], service, NOON_NS - DAY), full, nowNs)
    assert.deepEqual(changes.at(-1), { fromNs, settings: full })
    assert.equal(settingsAt(changes, fromNs - 1n), service)
    assert.equal(settingsAt(changes, fromNs), full)
    assert.ok(fromNs > nowNs + HOUR)
  }
})

test('a change back, a clock that was set back, and a change of the same minute each come after the change before', () => {
  let changes = withSettings<Some>([], service, NOON_NS)
  changes = withSettings(changes, full, NOON_NS)
  changes = withSettings(changes, service, NOON_NS + SECOND)
  changes = withSettings(changes, full, NOON_NS - DAY)
  const after = NOON_NS + HOUR + MINUTE
  assert.deepEqual(
    changes.map(({ fromNs, settings }) => [fromNs, settings.ports]),
    [
      [0n, 'service'],
      [after, 'full'],
      [after + MINUTE, 'service'],
      [after + 2n * MINUTE, 'full'],
    ],
  )
})

test('changes of the last 62 days are kept, and the one that was in force before them', () => {
  let changes = withSettings<Some>([], service, NOON_NS)
  for (let day = 1n; day <= 200n; day += 1n) changes = withSettings(changes, { ports: `${day}` }, NOON_NS + day * DAY)
  assert.ok(changes.length <= 64, `${changes.length} changes`)
  const nowNs = NOON_NS + 200n * DAY
  assert.equal(settingsAt(changes, nowNs)?.ports, '199', 'the newest is valid in an hour')
  assert.equal(settingsAt(changes, nowNs - 62n * DAY)?.ports, '137')
  assert.equal(withSettings(changes, { ports: '200' }, nowNs + 100n * DAY).length, 1)
})

const change = fc.record(
  { ports: fc.string({ unit: 'binary' }), networks: fc.string({ unit: 'binary' }) },
  { noNullPrototype: true },
)

test('what a line of the database takes and shows again is what was written', () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(fc.integer({ min: 0, max: 2 ** 26 }), { minLength: 1 }),
      fc.array(change),
      (all, some) => {
        const changes = all
          .toSorted((one, other) => one - other)
          .map((minute, index): SettingsChange<Some> => {
            return { fromNs: BigInt(minute) * MINUTE, settings: some[index] ?? service }
          })
        const text = changesText(changes, ['networks'])
        const line = Buffer.from(encodeLine('m', {}, { text }, 1n)).toString()
        assert.ok(line.length < 65_536)
        const shown = line.slice('m text="'.length, line.lastIndexOf('"')).replaceAll('\\"', '"')
        assert.equal(shown, text)
        const read = readChanges(shown, parse) ?? []
        assert.deepEqual(read, changes.slice(-read.length))
        assert.ok(read.length > 0)
      },
    ),
  )
})

test('what is too long loses what may be left out of the oldest changes first, then the oldest changes', () => {
  const of = (count: number, length: number): SettingsChange<Some>[] =>
    Array.from({ length: count }, (_, index) => {
      return { fromNs: BigInt(index) * DAY, settings: { ports: `${index}`, networks: 'n'.repeat(length) } }
    })
  const read = readChanges(changesText(of(40, 1_000), ['networks']), parse) ?? []
  assert.deepEqual(
    read.map(({ settings }) => settings.ports),
    of(40, 0).map(({ settings }) => settings.ports),
  )
  const whole = read.filter(({ settings }) => settings.networks !== undefined)
  assert.ok(whole.length > 10 && whole.at(-1) === read.at(-1) && !whole.includes(read[0] as never))
  const many = readChanges(changesText(of(4_000, 10), ['networks']), parse) ?? []
  assert.ok(many.length > 100 && many.at(-1)?.settings.ports === '3999')
})

test('a text that is none of ours is refused as a whole', () => {
  const good = '[[0,{"ports":"full"}]]'
  assert.equal(readChanges(good, parse)?.length, 1)
  for (const text of [
    '',
    '%',
    '[]',
    '{}',
    'null',
    good.slice(0, -1),
    '[[0]]',
    '[0]',
    '[[0,{}]]',
    '[[-1,{"ports":"full"}]]',
    '[[0.5,{"ports":"full"}]]',
    '[["0",{"ports":"full"}]]',
    '[[5,{"ports":"full"}],[5,{"ports":"none"}]]',
    '[[5,{"ports":"full"}],[4,{"ports":"none"}]]',
  ])
    assert.equal(readChanges(text, parse), undefined, text)
})
