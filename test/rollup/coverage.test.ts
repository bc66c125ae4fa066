import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Interval } from '../../src/ledger/ledger.ts'
import { createCoverage, finality } from '../../src/rollup/points/coverage.ts'

const MINUTE = 60_000_000_000n
const M = 29_000_000n * MINUTE
const range = (from: number, to: number): Interval => ({
  fromNs: M + BigInt(from) * MINUTE,
  toNs: M + BigInt(to) * MINUTE,
})

test('a minute is final when all up to half a minute after its end is done or in a gap, and it says so', () => {
  assert.deepEqual(finality(M, [range(-5, 2)], []), { isFinal: true, hasGap: false })
  assert.deepEqual(finality(M, [range(-5, 1)], []), { isFinal: false, hasGap: false })
  // An open gap is not settled, a lost one is; in both something of the minute is missing.
  assert.deepEqual(finality(M, [range(-5, 1)], [range(1, 3)]), { isFinal: true, hasGap: true })
  assert.deepEqual(finality(M, [range(-5, 3)], [range(0, 1)]), { isFinal: true, hasGap: true })
  assert.deepEqual(finality(M, [range(-5, 3)], [range(2, 3)]), { isFinal: true, hasGap: false })
})

test('a minute is in memory when this process read all of it since an hour before, and nothing that is done comes from elsewhere', () => {
  const coverage = createCoverage()
  coverage.add(range(-60, -10))
  coverage.add(range(-10, 2))
  assert.equal(coverage.holds(M, [range(-200, 2)]), true)
  assert.equal(coverage.holds(M - MINUTE, [range(-200, 2)]), false, 'it began within the hour before')
  assert.equal(coverage.holds(M, [range(-200, 3)]), false, 'another process read further')
  assert.equal(coverage.touches(range(2, 3)), false, 'windows share their ends')
  assert.equal(coverage.touches(range(1, 3)), true)
  coverage.remove(range(-5, -4))
  assert.equal(coverage.holds(M, [range(-200, 2)]), false)
})
