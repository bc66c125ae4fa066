/** Rules exported for Grafana: the files, and that they have the numbers of the rows and of the evaluator, asked of a real InfluxDB. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parse } from 'yaml'
import { groupOf } from '../../src/alerts/alert.ts'
import { alertsSchema } from '../../src/alerts/config.ts'
import { createFill } from '../../src/alerts/evaluate/fill.ts'
import { createReadings } from '../../src/alerts/evaluate/readings.ts'
import { CONTACT_POINT_FILE, grafanaExport, RULES_FILE, uidOf } from '../../src/alerts/export/grafana.ts'
import { sourcesOf } from '../../src/alerts/export/rule-source.ts'
import type { Rule } from '../../src/alerts/rules/rule.ts'
import { systemClock } from '../../src/base/clock.ts'
import { openRows } from '../../src/query/open-rows.ts'
import type { RowStore } from '../../src/rollup/rows/row-store.ts'
import { influxSchema } from '../../src/sink/config.ts'
import { partsOfLine } from '../../src/sink/line-protocol/line-parts.ts'
import { startInfluxd } from '../services/influxd.ts'
import { missing } from '../services/servers.ts'
import { createTailnet } from './demo-truth.ts'
import { evaluateRule } from './grafana-chain.ts'
import { type GroupValue, rowsOf, rowValues } from './row-values.ts'
import { rowLines } from './rows.ts'
import { MIN, SEC, T0 } from './world.ts'

const NETWORKS = [
  { cidr: '10.0.0.0/8', name: 'lan', fold: false },
  { cidr: '0.0.0.0/0', name: 'internet', fold: true },
]
const OPTIONS = {
  tailnet: 'default',
  delaySeconds: 0,
  networks: NETWORKS.map(({ name }) => name),
  from: (measurement: string) => `"${measurement}"`,
}
/** Rows are so much behind the present. */
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
  { name: 'src', by: 'src', above: '500kB', window: '30m' },
  { name: 'dst', by: 'dst', above: '500kB', window: '30m', measure: 'rx_bytes' },
  { name: 'exit', by: 'exitNode', above: '100kB', window: '20m' },
  { name: 'subnet', by: 'subnetRouter', above: '100kB', window: '20m' },
  { name: 'kind', by: 'kind', above: '10MB', window: '20m' },
  { name: 'port', by: ['port', 'proto'], above: '1MB', window: '20m', where: { port: [443, 5432, 53] } },
  { name: 'total', by: 'total', above: '10MB', window: '20m' },
  { name: 'packets', measure: 'pkts', above: 2000, window: '20m' },
  { name: 'below', below: '500kB', window: '20m', within: '90m' },
  { name: 'silent', silentFor: '10m', within: '90m' },
  { name: 'silent-pair', silentFor: '10m', within: '90m', by: 'pair', kind: 'virtual' },
  { name: 'relayed', relayShareAbove: 10, window: '30m', atLeast: '100kB' },
  { name: 'ratio', ratioToPreviousAbove: 1.1, previous: 'hour', window: '20m', atLeast: '10kB' },
  { name: 'peers', distinctPeersAbove: 4, window: '10m' },
  { name: 'ports', distinctPortsAbove: 1, window: '10m' },
  { name: 'rejected', rejectedAbove: 1, window: '60m' },
  { name: 'quota', quotaAbove: '5MB', per: 'day' },
  { name: 'owner', by: 'owner', above: '1MB', window: '15m' },
  { name: 'node-port', by: ['node', 'port'], above: '200kB', window: '20m' },
  { name: 'owner-port', by: ['owner', 'port'], above: '500kB', window: '20m', measure: 'rx_bytes' },
  { name: 'node-tcp', above: '1MB', window: '20m', where: { proto: 'tcp', owner: 'tag:*' } },
  { name: 'network', by: 'network', kind: 'subnet', above: '100kB', window: '20m' },
  {
    name: 'networks',
    by: ['network', 'kind'],
    kind: ['subnet', 'exit'],
    above: '100kB',
    window: '20m',
    measure: 'rx_bytes',
  },
  { name: 'to-lan', by: 'port', where: { network: 'l*' }, kind: 'subnet', above: '10kB', window: '60m' },
  { name: 'office', by: 'node', where: { network: 'lan' }, kind: 'subnet', above: '10kB', window: '60m' },
  { name: 'node-network', by: ['node', 'network'], kind: 'subnet', above: '10kB', window: '60m' },
  { name: 'node-dst', by: ['node', 'dst'], where: { dst: ['db-*', 'web-*'] }, above: '10kB', window: '60m' },
  { name: 'quota-port', by: ['node', 'port'], quotaAbove: '5MB', per: 'day' },
  {
    name: 'ratio-port',
    by: ['node', 'port'],
    ratioToPreviousAbove: 1.1,
    previous: 'hour',
    window: '20m',
    atLeast: '1kB',
  },
] as const

