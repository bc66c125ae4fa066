import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { createHashSet } from '../../src/base/hash-set.ts'

test('a set of 64-bit numbers is a Set of bigints', () => {
  const hash = fc.oneof(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), fc.bigInt({ min: 0n, max: 9n }))
  // Numbers that differ in their upper half only lie at the same place.
  const same = fc.bigInt({ min: 0n, max: 2n ** 32n - 1n }).map((upper) => (upper << 32n) | 1n)
  fc.assert(
    fc.property(fc.array(fc.oneof(hash, same), { maxLength: 300 }), (hashes) => {
      const set = createHashSet(1000)
      const model = new Set<bigint>()
      for (const one of hashes) {
        assert.equal(set.has(one), model.has(one))
        assert.equal(set.add(one), !model.has(one))
        model.add(one)
        assert.ok(set.has(one))
        assert.equal(set.size, model.size)
      }
      assert.deepEqual(new Set(set.values()), model)
    }),
  )
})

test('it grows, and keeps what it has', () => {
  const set = createHashSet(10_000)
  const hashOf = (n: number) => BigInt.asUintN(64, BigInt(n) * 0x9e3779b97f4a7c15n)
  for (let n = 0; n < 10_000; n++) assert.ok(set.add(hashOf(n)))
  for (let n = 0; n < 10_000; n++) assert.ok(set.has(hashOf(n)) && !set.add(hashOf(n)))
  assert.ok(!set.has(hashOf(10_000)))
  assert.equal(set.size, 10_000)
})

test('a full set takes nothing more, and says of everything unknown that it is new', () => {
  const set = createHashSet(2)
  assert.ok(set.add(0n) && set.add(1n))
  assert.ok(set.add(2n) && set.add(2n))
  assert.ok(!set.has(2n) && !set.add(0n))
  assert.deepEqual([...set.values()], [0n, 1n])
  const none = createHashSet(0)
  assert.ok(none.add(5n) && !none.has(5n))
  assert.equal(none.size, 0)
})
