/** Rules exported for Grafana: the files, and that they say the same as the evaluator, asked of a real InfluxDB. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parse } from 'yaml'
import { alertsSchema } from '../../src/alerts/config.ts'
import { CONTACT_POINT_FILE, grafanaExport, RULES_FILE, uidOf } from '../../src/alerts/export/grafana.ts'
import { createLineWriter } from '../../src/sink/line-protocol/line-writer.ts'
import { createMessageReader } from '../../src/source/parse/message-reader.ts'
import { createFakeClock } from '../helpers/fake-clock.ts'
import { flattenerOf } from '../helpers/flattener.ts'
import { startInfluxd } from '../services/influxd.ts'
import { missing } from '../services/servers.ts'
import { createTailnet } from './demo-truth.ts'
import { evaluateRule } from './grafana-chain.ts'
import { createWorld, MIN, SEC, T0 } from './world.ts'

const OPTIONS = { tailnet: 'default', delaySeconds: 0 }
/** Thresholds in the middle of what the demo does, so that some groups are above and some below. */
const RULES = [
  { name: 'node', above: '1MB', window: '15m' },
  {
    name: 'rate',
    above: '200kbps',
    recoverBelow: '100kbps',
    window: '10m',
    where: { node: ['web-*', 'db-*', '!db-2'] },
  },
  { name: 'pair', by: 'pair', above: '500kB', window: '30m' },
  { name: 'exit', by: 'exitNode', above: '100kB', window: '20m' },
  { name: 'subnet', by: 'subnetRouter', above: '100kB', window: '20m' },
  { name: 'kind', by: 'kind', above: '10MB', window: '20m' },
  { name: 'port', by: ['port', 'proto'], above: '1MB', window: '20m', where: { port: [443, 5432, 53] } },
  { name: 'total', by: 'total', above: '10MB', window: '20m' },
  { name: 'packets', measure: 'pkts', above: 2000, window: '20m' },
  { name: 'below', below: '500kB', window: '20m', within: '90m' },
  { name: 'silent', silentFor: '10m', within: '90m' },
  { name: 'relayed', relayShareAbove: 10, window: '30m', atLeast: '100kB' },
  { name: 'ratio', ratioToPreviousAbove: 1.1, previous: 'hour', window: '20m', atLeast: '10kB' },
  { name: 'peers', distinctPeersAbove: 4, window: '10m' },
  { name: 'ports', distinctPortsAbove: 1, window: '10m' },
  { name: 'rejected', rejectedAbove: 1, window: '60m' },
  { name: 'quota', quotaAbove: '5MB', per: 'day' },
]

test('the evaluator and the exported rule have the same numbers, and the chain fires for the same groups', {
  skip: await missing('influxd'),
}, async (t) => {
  const server = await startInfluxd(t, { databases: ['flows'] })
  const tailnet = createTailnet({ seed: 11, nodes: 40, oldClients: 0, scan: { nodes: 1, tuples: 20 } })
  const endNs = T0 + 100n * MIN + 30n * SEC
  const atNs = T0 + 100n * MIN
  const messages = [...tailnet.messages(T0, endNs)]
  await write(messages, `${server.url}/write?db=flows`)

  const world = await createWorld({ settings: { rules: RULES, lateness: '48h' }, clock: createFakeClock(endNs) })
  t.after(() => world.close())
  world.read({ fromNs: T0, toNs: endNs }, messages)
  await world.judge()

  const config = alertsSchema.parse({ rules: RULES })
  const file = parse(grafanaExport(config, OPTIONS).files.get(RULES_FILE) ?? '')
  for (const { name, ...settings } of RULES) {
    await t.test(name, async (t) => {
      const rule = file.groups[0].rules.find(({ uid }: { uid: string }) => uid === uidOf({ name }))
      const chain = await evaluateRule(rule.data, { server, db: 'flows' }, atNs)
      const mine = new Map(
        world.alerts
          .values(name)
          .filter(({ value }) => !Number.isNaN(value))
          .map(({ group, value }) => [keyOf(group), value]),
      )
      const theirs = new Map(chain.values.map(({ labels, value }) => [keyOf(labels), value]))
      const form = Object.keys(settings).join()
      // Zero of a group that was not there is no row, unless absence is what the rule is about; neither is too little to compare.
      const shown = (some: ReadonlyMap<string, number>) =>
        [...some].filter(([, value]) => value !== 0 || /below|silent/.test(form)).toSorted()
      const round = ([key, value]: [string, number]) => [key, Number(value.toPrecision(12))]
      assert.deepEqual(shown(mine).map(round), shown(theirs).map(round), chain.queries.join('\n'))
      assert.ok(theirs.size > 0, 'there is something to compare')
      const { threshold } = (config.rules.find((one) => one.rule.name === name)?.rule.form ?? {}) as {
        threshold?: number
      }
      const breaches = [...mine].filter(([, value]) =>
        /below|silent/.test(form) ? value < (threshold ?? 1) : value > (threshold ?? 0),
      )
      assert.deepEqual(
        chain.firing.map(({ labels }) => keyOf(labels)).toSorted(),
        breaches.map(([key]) => key).toSorted(),
      )
      const [example] = [...mine].toSorted(([, one], [, other]) => other - one)
      t.diagnostic(
        `${mine.size} groups, ${breaches.length} fire; largest ${example?.[1]} here, ${theirs.get(example?.[0] ?? '')} there`,
      )
    })
  }
})

