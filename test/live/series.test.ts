/** The estimate of series against a count of distinct tag sets. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { HOUR, MINUTE } from '../../src/base/clock.ts'
import { NO_NODE_NAMES } from '../../src/directory/node-names.ts'
import { createLive } from '../../src/live/live.ts'
import { createSeries } from '../../src/live/series.ts'
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
    const series = createSeries()
    const flows = new Set<string>()
    const observer = {
      points: (_: unknown, points: Parameters<typeof series.take>[0]) => {
        series.take(points, NOON_NS)
        for (let index = 0; index < points.count; index += 1) {
          const { kind, proto, src, dst, srcPort, dstPort, path } = points.flow(index)
          flows.add([points.node, kind, proto, src, dst, srcPort, dstPort, path].join(' '))
        }
      },
      done: () => undefined,
      failed: () => undefined,
    }
    for (let round = 0; round < 2; round += 1) {
      readInto(observer, windowOf(NOON_NS - minutes * MINUTE, NOON_NS), tailnet)
      const estimate = series.estimate(NOON_NS)
      assert.ok(Math.abs(estimate / flows.size - 1) <= ERROR_MAX, `${estimate} for ${flows.size}`)
    }
  })
}

test('a day later they are forgotten, by the hour', () => {
  const series = createSeries()
  const observer = {
    points: (_: unknown, points: Parameters<typeof series.take>[0]) => series.take(points, NOON_NS),
    done: () => undefined,
    failed: () => undefined,
  }
  readInto(observer, windowOf(NOON_NS - 5n * MINUTE, NOON_NS), createTailnet({ nodes: 12, seed: 4 }))
  const first = series.estimate(NOON_NS)
  assert.ok(first > 20)
  assert.equal(series.estimate(NOON_NS + 24n * HOUR - 1n), first)
  assert.equal(series.estimate(NOON_NS - HOUR), first, 'a clock that is set back forgets nothing')
  assert.equal(series.estimate(NOON_NS + 24n * HOUR), 0)
})

test('an empty line has no series, and no nodes', () => {
  const live = createLive({ clock: createFakeClock(), random: () => 0.5, names: NO_NODE_NAMES })
  assert.equal(live.seriesEstimate(), 0)
  assert.equal(live.nodesReporting(), 0)
})
