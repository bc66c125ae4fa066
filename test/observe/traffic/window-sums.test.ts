/** Sums over a window of minutes against a plain model. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { createWindowSums, type Sum } from '../../../src/observe/traffic/window-sums.ts'

const sumsOf = (given: readonly (readonly [string, number])[]) =>
  new Map<string, Sum>(given.map(([key, tx]) => [key, { tx, rx: 2 * tx }]))

/** What the window says, keys and the others apart. */
function contentOf(sums: ReturnType<typeof createWindowSums>): Map<string, number> {
  const found = new Map([...sums.entries()].map(([key, { tx }]) => [key, tx]))
  if (sums.others.tx !== 0) found.set('', sums.others.tx)
  return found
}

const total = (content: ReadonlyMap<string, number>) => [...content.values()].reduce((sum, tx) => sum + tx, 0)

test('whatever is told, told again and forgotten: sums are those of what was told last', () => {
  const says = fc.uniqueArray(fc.tuple(fc.constantFrom('a', 'b', 'c', 'd'), fc.integer({ min: 1, max: 1e6 })), {
    selector: ([key]) => key,
  })
  const step = fc.oneof(fc.tuple(fc.integer({ min: 0, max: 6 }), says), fc.integer({ min: 0, max: 6 }))
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const sums = createWindowSums()
      const model = new Map<number, ReadonlyMap<string, Sum>>()
      for (const one of steps) {
        if (typeof one === 'number') {
          sums.forgetBefore(one)
          for (const minute of model.keys()) if (minute < one) model.delete(minute)
        } else {
          sums.set(one[0], sumsOf(one[1]))
          model.set(one[0], sumsOf(one[1]))
        }
        const expected = new Map<string, number>()
        for (const minute of model.values())
          for (const [key, { tx }] of minute) expected.set(key, (expected.get(key) ?? 0) + tx)
        assert.deepEqual([...contentOf(sums)].toSorted(), [...expected].toSorted())
      }
    }),
    { seed: 5, numRuns: 300 },
  )
})

test('too many keys: the largest keep theirs, the sum stays exact, and all of it goes with its minutes', () => {
  const sums = createWindowSums(100, 60)
  let sum = 0
  for (let minute = 0; minute < 20; minute += 1) {
    const scan = Array.from({ length: 200 }, (_, i) => [`scanned ${minute} ${i}`, 1 + (i % 3)] as const)
    sums.set(minute, sumsOf([...scan, ['large', 1_000], ['larger', 2_000]]))
    sum += scan.reduce((all, [, tx]) => all + tx, 0) + 3_000
    const content = contentOf(sums)
    assert.ok(content.size <= 101, `${content.size} keys`)
    assert.equal(total(content), sum)
    assert.equal(content.get('large'), 1_000 * (minute + 1))
    assert.equal(content.get('larger'), 2_000 * (minute + 1))
  }
  sums.forgetBefore(19)
  assert.equal(contentOf(sums).get('large'), 1_000)
  assert.equal(total(contentOf(sums)), sum / 20)
  sums.forgetBefore(20)
  assert.deepEqual([...contentOf(sums)], [])
  assert.deepEqual([sums.others.tx, sums.others.rx], [0, 0])
})
