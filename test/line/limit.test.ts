/** One node scans more addresses than a real InfluxDB 1.6.7 takes values of one tag (max-values-per-tag), beside honest ones. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createHostileNode, HOSTILE_ID, withHostileNode } from '../../tools/hostile-hour/hostile-node.ts'
import { createStored } from '../../tools/hostile-hour/hostile-stored.ts'
import { eventually } from '../helpers/eventually.ts'
import { startInfluxd } from '../services/influxd.ts'
import { NOON } from '../simulator/ranges.ts'
import { createTailnet } from '../simulator/tailnet.ts'
import { LAG_NS, originOf, startWorld } from './world.ts'

const MINUTE_NS = 60_000_000_000n
/** By the end of this scan the limit is reached seven times over. */
const SCAN_NS = 12n * MINUTE_NS
const ADDRESSES = 14_000
const VALUES_MAX = 2_000

test('a scan beyond max-values-per-tag: the others are stored all the time, one sentence, a few named gaps, and everything arrives when it is raised', async (t) => {
  const limit = (values: number) => ({ data: { 'max-values-per-tag': values } })
  const database = await startInfluxd(t, { databases: ['flows'], settings: limit(VALUES_MAX) })
  const honest = createTailnet({ nodes: 12 })
  const hostile = createHostileNode(honest, {
    attacks: ['scan'],
    fromNs: NOON,
    toNs: NOON + SCAN_NS,
    scanAddresses: ADDRESSES,
    scanShare: 1,
    manyEntries: 0,
    largeBytes: 0,
  })
  const { service, api, clock } = await startWorld(t, {
    served: withHostileNode(honest, hostile),
    startNs: NOON,
    speed: 60,
  })
  const { service: running } = service({
    'influx.url': database.url,
    'influx.api': 'v1',
    'influx.db': 'flows',
    'poll.lookback': '5m',
    'poll.interval': '30s',
  })
  const url = await running.start()
  const place = { url: database.url, db: 'flows' }
  const reported: string[] = []
  running.health.onChange(() => {
    const sink = running.health.state().components.find(({ component }) => component === 'sink')
    const said = `${sink?.status} ${sink?.code ?? ''}`
    if (said !== reported.at(-1)) reported.push(said)
  })
  const passed = async (minutes: bigint) => {
    await eventually(`minute ${minutes}`, () => clock.now() > NOON + minutes * MINUTE_NS)
  }

  await passed(6n)
  const stored = createStored(honest, hostile, originOf(api))
  let due = 0
  for (const minute of [6n, 12n, 18n]) {
    await passed(minute)
    const dueNs = clock.now() - LAG_NS - 2n * MINUTE_NS
    const look = async () => (await stored.compare(place, dueNs, clock.now, 'honest')).honest
    let seen = await look()
    // A busy machine takes longer for a window, and who reads a point while it is written may see half of it. The limit stands all the time.
    const odd = () => seen.missing.length - seen.unseen.size + seen.foreign.length + seen.wrong.length
    const lookAgain = async () => {
      if (odd() > 0) seen = await look()
      return odd() === 0
    }
    await eventually(() => `the points of the others: ${JSON.stringify(seen.missing.slice(0, 3))}`, lookAgain, 1_000)
    // The database itself takes no value that is new, whoever it is from.
    assert.deepEqual([seen.missing.length - seen.unseen.size, seen.foreign.length, seen.wrong.length], [0, 0, 0])
    assert.ok(
      seen.due > due && seen.unseen.size < seen.due / 10,
      `${seen.unseen.size} of ${seen.due} are beyond the limit`,
    )
    due = seen.due
  }
  const answer = await fetch(`${url}/health`)
  const { components } = (await answer.json()) as {
    components: { component: string; status: string; code: string; text: string }[]
  }
  const sink = components.find(({ component }) => component === 'sink')
  assert.deepEqual([answer.status, sink?.status, sink?.code], [503, 'error', 'db_limit'])
  assert.match(sink?.text ?? '', new RegExp(`max-values-per-tag.*${HOSTILE_ID}.*retried every ten minutes`))
  const changes = reported.slice(reported.indexOf('error db_limit'))
  assert.deepEqual(changes, ['error db_limit'], 'steady')
  const { gaps, database: breaker } = running.pipeline.status()
  assert.ok(gaps.length > 0 && gaps.length <= 4, `${gaps.length} gaps`)
  assert.deepEqual(new Set(gaps.map(({ reason }) => reason)), new Set(['db_limit']))
  assert.equal(breaker.state, 'closed')
  const refused = (await stored.compare(place, NOON + SCAN_NS, clock.now)).hostile

  await database.kill('SIGTERM')
  database.configure(limit(0))
  await database.start()
  const raisedNs = clock.now()
  await eventually('all gaps to close', () => running.pipeline.status().gaps.length === 0)
  const minutes = Number((clock.now() - raisedNs) / 1_000_000_000n) / 60
  assert.ok(minutes < 15, `after ${minutes} minutes`)
  const toNs = BigInt(running.pipeline.status().watermarkNs ?? 0)
  assert.ok(toNs > NOON + SCAN_NS)
  const all = await stored.compare(place, toNs, clock.now)
  for (const { missing, foreign, wrong } of [all.honest, all.hostile])
    assert.deepEqual([missing.length, foreign.length, wrong.length], [0, 0, 0])
  assert.notEqual(running.health.state().components.find(({ component }) => component === 'sink')?.code, 'db_limit')
  t.diagnostic(
    `${all.honest.due} honest points; of ${all.hostile.due} of the scan ${refused.missing.length} were refused, in ${gaps.length} gaps, and there ${minutes.toFixed(1)} minutes after the limit was raised; health: ${reported.join(', ')}; ${sink?.text}`,
  )
})
