/** Rules exported for Grafana: the files, and that they say the same as the evaluator, asked of a real InfluxDB. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parse } from 'yaml'
import { alertsSchema } from '../../src/alerts/config.ts'
import { CONTACT_POINT_FILE, grafanaExport, RULES_FILE, uidOf } from '../../src/alerts/export/grafana.ts'
import { sourceOf } from '../../src/alerts/export/rule-source.ts'
import type { Rule } from '../../src/alerts/rules/rule.ts'
import { partsOfLine } from '../../src/sink/line-protocol/line-parts.ts'
import { createLineWriter } from '../../src/sink/line-protocol/line-writer.ts'
import { deviceOf } from '../../src/source/devices.ts'
import { createMessageReader } from '../../src/source/parse/message-reader.ts'
import { createFakeClock } from '../helpers/fake-clock.ts'
import { flattenerOf } from '../helpers/flattener.ts'
import { startInfluxd } from '../services/influxd.ts'
import { missing } from '../services/servers.ts'
import { namesOf } from '../simulator/names.ts'
import { createTailnet } from './demo-truth.ts'
import { evaluateRule } from './grafana-chain.ts'
import { rowLines } from './rows.ts'
import { createWorld, MIN, SEC, T0 } from './world.ts'

const OPTIONS = { tailnet: 'default', delaySeconds: 0, from: (measurement: string) => `"${measurement}"` }
/** Rows are so much behind raw points. */
const ROWS_DELAY_NS = 120n * SEC
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
  { name: 'owner', by: 'owner', above: '1MB', window: '15m' },
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

  const truth = [...tailnet.truth(T0, endNs)]
  const { nodeOf } = namesOf(tailnet)
  const hosts = new Set(
    truth
      .filter(({ tags: { kind, src = '' } }) => kind === 'subnet' && /^100\./.test(src) && nodeOf(src) === undefined)
      .map(({ tags }) => tags['node'] ?? ''),
  )
  const rows = rowLines(tailnet, truth)
  await post(`${server.url}/write?db=flows`, Buffer.from(rows.join('\n')))
  const parts = rows.map((line) => partsOfLine(line))

  const world = await createWorld({
    settings: { rules: RULES, lateness: '48h' },
    clock: createFakeClock(endNs),
    names: namesOf(tailnet),
  })
  t.after(() => world.close())
  world.alerts.devices([...tailnet.devices(T0)].flatMap((text) => deviceOf(JSON.parse(text), 0) ?? []))
  world.read({ fromNs: T0, toNs: endNs }, messages)
  await world.judge()

  /** Of nodes: what the evaluator has. Of ends: each byte once, from the rows themselves. */
  function expectedOf(rule: Rule): readonly { group: Record<string, string>; value: number }[] {
    if (!['pair', 'peers', 'ports', 'port'].includes(rule.name)) return world.alerts.values(rule.name)
    const endNs = atNs
    const groups = new Map<string, { group: Record<string, string>; value: number; items: Set<string> }>()
    for (const { key, tags, fields, timestampNs } of parts) {
      const isWanted = key.startsWith('tailnet_edge,') && tags['kind'] === 'virtual' && (fields['flows'] ?? 0n) > 0n
      if (!isWanted || timestampNs < endNs - rule.windowNs || timestampNs >= endNs) continue
      const { src_name: src = '', dst_name: dst = '', port = '', proto = '' } = tags
      if (rule.where.port && !rule.where.port.includes(Number(port))) continue
      const group: Record<string, string> =
        rule.name === 'port' ? { port, proto } : rule.name === 'peers' ? { src } : { src, dst }
      const one = groups.getOrInsertComputed(JSON.stringify(group), () => ({ group, value: 0, items: new Set() }))
      one.value += Number((fields['tx_bytes'] ?? 0n) + (fields['rx_bytes'] ?? 0n))
      const item = rule.name === 'peers' ? dst : port
      if (item !== 'none') one.items.add(item)
    }
    return [...groups.values()].map(({ group, value, items }) => ({
      group,
      value: rule.name === 'pair' || rule.name === 'port' ? value : items.size,
    }))
  }

  const config = alertsSchema.parse({ rules: RULES })
  const file = parse(grafanaExport(config, OPTIONS).files.get(RULES_FILE) ?? '')
  for (const { name, ...settings } of RULES) {
    await t.test(name, async (t) => {
      const rule = file.groups[0].rules.find(({ uid }: { uid: string }) => uid === uidOf({ name }))
      const one = config.rules.find((other) => other.rule.name === name)!.rule
      const { measurement } = sourceOf(one)
      const behindNs = measurement === 'tailnet_flow' ? 0n : ROWS_DELAY_NS
      const chain = await evaluateRule(rule.data, { server, db: 'flows' }, atNs + behindNs)
      const isBare = measurement === 'tailnet_flow'
      const mine = new Map(
        expectedOf(one)
          .filter(({ value }) => !Number.isNaN(value))
          .map(({ group, value }) => [keyOf(group, isBare), value]),
      )
      // In rows, hosts of Tailscale Services are routers too: they report about their clients under an address of the service.
      const isCompared = ({ labels }: { labels: Readonly<Record<string, string>> }) =>
        name !== 'subnet' || mine.has(keyOf(labels, isBare)) || !hosts.has(labels['node'] ?? '')
      const theirs = new Map(chain.values.filter(isCompared).map(({ labels, value }) => [keyOf(labels, isBare), value]))
      const form = Object.keys(settings).join()
      // Zero of a group that was not there is no row, unless absence is what the rule is about; neither is too little to compare.
      const shown = (some: ReadonlyMap<string, number>) =>
        [...some].filter(([, value]) => value !== 0 || /below|silent/.test(form)).toSorted()
      // Rows count entries where the service counts messages; that there are any is what matters.
      const round = ([key, value]: [string, number]) => [
        key,
        /silent/.test(form) ? Math.min(value, 1) : Number(value.toPrecision(12)),
      ]
      assert.deepEqual(shown(mine).map(round), shown(theirs).map(round), chain.queries.join('\n'))
      assert.ok(theirs.size > 0, 'there is something to compare')
      const { threshold } = (config.rules.find((one) => one.rule.name === name)?.rule.form ?? {}) as {
        threshold?: number
      }
      const breaches = [...mine].filter(([, value]) =>
        /below|silent/.test(form) ? value < (threshold ?? 1) : value > (threshold ?? 0),
      )
      assert.deepEqual(
        chain.firing
          .filter(isCompared)
          .map(({ labels }) => keyOf(labels, isBare))
          .toSorted(),
        breaches.map(([key]) => key).toSorted(),
      )
      const [example] = [...mine].toSorted(([, one], [, other]) => other - one)
      t.diagnostic(
        `${mine.size} groups, ${breaches.length} fire; largest ${example?.[1]} here, ${theirs.get(example?.[0] ?? '')} there`,
      )
    })
  }
})

