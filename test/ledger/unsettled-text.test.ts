/** The list of what is not settled as text: nothing on it gets lost, and it fits into a field. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { TIERS, type Tier, type Unsettled } from '../../src/ledger/unsettled.ts'
import { readUnsettled, TIER_NS, unsettledText } from '../../src/ledger/unsettled-text.ts'

/** Numbers of minutes, hours and days since the epoch. */
type Numbers = Readonly<Record<Tier, readonly number[]>>

function textOf(numbers: Partial<Numbers>): string {
  const all = (tier: Tier) =>
    [...(numbers[tier] ?? [])]
      .toSorted((one, other) => one - other)
      .map((one): Unsettled => ({ startNs: BigInt(one) * TIER_NS[tier], read: 1, must: 0, sinceNs: 0n }))
  return unsettledText({ all })
}

function numbersIn(text: string): Numbers {
  const ranges = readUnsettled(text) ?? assert.fail(`cannot be read: ${text}`)
  const numbersOf = (tier: Tier) =>
    ranges
      .filter((range) => range.tier === tier)
      .flatMap(({ fromNs, toNs }) => {
        assert.equal(fromNs % TIER_NS[tier], 0n)
        const count = Number((toNs - fromNs) / TIER_NS[tier]) + 1
        return Array.from({ length: count }, (_, index) => Number(fromNs / TIER_NS[tier]) + index)
      })
  return { minute: numbersOf('minute'), hour: numbersOf('hour'), day: numbersOf('day') }
}

test('ranges of minutes, hours and days', () => {
  assert.equal(textOf({}), '')
  assert.equal(
    textOf({ minute: [29833350, 29833333, 29833334, 29833335], hour: [497222], day: [20716, 20717] }),
    'm29833333-29833335,29833350;h497222;d20716-20717',
  )
})

const numbers = fc.uniqueArray(fc.integer({ min: 29_000_000, max: 29_000_400 }), { maxLength: 300 })

test('what is read is what was listed', () => {
  fc.assert(
    fc.property(fc.record({ minute: numbers, hour: numbers, day: numbers }), (listed) => {
      const text = textOf(listed)
      const read = numbersIn(text)
      for (const tier of TIERS)
        assert.deepEqual(
          read[tier],
          listed[tier].toSorted((one, other) => one - other),
        )
    }),
    { numRuns: 50 },
  )
})

test('too many ranges: the closest become one, so more is made again and nothing is forgotten', () => {
  const minutes = Array.from({ length: 45_000 }, (_, index) => 29_000_000 + 2 * index).filter((one) => one % 7 > 0)
  const hours = Array.from({ length: 700 }, (_, index) => 490_000 + 9 * index)
  const text = textOf({ minute: minutes, hour: hours })
  assert.ok(text.length < 16_384, `${text.length}`)
  assert.match(text, /^[mhd\d,;-]+$/)
  const read = numbersIn(text)
  const found = new Set(read.minute)
  assert.deepEqual(
    minutes.filter((one) => !found.has(one)),
    [],
  )
  assert.deepEqual(read.hour, hours, 'gaps of an hour are longer than those of a minute')
  const sparse = Array.from({ length: 1_000 }, (_, index) => 20_000_000 + index * index)
  const kept = numbersIn(textOf({ minute: sparse }))
  assert.ok(kept.minute.length < 60_000 && sparse.every((one) => kept.minute.includes(one)))
})

test('a text that is none of ours is refused', () => {
  assert.deepEqual(readUnsettled(''), [])
  for (const text of ['x', 'm', 'm1-', 'm-1', 'm1;', 'm1,', 'm2-1', 'm1.5', 'x1', 'm1 ', 'm123456789', 'm1;h', '1'])
    assert.equal(readUnsettled(text), undefined, text)
})
