import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { RowIndex } from '../../src/base/row-index.ts'

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