/** Both tell groups by the same words in the end; `isBare`: without the names of nodes. */
function keyOf(labels: Readonly<Record<string, string>>, isBare: boolean): string {
  const isEdge = labels['src_name'] !== undefined || labels['dst_name'] !== undefined
  return JSON.stringify(
    Object.entries(labels)
      .filter(([name]) => !(isBare && name === 'node_name') && !(isEdge && /^(src|dst)$/.test(name)))
      .map(([name, value]) => [name.replace(/^(src|dst)_name$/, '$1'), value])
      .toSorted(),
  )
}

async function post(url: string, body: Uint8Array): Promise<void> {
  const answer = await fetch(url, { method: 'POST', body: Buffer.from(body) })
  assert.equal(answer.status, 204, await answer.text())
}

async function write(messages: readonly string[], url: string): Promise<void> {
  const reader = createMessageReader({ answerBytesMax: 2 ** 40, messageBytesMax: 1 << 24, depthMax: 16 })
  const flattener = flattenerOf()
  const writer = createLineWriter({ batchLinesMax: 20_000, batchBytesMax: 4_000_000 })
  const send = (bytes: Uint8Array) => post(url, bytes)
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
      { name: 'c', by: ['owner', 'port'], above: '1GB' },
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
  assert.deepEqual(rule.data[0].relativeTimeRange, { from: 1141, to: 241 })
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