/** Both tell groups by the same words in the end. */
function keyOf(labels: Readonly<Record<string, string>>): string {
  return JSON.stringify(
    Object.entries(labels)
      .map(([name, value]) => [name.replace(/^(src|dst)_name$/, '$1'), value])
      .toSorted(),
  )
}

async function write(messages: readonly string[], url: string): Promise<void> {
  const reader = createMessageReader({ answerBytesMax: 2 ** 40, messageBytesMax: 1 << 24, depthMax: 16 })
  const flattener = flattenerOf()
  const writer = createLineWriter({ batchLinesMax: 20_000, batchBytesMax: 4_000_000 })
  const send = async (bytes: Uint8Array) => {
    const answer = await fetch(url, { method: 'POST', body: Buffer.from(bytes) })
    assert.equal(answer.status, 204)
  }
  for (const message of reader.push(Buffer.from(`{"logs":[${messages.join()}]}`))) {
    if (message.entryCount === 0) continue
    writer.append(flattener.flatten(message))
    for (let batch = writer.full(); batch; batch = writer.full()) {
      await send(batch.bytes)
      writer.release(batch)
    }
  }
  reader.end()
  for (const batch of writer.rest()) await send(batch.bytes)
}

test('files: stable uids, deleted rules, the right states, no policies; what only the service can judge is told', () => {
  const config = alertsSchema.parse({
    rules: [
      {
        name: 'a',
        title: 'Costs $5',
        above: '1GB',
        for: '5m',
        labels: { team: 'net$' },
        summary: '{{ {node} sent {value} of {threshold}',
      },
      { name: 'b', newFor: '7d' },
      { name: 'c', by: 'owner', above: '1GB' },
      { name: 'd', quotaAbove: '1TB', per: 'month' },
    ],
    notify: [{ webhook: 'https://example.com/hook', token: 'secret' }],
    grafana: { receiver: 'net', contactPoint: true, folder: 'My folder' },
  })
  const first = grafanaExport(config, { ...OPTIONS, delaySeconds: 120 })
  assert.deepEqual(
    first.skipped.map(({ rule }) => rule),
    ['b', 'c', 'd'],
  )
  const text = first.files.get(RULES_FILE) ?? ''
  const file = parse(text)
  assert.equal(file.policies, undefined)
  const [group] = file.groups
  assert.deepEqual([group.name, group.folder, group.interval, group.orgId], ['tailflux-traffic', 'My folder', '1m', 1])
  const [rule] = group.rules
  assert.equal(rule.uid, 'tailflux-86f7e437faa5')
  assert.equal(rule.title, 'Costs $$5')
  assert.deepEqual([rule.noDataState, rule.execErrState, rule.for, rule.isPaused], ['OK', 'Error', '5m', false])
  assert.deepEqual(rule.labels, { team: 'net$$', service: 'tailflux', rule: 'a', severity: 'warning' })
  assert.equal(
    rule.annotations.summary,
    '{{ "{{" }} {{ $labels.node_name }} sent {{ humanize $values.C.Value }}B of 1 GB',
  )
  assert.deepEqual(rule.notification_settings, { receiver: 'net' })
  assert.deepEqual(rule.data[0].relativeTimeRange, { from: 1020, to: 120 })
  assert.ok(!first.files.get(CONTACT_POINT_FILE)?.includes('secret'))
  assert.deepEqual(
    grafanaExport(config, { ...OPTIONS, delaySeconds: 120 }, text).files,
    first.files,
    'again is the same',
  )

  const fewer = alertsSchema.parse({ rules: [{ name: 'z', above: '1GB' }] })
  const second = grafanaExport(fewer, OPTIONS, text).files.get(RULES_FILE) ?? ''
  assert.deepEqual(parse(second).deleteRules, [{ orgId: 1, uid: 'tailflux-86f7e437faa5' }])
  // It stays deleted, until it comes back.
  assert.deepEqual(parse(grafanaExport(fewer, OPTIONS, second).files.get(RULES_FILE) ?? '').deleteRules, [
    { orgId: 1, uid: 'tailflux-86f7e437faa5' },
  ])
  assert.deepEqual(parse(grafanaExport(config, OPTIONS, second).files.get(RULES_FILE) ?? '').deleteRules, [
    { orgId: 1, uid: uidOf({ name: 'z' }) },
  ])
})
