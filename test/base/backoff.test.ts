import assert from 'node:assert/strict'
import { test } from 'node:test'
import { backoffAfter } from '../../src/base/backoff.ts'

test('the backoff doubles up to its maximum', () => {
  const range = { minMs: 1_000, maxMs: 15_000 }
  assert.deepEqual(
    [1, 2, 3, 4, 5, 5_000].map((attempt) => backoffAfter(attempt, range)),
    [1_000, 2_000, 4_000, 8_000, 15_000, 15_000],
  )
})
