import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MS, SECOND } from '../../src/base/clock.ts'
import { intersects, subtract } from '../../src/ledger/intervals.ts'
import type { Interval } from '../../src/ledger/ledger.ts'
import { createBisection } from '../../src/pipeline/bisection.ts'
import { NOON_NS } from '../helpers/fake-clock.ts'

test('whatever its length, a bad range is found to the millisecond, in few probes', () => {
  for (const lengthMs of [1n, 2n, 3n, 999n, 1_000n, 7_200_000n]) {
    const poison = { fromNs: NOON_NS, toNs: NOON_NS + lengthMs * MS }
    const horizonNs = NOON_NS + 86_400n * SECOND
    const gaps: Interval[] = []
    const bisection = createBisection((range) => gaps.push(range))
    let missing: readonly Interval[] = [{ fromNs: NOON_NS, toNs: horizonNs }]
    bisection.quarantine({ fromNs: NOON_NS, toNs: NOON_NS + MS }, 'gateway', 1)
    assert.equal(
      bisection.probe(missing, horizonNs),
      undefined,
      'nothing was read since: it may be the fault of the API',
    )
    bisection.verify(2)
    let probes = 0
    const next = () => bisection.probe(subtract(missing, bisection.quarantined()), horizonNs)
    for (let window = next(); window; window = next()) {
      const isRead = !intersects(window, poison)
      bisection.probed(window, isRead ? 'read' : 'gateway', NOON_NS)
      if (isRead) missing = subtract(missing, [window])
      probes += 1
      assert.ok(probes < 100, `${lengthMs} ms: no end`)
    }
    assert.equal(gaps.length, 1, `${lengthMs} ms`)
    assert.equal(gaps[0]?.fromNs, poison.fromNs)
    const beyondNs = (gaps[0]?.toNs ?? 0n) - poison.toNs
    assert.ok(beyondNs >= 0n && beyondNs <= MS, `${lengthMs} ms: ${beyondNs} ns beyond its end`)
    assert.deepEqual(bisection.quarantined(), [])
  }
})

test('an edge that went back stops the search, and nothing missing beyond it ends it', () => {
  const gaps: Interval[] = []
  const bisection = createBisection((range) => gaps.push(range))
  const window = { fromNs: NOON_NS, toNs: NOON_NS + MS }
  bisection.quarantine(window, 'timeout', 1)
  bisection.verify(2)
  assert.equal(bisection.settle(NOON_NS), false)
  bisection.probed(window, 'timeout', NOON_NS)
  assert.equal(bisection.probe([{ fromNs: NOON_NS, toNs: NOON_NS + SECOND }], NOON_NS), undefined)
  assert.equal(bisection.probe([window], NOON_NS + SECOND), undefined)
  assert.equal(bisection.settle(NOON_NS), false)
  assert.deepEqual(gaps, [window])
})
