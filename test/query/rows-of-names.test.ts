/** A tailnet that was renamed is one tailnet to the rollup. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { rowsOfNames } from '../../src/query/rows-of-names.ts'
import type { RawPoint } from '../../src/rollup/points/raw-points.ts'
import { createMemoryDatabase } from '../rollup/memory-database.ts'

const MINUTE = 60_000_000_000n
const HOUR = 60n * MINUTE
const { signal } = new AbortController()

function point(startNs: bigint, node: string): RawPoint {
  const counters = { txBytes: 1n, txPkts: 1n, rxBytes: 1n, rxPkts: 1n, flows: 1 }
  return {
    ...{
      node,
      kind: 'virtual',
      proto: 'tcp',
      src: '100.64.0.1',
      dst: '100.64.0.2',
      srcPort: -1,
      dstPort: 22,
      path: 'none',
    },
    ...{ startNs, ...counters },
  }
}

const line = (name: string, timeNs: bigint, node: string) =>
  `tailnet_node,kind=virtual,node=${node},node_name=n,os=none,owner=none,role=peer,tailnet=${name} tx_bytes=1i,rx_bytes=1i,tx_pkts=1i,rx_pkts=1i,flows=1i,peers=1i,derp_tx_bytes=0i,derp_rx_bytes=0i ${timeNs}\n`

test('each name is asked for the times in which it was in force, and both for what holds the change', async () => {
  const stores = { old: createMemoryDatabase(), new: createMemoryDatabase() }
  const changeNs = 10n * HOUR + 30n * MINUTE
  const namesIn = (fromNs: bigint, toNs: bigint) => [
    ...(fromNs < changeNs ? ['old'] : []),
    ...(toNs > changeNs ? ['new'] : []),
  ]
  const rows = rowsOfNames(namesIn, (name) => stores[name as 'old' | 'new'])
  for (const [name, timeNs, node] of [
    ['old', changeNs - MINUTE, 'nA'],
    ['new', changeNs, 'nB'],
  ] as const) {
    stores[name].putRaw(point(timeNs, node))
    const bytes = new TextEncoder().encode(
      line(name, timeNs, node) + line(name, 10n * HOUR, node).replace('node,', 'node_1h,'),
    )
    await stores[name].write({ bytes, lineCount: 2, target: 'minutes' })
  }
  const read: string[] = []
  for (const minuteNs of [changeNs - MINUTE, changeNs])
    await rows.rawPoints(minuteNs, ({ node }) => read.push(node), signal)
  assert.deepEqual(read, ['nA', 'nB'])
  const nodes = (table: ReadonlyMap<string, unknown>) => [...table.keys()].map((key) => /node=(\w+)/.exec(key)?.[1])
  assert.deepEqual(nodes(await rows.standing('tailnet_node', changeNs, signal)), ['nB'])
  assert.deepEqual(nodes(await rows.standing('tailnet_node_1h', 10n * HOUR, signal)), ['nA', 'nB'])
  assert.deepEqual(nodes(await rows.summed('tailnet_node', 10n * HOUR, 11n * HOUR, signal)), ['nA', 'nB'])
  const reporting = await rows.reporting(10n * HOUR, 11n * HOUR, signal)
  assert.deepEqual(
    [...reporting.values()].map((one) => [...one]),
    [['nA'], ['nB']],
  )
  const users = await rows.usersOf(['100.64.0.1'], 10n * HOUR, 11n * HOUR, signal)
  assert.deepEqual([...(users.get('100.64.0.1') ?? [])], ['nA', 'nB'])
})
