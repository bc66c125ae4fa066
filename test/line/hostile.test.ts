import assert from 'node:assert/strict'
import { test } from 'node:test'
import { json, startScriptedApi } from '../helpers/scripted-api.ts'
import { readPoints } from '../services/influx-read.ts'
import { startInfluxd } from '../services/influxd.ts'
import type { TailnetOptions } from '../simulator/options.ts'
import { NOON } from '../simulator/ranges.ts'
import { assertTruth, storedIn } from './truth-in.ts'
import { HOUR_NS, LAG_NS, originOf, startWorld } from './world.ts'

const INFLUX = { 'influx.api': 'v1', 'influx.db': 'flows' }

const TAILNETS: readonly (readonly [string, TailnetOptions, string])[] = [
  ['told by the messages', { nodes: 100, hostile: true, bigCounters: true }, 'service'],
  ['told by the devices API', { nodes: 100, hostile: true, nodeInfo: false, exitDestinations: true }, 'full'],
]

for (const [what, options, ports] of TAILNETS) {
  test(`hostile names, users, tags, addresses and protocols, ${what}, come back from InfluxDB whole`, async (t) => {
    const database = await startInfluxd(t, { databases: ['flows'] })
    const { tailnet, service, api } = await startWorld(t, { tailnet: options })
    const { service: running, catchUp } = service({
      ...INFLUX,
      'influx.url': database.url,
      'poll.lookback': '3m',
      ports,
    })
    await catchUp()
    const { quarantined, rejected } = running.pipeline.status().totals
    assert.deepEqual({ quarantined, rejected }, { quarantined: 0, rejected: 0 })
    const truth = [...tailnet.truth(originOf(api), NOON + HOUR_NS - LAG_NS, { ports: ports as 'service' | 'full' })]
    const points = await assertTruth(storedIn({ url: database.url, db: 'flows' }), truth)
    const values = new Set(truth.flatMap(({ tags }) => Object.values(tags)))
    const odd = [...values].filter((value) => /[^\w.:-]/.test(value))
    assert.ok(odd.length >= 2, `only ${odd.length} odd values of tags`)
    t.diagnostic(`${points} points, ${odd.length} odd values of tags`)
  })
}

/** A text on the wire, and the tag value that it must be in the database. */
const TEXTS: readonly (readonly [wire: string, stored: string])[] = [
  ['a,b=c d', 'a,b=c d'],
  [' ', ' '],
  ['==,,  ', '==,,  '],
  ['say "it" and \'that\'', 'say "it" and \'that\''],
  ['two\nlines\r\n', 'two_lines__'],
  ['trailing\\', 'trailing_'],
  ['\\', '_'],
  ['a\\,b\\ c\\=d', 'a_,b_ c_=d'],
  ['tab\tnul\u0000del\u007f', 'tab_nul_del_'],
  ['line\u2028separators\u2029\u0085', 'line_separators__'],
  ['größe 机器 \u202eright-to-left', 'größe 机器 \u202eright-to-left'],
  ['🦊', '🦊'],
  ['x'.repeat(10_240), 'x'.repeat(256)],
  [`${'a'.repeat(255)}🦊`, 'a'.repeat(255)],
  [`${'ü'.repeat(10_240)}`, 'ü'.repeat(128)],
  ["'; DROP DATABASE flows; --", "'; DROP DATABASE flows; --"],
  ['# comment', '# comment'],
  ['tailnet_flow,node=x tx_bytes=1i 1', 'tailnet_flow,node=x tx_bytes=1i 1'],
  ['none', 'none'],
]

test('any text in any place is one line, and comes back as one tag value', async (t) => {
  const database = await startInfluxd(t, { databases: ['flows'] })
  const { service, clock } = await startWorld(t)
  const api = await startScriptedApi()
  t.after(() => api.close())
  const date = { date: new Date(Number(clock.now() / 1_000_000n)).toUTCString() }
  const logged = '2026-11-02T12:30:00Z'
  const messages = TEXTS.map(([text], index) => ({
    logged,
    nodeId: text,
    start: `2026-11-02T12:29:00.${String(index).padStart(3, '0')}Z`,
    end: logged,
    // Names are no tags of raw points, whatever they are.
    srcNode: { nodeId: text, name: text, addresses: ['100.64.0.1'], user: text, tags: [text] },
    dstNodes: [{ nodeId: 'n2', name: text, addresses: ['100.64.0.2'], user: text, tags: [text] }],
    virtualTraffic: [{ proto: text, src: text, dst: text, txBytes: index + 1 }],
    subnetTraffic: [{ proto: 6, src: '100.64.0.1:50000', dst: '100.64.0.2:443', rxBytes: index + 1 }],
  }))
  api.on('devices', json(200, { devices: [] }, date))
  // Whatever the window, the same; what lies outside of it belongs to no window.
  api.on('logging/network', json(200, { logs: messages }, date))
  const { service: running, catchUp } = service({
    ...INFLUX,
    'influx.url': database.url,
    'tailscale.apiUrl': api.url,
    'poll.latePasses': [],
  })
  await catchUp()
  const { quarantined, rejected } = running.pipeline.status().totals
  assert.deepEqual({ quarantined, rejected }, { quarantined: 0, rejected: 0 })
  const points = await readPoints({ url: database.url, db: 'flows' }, 'tailnet_flow')
  const byTime = points.toSorted((one, other) => (one.timestampNs < other.timestampNs ? -1 : 1))
  assert.equal(points.length, TEXTS.length * 2)
  for (const [index, [wire, stored]] of TEXTS.entries()) {
    const [first, second] = byTime.slice(index * 2, index * 2 + 2)
    const [virtual, subnet] = first?.tags['kind'] === 'virtual' ? [first, second] : [second, first]
    const note = JSON.stringify(wire.slice(0, 40))
    // A protocol is lower case.
    const { node, src, dst, proto } = virtual!.tags
    assert.deepEqual(
      { node, src, dst, proto },
      { node: stored, src: stored, dst: stored, proto: stored.toLowerCase() },
      note,
    )
    assert.equal(subnet!.tags['node'], stored, note)
    assert.equal(virtual!.fields['tx_bytes'], BigInt(index + 1))
    assert.equal(subnet!.fields['rx_bytes'], BigInt(index + 1))
  }
})
