import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { createHashSet, RowIndex } from '../../src/base/hash-tables.ts'

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

/** Rows of one key each, as the owners of an index use it. */
function createRows(rowsMax: number, hashOf: (key: number) => number) {
  const index = new RowIndex(rowsMax)
  let keys: number[] = []
  const search = (key: number) => {
    let place = index.first(hashOf(key))
    let steps = 0
    for (let row = index.rowAt(place); row >= 0; row = index.rowAt(place)) {
      if (keys[row] === key) return { place, row, steps }
      place = index.next(place)
      steps += 1
    }
    return { place, row: -1, steps }
  }
  return {
    index,
    search,
    put(key: number) {
      const { place, row } = search(key)
      if (row >= 0) return row
      index.put(place, keys.length)
      return keys.push(key) - 1
    },
    clear(max: number) {
      index.clear(max)
      keys = []
    },
  }
}

test('an index finds what a Map finds, through rounds of any size', () => {
  const round = fc.array(fc.integer({ min: -50, max: 50 }), { maxLength: 200 })
  const hashes = fc.constantFrom(
    (key: number) => key,
    // Most keys have the same hash.
    (key: number) => key >> 5,
    () => 0,
  )
  fc.assert(
    fc.property(fc.array(round, { maxLength: 6 }), hashes, (rounds, hashOf) => {
      const rows = createRows(1, hashOf)
      for (const keys of rounds) {
        rows.clear(keys.length)
        const model = new Map<number, number>()
        for (const key of keys) {
          if (!model.has(key)) model.set(key, model.size)
          assert.equal(rows.put(key), model.get(key))
        }
        for (let key = -60; key <= 60; key++) assert.equal(rows.search(key).row, model.get(key) ?? -1)
      }
    }),
  )
})

test('a cleared index is empty and keeps its memory', () => {
  const rows = createRows(1000, (key) => key)
  for (let key = 0; key < 1000; key++) rows.put(key)
  const { bytes } = rows.index
  for (const max of [10, 1000, 1]) {
    rows.clear(max)
    for (let key = 0; key < 1000; key++) assert.equal(rows.search(key).row, -1)
    rows.put(7)
    assert.equal(rows.search(7).row, 0)
    assert.equal(rows.index.bytes, bytes)
  }
})

test('a full index has free places, so that a search ends soon', () => {
  for (const count of [1, 32, 33, 1000]) {
    const rows = createRows(count, (key) => key)
    for (let key = 0; key < count; key++) rows.put(key)
    let steps = 0
    for (let key = count; key < 3 * count; key++) steps += rows.search(key).steps
    assert.ok(steps / (2 * count) < 4, `${steps / (2 * count)} steps with ${count} rows`)
  }
})

test('rounds are counted from the start again before their number is too large', () => {
  const rows = createRows(10, (key) => key)
  rows.put(1)
  Object.assign(rows.index, { round: 0x7fffffff })
  rows.clear(10)
  assert.equal(rows.search(1).row, -1)
  rows.put(2)
  assert.equal(rows.search(2).row, 0)
  assert.equal(rows.search(1).row, -1)
})
