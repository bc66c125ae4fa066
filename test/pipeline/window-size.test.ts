import assert from 'node:assert/strict'
import { test } from 'node:test'
import { HOUR, MINUTE } from '../../src/base/clock.ts'
import { WINDOW_MIN_NS } from '../../src/pipeline/bisection.ts'
import { createWindowSize } from '../../src/pipeline/planner.ts'

const MiB = 1 << 20

test('the length settles where an answer has the target size', () => {
  const size = createWindowSize({ bytesTarget: 8 * MiB, startNs: MINUTE, maxNs: HOUR })
  const bytesPerNs = (40 * MiB) / Number(HOUR)
  for (let step = 0; step < 20; step += 1) size.succeeded(size.lengthNs, Math.round(Number(size.lengthNs) * bytesPerNs))
  assert.ok(Math.abs(Number(size.lengthNs) / Number(HOUR / 5n) - 1) < 0.01, `${size.lengthNs}`)
})

test('it at most doubles and at most quarters per step, and stays in its bounds', () => {
  const size = createWindowSize({ bytesTarget: 8 * MiB, startNs: MINUTE, maxNs: HOUR })
  size.succeeded(MINUTE, 0)
  assert.equal(size.lengthNs, 2n * MINUTE)
  size.succeeded(2n * MINUTE, 8_000 * MiB)
  assert.equal(size.lengthNs, MINUTE / 2n)
  for (let step = 0; step < 20; step += 1) size.succeeded(size.lengthNs, 1)
  assert.equal(size.lengthNs, HOUR)
})

test('a failure halves what was asked for, down to a millisecond and no further', () => {
  const size = createWindowSize({ bytesTarget: 8 * MiB, startNs: MINUTE, maxNs: HOUR })
  size.failed(MINUTE)
  assert.equal(size.lengthNs, MINUTE / 2n)
  size.failed(HOUR)
  assert.equal(size.lengthNs, MINUTE / 2n, 'an older, longer window does not make it grow')
  for (let step = 0; step < 40; step += 1) size.failed(size.lengthNs)
  assert.equal(size.lengthNs, WINDOW_MIN_NS)
})
