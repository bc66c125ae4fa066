/** The estimate of series against a count of distinct tag sets. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MINUTE } from '../../src/base/clock.ts'
import { createSeries } from '../../src/observe/series.ts'
import type { Observer } from '../../src/observers/observers.ts'
import { createFakeClock, NOON_NS } from '../helpers/fake-clock.ts'
import { createTailnet } from '../simulator/tailnet.ts'
import { readInto, windowOf } from './feed.ts'

/** Three times the standard error. */
const ERROR_MAX = 0.05

const CASES = [
  ['a small tailnet', { nodes: 12, seed: 4 }, 10n],
  ['a large one', { nodes: 400, seed: 5 }, 4n],
  ['a port scan', { nodes: 10, seed: 6, scan: { nodes: 2, tuples: 400 } }, 6n],
] as const

for (const [name, options, minutes] of CASES) {
  test(`${name}: about as many series as there are distinct tag sets`, () => {
    const { nodes, seed } = options
    const tailnet = createTailnet({ nodes, seed, ...('scan' in options ? { scan: options.scan } : {}) })
    const series = createSeries(createFakeClock())
    const flows = new Set<string>()
    const observer: Observer = {
      ...series.observer!,
      points: (window, points, message) => {
        series.observer!.points(window, points, message)
        for (let index = 0; index < points.count; index += 1) {
          const { kind, proto, src, dst, srcPort, dstPort, path } = points.flow(index)
          flows.add([points.node, kind, proto, src, dst, srcPort, dstPort, path].join(' '))
        }
      },
    }
    for (let round = 0; round < 2; round += 1) {
      readInto(observer, windowOf(NOON_NS - minutes * MINUTE, NOON_NS), tailnet)
      const estimate = series.estimate()
      assert.ok(Math.abs(estimate / flows.size - 1) <= ERROR_MAX, `${estimate} for ${flows.size}`)
    }
  })
}

test('a day later they are forgotten, by the hour', async () => {
  const clock = createFakeClock()
  const series = createSeries(clock)
  readInto(series.observer!, windowOf(NOON_NS - 5n * MINUTE, NOON_NS), createTailnet({ nodes: 12, seed: 4 }))
  const first = series.estimate()
  assert.ok(first > 20)
  await clock.advance(24 * 3_600_000 - 1)
  assert.equal(series.estimate(), first)
  clock.jump(-3_600_000)
  assert.equal(series.estimate(), first, 'a clock that is set back forgets nothing')
  await clock.advance(1)
  assert.equal(series.estimate(), 0)
})

test('an empty line has no series', () => {
  assert.equal(createSeries(createFakeClock()).estimate(), 0)
})
