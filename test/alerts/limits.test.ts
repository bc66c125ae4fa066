/** Memory for what is in flight is small and bounded, and whatever its bounds are, sums and alerts are the same: windows that do not fit, numbers
 * that are forgotten in the middle of one, windows that fail after they did not fit. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { FeedLimits } from '../../src/alerts/feed.ts'
import { createTailnet } from './demo-truth.ts'
import { createWorld, MIN, T0 } from './world.ts'

const RULES = [
  { name: 'nodes', above: '1MB', window: '5m' },
  { name: 'owners', by: 'owner', above: '10MB', window: '5m' },
  { name: 'pairs', by: 'pair', above: '1MB', window: '5m' },
  { name: 'ports', by: ['port', 'proto', 'kind'], kind: 'virtual', above: '1MB', window: '5m' },
  { name: 'web', by: 'node', above: '100kB', window: '3m', where: { port: [443, 80], src: ['!files-*'] } },
  { name: 'exits', by: 'exitNode', above: '1kB', window: '5m' },
  { name: 'peers', distinctPeersAbove: 3, window: '5m' },
  { name: 'scan', distinctPortsAbove: 1, window: '5m' },
  { name: 'silent', silentFor: '2m', within: '1h' },
  { name: 'new', newFor: '1h', window: '5m' },
]
const MINUTES = 12

const tailnet = createTailnet({ seed: 11, nodes: 30, oldClients: 0.3, scan: { nodes: 1, tuples: 30 } })

/** Everything that rules have at the end. */
async function outcome(limits: FeedLimits, restarts: boolean): Promise<unknown> {
  const world = await createWorld({ settings: { rules: RULES }, limits, originNs: T0 - 120n * MIN })
  try {
    // Two hours in which nobody talked, so that what talks now is new.
    world.read({ fromNs: T0 - 120n * MIN, toNs: T0 }, [])
    for (let minute = 0n; minute < MINUTES; minute += 2n) {
      const windows = [minute, minute + 1n].map((from) => ({ fromNs: T0 + from * MIN, toNs: T0 + (from + 1n) * MIN }))
      const texts = windows.map(({ fromNs, toNs }) => [...tailnet.messages(fromNs, toNs)])
      // Two at once, the later one fails first and is done before the earlier one.
      const open = windows.map((window, index) => world.open(window, texts[index] ?? []))
      open[1]?.fail()
      const again = windows[1] && world.open(windows[1], texts[1] ?? [])
      again?.done()
      open[0]?.done()
      await world.judge()
      if (restarts && minute % 4n === 0n) await world.restart('stopped')
    }
    await world.judge()
    const values = RULES.filter(({ name }) => name !== 'new').map(({ name }) => [
      name,
      world.alerts
        .values(name)
        .map(({ group, value }) => `${JSON.stringify(group)} ${value}`)
        .toSorted(),
    ])
    const marks = world.alerts
      .marks()
      .map((mark) => `${mark.rule} ${mark.key} ${mark.state} ${mark.firedNs}-${mark.resolvedNs}`)
    return { values, marks: marks.toSorted() }
  } finally {
    await world.close()
  }
}

const roomy = await outcome({}, false)

test('there is something to compare', () => {
  const { values, marks } = roomy as { values: [string, string[]][]; marks: string[] }
  for (const [name, some] of values) assert.ok(some.length > 0, name)
  for (const { name } of RULES.filter(({ name }) => name !== 'silent'))
    assert.ok(
      marks.some((mark) => mark.startsWith(`${name} `)),
      name,
    )
})

for (const [name, limits] of [
  ['windows larger than the room for them', { rowsMax: 5 }],
  ['room for a few messages', { rowsMax: 200 }],
  ['more ends than are known by number', { endsMax: 20 }],
  ['both', { rowsMax: 40, endsMax: 25 }],
] as const) {
  test(`${name}: sums, items and alerts are the same`, async () => {
    assert.deepEqual(await outcome(limits, false), roomy)
  })
}

test('read back from the state file they are the same', async () => {
  assert.deepEqual(await outcome({}, true), roomy)
  assert.deepEqual(await outcome({ rowsMax: 40, endsMax: 25 }, true), roomy)
})