test('the rows and the exported rule have the same numbers, and the chain fires for the same groups', {
  skip: await missing('influxd'),
}, async (t) => {
  const server = await startInfluxd(t, { databases: ['flows'] })
  const tailnet = createTailnet({ seed: 11, nodes: 40, oldClients: 0, scan: { nodes: 1, tuples: 20 } })
  const atNs = T0 + 100n * MIN
  // A clock that is late puts records before that; only rows of hours would tell a quota of them.
  const lines = rowLines(tailnet, tailnet.truth(T0, atNs + 30n * SEC), NETWORKS).filter(
    (line) => partsOfLine(line).timestampNs >= T0,
  )
  for (let at = 0; at < lines.length; at += 20_000) {
    const body = lines.slice(at, at + 20_000).join('\n')
    const answer = await fetch(`${server.url}/write?db=flows`, { method: 'POST', body })
    assert.equal(answer.status, 204, await answer.text())
  }
  const rows = rowsOf(lines)
  const influx = { url: server.url, api: 'v1', db: 'flows' } as const
  const retention = { raw: undefined, minutes: undefined, rest: undefined }
  const opened = openRows(
    { influx: influxSchema.parse(influx), retention, storePath: '', tailnet: 'default' },
    { clock: systemClock },
  )
  t.after(() => opened.stop())

  const config = alertsSchema.parse({ rules: RULES })
  const file = parse(grafanaExport(config, OPTIONS).files.get(RULES_FILE) ?? '')
  const evaluated = await evaluatedValues(
    opened.rows,
    config.rules.map(({ rule }) => rule),
    atNs,
  )
  for (const { rule } of config.rules) {
    await t.test(`${rule.name}: the evaluator`, () => {
      const whole = rowValues(rows, rule, atNs, { networks: OPTIONS.networks })
      assert.deepEqual(shownOf(evaluated.get(rule) ?? [], rule), shownOf(whole, rule))
    })
    let compared = 0
    for (const { side } of sourcesOf(rule, OPTIONS.networks)) {
      await t.test(side === undefined ? rule.name : `${rule.name} ${side}`, async (t) => {
        const { data } = file.groups[0].rules.find(({ uid }: { uid: string }) => uid === uidOf(rule, side))
        const chain = await evaluateRule(data, { server, db: 'flows' }, atNs + ROWS_DELAY_NS)
        const { networks } = OPTIONS
        const mine = new Map(
          rowValues(rows, rule, atNs, { networks, side: side ?? (rule.name === 'peers' ? 'src' : undefined) })
            .filter(({ value }) => !Number.isNaN(value))
            .map(({ group, value }) => [JSON.stringify(Object.entries(group).toSorted()), value]),
        )
        const theirs = new Map(chain.values.map(({ labels, value }) => [keyOf(labels, rule), value]))
        // Zero of a group that was not there is no row, unless absence is what the rule is about; neither is too little to compare.
        const isAbsence = rule.form.needs.withinMs !== undefined
        const shown = (some: ReadonlyMap<string, number>) =>
          [...some]
            .filter(([, value]) => !Number.isNaN(value) && (value !== 0 || isAbsence))
            // Rows count entries; that there are any is what matters.
            .map(([key, value]) => [
              key,
              rule.form.needs.sums?.[0] === 'seen' ? Math.min(value, 1) : Number(value.toPrecision(12)),
            ])
            .toSorted()
        assert.deepEqual(shown(theirs), shown(mine), chain.queries.join('\n'))
        compared += theirs.size
        const breaches = [...mine].filter(([, value]) => rule.form.verdict(value, true, false) === 'breach')
        assert.deepEqual(
          chain.firing.map(({ labels }) => keyOf(labels, rule)).toSorted(),
          breaches.map(([key]) => key).toSorted(),
        )
        const [example] = [...mine].toSorted(([, one], [, other]) => other - one)
        t.diagnostic(
          `${mine.size} groups, ${breaches.length} fire; largest ${example?.[1]} in rows, ${theirs.get(example?.[0] ?? '')} there`,
        )
      })
    }
    assert.ok(compared > 0, `there is something to compare for ${rule.name}`)
  }
})

/** What the evaluator of the service compares at this time, by rule, from the rows in the database. */
async function evaluatedValues(
  store: Pick<RowStore, 'rows' | 'summed'>,
  rules: readonly Rule[],
  atNs: bigint,
): Promise<Map<Rule, GroupValue[]>> {
  const limits = { seriesMax: 100_000, latenessNs: 60n * MIN, networks: new Set(OPTIONS.networks) }
  const { views, readings, numbers } = createReadings(rules, limits)
  const fill = createFill({
    ...{ rows: store, views, numbers, signal: AbortSignal.timeout(600_000) },
    isNode: () => false,
    isTold: () => false,
    waiting: () => [],
    seenSinceNs: () => undefined,
  })
  await fill.run(atNs, atNs)
  return new Map(
    readings.map(({ rule, view, valueAt }) => [
      rule,
      [...view.groups.ids()].flatMap((id) => {
        const value = valueAt(id, atNs)
        const { values = [], names = [] } = view.groups.get(id) ?? {}
        const { node_name: _, ...group } = groupOf(rule, values, names)
        return value === undefined ? [] : [{ group, value }]
      }),
    ]),
  )
}

/** Zero of a group that was not there is no number, unless absence is what the rule is about; neither is too little to compare. */
function shownOf(values: readonly GroupValue[], rule: Rule): unknown[] {
  const isAbsence = rule.form.needs.withinMs !== undefined
  return values
    .filter(({ value }) => !Number.isNaN(value) && (value !== 0 || isAbsence))
    .map(({ group, value }) => [JSON.stringify(Object.entries(group).toSorted()), Number(value.toPrecision(12))])
    .toSorted()
}

/** A group by the words of rules, from the tags of the exported query. */
function keyOf(labels: Readonly<Record<string, string>>, { by }: Rule): string {
  const tagOf = (dim: string) => {
    if (dim === 'node') return labels['node'] ?? labels['src'] ?? labels['dst']
    if (dim === 'owner') return labels['owner'] ?? labels['src_owner'] ?? labels['dst_owner']
    if (dim === 'network')
      return by.includes('node')
        ? labels[labels['src'] === undefined ? 'src_name' : 'dst_name']
        : (labels['src_name'] ?? labels['dst_name'])
    return dim === 'src' || dim === 'dst' ? labels[`${dim}_name`] : labels[dim]
  }
  return JSON.stringify(by.map((dim) => [dim, tagOf(dim) ?? '']).toSorted())
}

test('a rule over both sides of an edge becomes two; what InfluxQL cannot say is told', () => {
  const config = alertsSchema.parse({
    rules: [
      { name: 'web', title: 'Web', by: ['node', 'port'], above: '1GB', summary: '{node} on {port}: {group}' },
      { name: 'lan', by: 'network', kind: 'subnet', above: '1GB' },
      { name: 'a', by: ['node', 'port'], kind: 'virtual', silentFor: '1h' },
      { name: 'b', by: 'owner', where: { network: 'lan' }, kind: 'subnet', below: '1GB' },
    ],
  })
  const { files, skipped } = grafanaExport(config, OPTIONS)
  assert.deepEqual(
    skipped.map(({ rule }) => rule),
    ['a', 'b'],
  )
  for (const { reason } of skipped) assert.match(reason, /cannot add up both sides of an edge/)
  const rules = parse(files.get(RULES_FILE) ?? '').groups[0].rules
  assert.deepEqual(
    rules.map(({ title, labels, annotations }: Record<string, Record<string, string>>) => [
      title,
      labels?.['side'],
      annotations?.['summary'],
    ]),
    [
      [
        'Web as client',
        'client',
        '{{ $labels.src_name }} on {{ $labels.port }}: {{ $labels.src_name }} port {{ $labels.port }} as client',
      ],
      [
        'Web as server',
        'server',
        '{{ $labels.dst_name }} on {{ $labels.port }}: {{ $labels.dst_name }} port {{ $labels.port }} as server',
      ],
      [
        'lan as client',
        'client',
        '{{ $labels.src_name }} received {{ humanize $values.C.Value }}B in 15 min (limit 1 GB) as client',
      ],
      [
        'lan as server',
        'server',
        '{{ $labels.dst_name }} received {{ humanize $values.C.Value }}B in 15 min (limit 1 GB) as server',
      ],
    ],
  )
  assert.equal(new Set(rules.map(({ uid }: { uid: string }) => uid)).size, 4)
})

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
      { name: 'c', by: ['owner', 'port'], below: '1GB' },
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
