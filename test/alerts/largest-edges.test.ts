/** The largest edges behind an alert: asked once per window, on both kinds of store; and a database that does not answer holds up a notification for a while only. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { alertsSchema } from '../../src/alerts/config.ts'
import { createDispatcher, type NotifiableAlert } from '../../src/alerts/notify/dispatcher.ts'
import { createLargestEdges, type Firing, type LargestEdges } from '../../src/alerts/notify/largest-edges.ts'
import type { Notification, Notifier } from '../../src/alerts/notify/notifier.ts'
import type { Rule } from '../../src/alerts/rules/rule.ts'
import { CollectorError } from '../../src/base/errors.ts'
import { getOrInsert } from '../../src/base/maps.ts'
import type { Endpoint } from '../../src/rollup/rows/endpoints.ts'
import type { EdgeRow } from '../../src/rollup/rows/row.ts'
import type { RowStore } from '../../src/rollup/rows/row-store.ts'
import { edgeTable } from '../../src/rollup/rows/row-table.ts'
import { partsOfLine } from '../../src/sink/line-protocol/line-parts.ts'
import { createFakeClock, NOON_NS } from '../helpers/fake-clock.ts'
import { silentLog } from '../helpers/silent.ts'
import { missing } from '../services/servers.ts'
import { createTailnet } from './demo-truth.ts'
import { rowLines } from './rows.ts'
import { createStored } from './stored.ts'
import { MIN } from './world.ts'

const signal = AbortSignal.timeout(600_000)
const MB = 1_000_000n

function ruleOf(given: object): Rule {
  return alertsSchema.parse({ rules: [{ name: 'rule', ...given }] }).rules[0]!.rule
}

function firingOf(rule: Rule, values: readonly string[]): Firing {
  return { fingerprint: JSON.stringify([rule.identity, values]), firedNs: NOON_NS, about: { rule, values } }
}

async function find(edges: LargestEdges, firings: readonly Firing[]): Promise<(string | undefined)[]> {
  await edges.find(firings, signal)
  return firings.map(({ fingerprint, firedNs }) => edges.textOf(fingerprint, firedNs))
}

function node(name: string, owner = 'none'): Endpoint {
  return { id: `n${name}CNTRL`, name, owner, isNode: true }
}
const [A, B, C] = [node('a', 'tag:web'), node('b', 'ann@example.com'), node('c', 'tag:web')]
const OFFICE: Endpoint = { id: '10.1.2.3', name: 'office', owner: 'none', isNode: false }

function edge(src: Endpoint, dst: Endpoint, txBytes: bigint, rxBytes: bigint, rest: Partial<EdgeRow> = {}): EdgeRow {
  const common = { kind: 'virtual', proto: 'tcp', port: '443', path: 'none', flows: 1n, reporters: 2 } as const
  return { ...common, src, dst, txBytes, rxBytes, txPkts: txBytes / 1000n, rxPkts: rxBytes / 1000n, ...rest }
}
const EDGES = [
  edge(A, B, 1n * MB, 20n * MB),
  edge(A, B, 9n * MB, 0n, { port: '22' }),
  edge(C, A, 3n * MB, 2n * MB, { port: '5432' }),
  edge(B, OFFICE, 4n * MB, 5n * MB, { kind: 'subnet' }),
  edge(C, B, 500n, 500n, { port: 'none', proto: 'icmp' }),
  edge(A, B, 7n * MB, 1n * MB, { kind: 'physical', path: 'derp-fra', port: 'none', proto: 'none' }),
  edge(A, C, 90n * MB, 1n * MB, { kind: 'physical', path: 'direct', port: 'none', proto: 'none' }),
]

/** Counts what is asked. */
function storeOf(edges: readonly EdgeRow[]): Pick<RowStore, 'summed'> & { readonly asked: string[] } {
  const asked: string[] = []
  return {
    asked,
    async summed(measurement, fromNs, toNs) {
      asked.push(`${measurement} ${(toNs - fromNs) / MIN}m`)
      return edgeTable('default', edges)
    },
  }
}

test('the three largest edges of the group, by what the rule measures', async () => {
  const cases: [given: object, values: readonly string[], text: string | undefined][] = [
    // What it sent itself, on whichever side it is.
    [{ above: '1MB' }, [A.id], 'a to b tcp 22 9 MB, c to a tcp 5432 2 MB, a to b tcp 443 1 MB'],
    [{ above: '1MB', measure: 'rx_bytes' }, [A.id], 'a to b tcp 443 20 MB, c to a tcp 5432 3 MB'],
    [{ above: '1MB', by: 'pair' }, [A.id, B.id], 'a to b tcp 443 21 MB, a to b tcp 22 9 MB'],
    [{ above: '1MB', by: 'total' }, [], 'a to b tcp 443 21 MB, a to b tcp 22 9 MB, c to a tcp 5432 5 MB'],
    [{ above: '1MB', by: ['node', 'port'] }, [B.id, '443'], 'a to b tcp 443 20 MB'],
    [{ above: '1MB', by: 'owner' }, ['tag:web'], 'a to b tcp 22 9 MB, c to a tcp 5432 5 MB, a to b tcp 443 1 MB'],
    [{ above: '1MB', by: 'network', kind: 'subnet' }, ['office'], 'b to office tcp 443 4 MB'],
    [{ above: '1MB', where: { node: 'c', port: 5432 } }, [C.id], 'c to a tcp 5432 3 MB'],
    [{ above: 100, measure: 'tx_pkts', where: { dst: 'a' } }, [C.id], 'c to a tcp 5432 3,000 packets'],
    [{ relayShareAbove: 10 }, [A.id], 'a to b by derp-fra 8 MB'],
    [{ newFor: '1d' }, [B.id, C.id], 'c to b icmp 1 kB'],
    [{ above: '1MB', by: 'total', kind: 'subnet', where: { network: 'off*' } }, [], 'b to office tcp 443 9 MB'],
    [{ above: '1MB', by: 'total', kind: 'subnet', where: { network: '!off*' } }, [], ''],
    // Nothing is behind too little; and rows do not say which router it was.
    [{ below: '1MB' }, [A.id], undefined],
    [{ silentFor: '10m' }, [A.id], undefined],
    [{ above: '1MB', by: 'exitNode' }, [A.id], undefined],
    [{ above: '1MB' }, ['nxCNTRL'], ''],
  ]
  for (const [given, values, text] of cases) {
    const edges = createLargestEdges({
      store: storeOf(EDGES),
      isNode: () => false,
      networks: new Set(['office']),
      log: silentLog,
    })
    const [found] = await find(edges, [firingOf(ruleOf(given), values)])
    assert.equal(found, text, JSON.stringify(given))
  }
})

test('one query for all alerts with the same window; long windows are read from hours and days', async () => {
  const store = storeOf(EDGES)
  const edges = createLargestEdges({ store, isNode: () => false, networks: new Set(['office']), log: silentLog })
  const firing = (given: object, values: readonly string[]) => firingOf(ruleOf(given), values)
  const quarter = [A, B, C].map(({ id }) => firing({ above: '1kB' }, [id]))
  const pair = firing({ above: '1kB', by: 'pair' }, [A.id, B.id])
  const found = await Promise.all([find(edges, [...quarter, pair]), find(edges, [...quarter, pair])])
  assert.deepEqual(store.asked, ['tailnet_edge 15m'])
  assert.deepEqual(found[0], found[1])
  assert.equal(found[0].filter((text) => text !== '').length, 4)
  await find(edges, [...quarter, pair])
  assert.equal(store.asked.length, 1, 'what is known is not asked again')
  store.asked.length = 0
  await find(
    edges,
    [
      { above: '1kB', window: '24h' },
      { quotaAbove: '1kB', per: 'day' },
      { quotaAbove: '1kB', per: 'month' },
    ].map((one) => firing(one, ['x'])),
  )
  // T0 is noon of the second day of a month.
  assert.deepEqual(store.asked, ['tailnet_edge_1h 1440m', 'tailnet_edge_1h 720m', 'tailnet_edge_1h 2160m'])
})

test('InfluxDB, VictoriaMetrics and the embedded store name the same edges, which are those of the rows', {
  skip: await missing('influxd', 'victoria-metrics'),
}, async (t) => {
  const tailnet = createTailnet({ seed: 3, nodes: 30, oldClients: 0 })
  const lines = rowLines(tailnet, tailnet.truth(NOON_NS - 30n * MIN, NOON_NS))
  const { influx, victoria, embedded } = await createStored(t, lines)
  const rule = ruleOf({ above: '1kB', window: '15m' })
  const sent = new Map<string, Map<string, number>>()
  for (const line of lines) {
    const { key, tags, fields, timestampNs } = partsOfLine(line)
    if (!key.startsWith('tailnet_edge,') || tags['kind'] !== 'virtual' || timestampNs < NOON_NS - 15n * MIN) continue
    const name = `${tags['src_name']} to ${tags['dst_name']} ${tags['port'] === 'none' ? tags['proto'] : `${tags['proto']} ${tags['port']}`}`
    for (const [side, field] of [
      ['src', 'tx_bytes'],
      ['dst', 'rx_bytes'],
    ] as const) {
      const own = getOrInsert(sent, tags[side] ?? '', () => new Map())
      own.set(name, (own.get(name) ?? 0) + Number(fields[field]))
    }
  }
  const ids = [...sent.keys()].filter((id) => id.endsWith('CNTRL'))
  const firings = ids.map((id) => firingOf(rule, [id]))
  const options = { isNode: () => false, networks: new Set(['office']), log: silentLog }
  const [one, ...others] = await Promise.all(
    [influx, victoria, embedded].map((store) => find(createLargestEdges({ store, ...options }), firings)),
  )
  for (const other of others) assert.deepEqual(one, other)
  for (const [index, id] of ids.entries()) {
    const largest = [...sent.get(id)!].filter(([, bytes]) => bytes > 0).toSorted(([, a], [, b]) => b - a)
    const names = (one?.[index] ?? '').split(', ').map((part) => part.replace(/ [\d.]+ \w+$/, ''))
    assert.deepEqual(
      names.filter(Boolean),
      largest.slice(0, 3).map(([name]) => name),
    )
  }
  assert.ok(ids.length > 10, String(ids.length))
})

/** Alerts that a test moves, and notifiers that write down what they get. */
function createWorld(
  store: Pick<RowStore, 'summed'>,
  repeats: readonly (number | undefined)[] = [undefined, undefined],
) {
  const clock = createFakeClock()
  const rule = ruleOf({ above: '1MB' })
  const sent: (Notification & { to: string })[] = []
  const alerts: (Omit<NotifiableAlert, 'firedNs' | 'resolvedNs'> & { firedNs: bigint; resolvedNs: bigint })[] = []
  const dispatcher = createDispatcher({
    notifiers: repeats.map((repeatMs, index): Notifier => {
      const id = `notifier ${index}`
      return {
        ...{ id, kind: 'webhook', label: id, repeatMs, portions: (all) => [[...all]] },
        send: async (portion) => void sent.push(...portion.map((one) => ({ ...one, to: id }))),
      }
    }),
    alerts: () => alerts.map((one) => ({ ...one })),
    edges: createLargestEdges({
      store,
      isNode: () => false,
      networks: new Set(['office']),
      log: silentLog,
      patienceMs: 50,
    }),
    isCatchingUp: () => false,
    onNotified: () => undefined,
    clock,
    log: silentLog,
    metrics: { notified: () => undefined },
  })
  return {
    ...{ clock, sent, alerts, dispatcher },
    fire(endpoint: Endpoint) {
      const texts = {
        labels: { alertname: 'rule', node: endpoint.id },
        summary: endpoint.name,
        title: 'rule',
        annotations: {},
      }
      const alert = {
        fingerprint: endpoint.id,
        firedNs: NOON_NS,
        resolvedNs: 0n,
        notified: new Map(),
        about: { rule, values: [endpoint.id] },
      }
      alerts.push({ ...alert, textsOf: () => texts })
    },
  }
}

test('a notification has its edges, the repeated one too; that it is over has none; the database is asked once', async (t) => {
  const store = storeOf(EDGES)
  const { clock, sent, alerts, dispatcher, fire } = createWorld(store, [undefined, 60_000])
  t.after(() => dispatcher.stop())
  fire(A)
  fire(C)
  dispatcher.start()
  await clock.advance(1_000)
  const texts = () => sent.map(({ to, status, summary, edges }) => `${to} ${status} ${summary}: ${edges}`)
  const [a, c] = [
    'a: a to b tcp 22 9 MB, c to a tcp 5432 2 MB, a to b tcp 443 1 MB',
    'c: c to a tcp 5432 3 MB, c to b icmp 500 B',
  ]
  const first = ['notifier 0', 'notifier 1'].flatMap((to) => [`${to} firing ${a}`, `${to} firing ${c}`])
  assert.deepEqual(texts().toSorted(), first)
  await clock.advance(65_000)
  assert.deepEqual(texts().slice(4), [`notifier 1 firing ${a}`, `notifier 1 firing ${c}`])
  alerts[0]!.resolvedNs = NOON_NS + MIN
  dispatcher.wake()
  await clock.advance(1_000)
  assert.deepEqual(texts().slice(6).toSorted(), [
    'notifier 0 resolved a: undefined',
    'notifier 1 resolved a: undefined',
  ])
  assert.deepEqual(store.asked, ['tailnet_edge 15m'])
})

test('a database that fails or never answers: notified without edges, once, and nothing else waits', async (t) => {
  const failing: [string, RowStore['summed']][] = [
    ['fails', () => Promise.reject(new CollectorError('no', { stage: 'sink', code: 'db_timeout', reaction: 'retry' }))],
    ['breaks', () => Promise.reject(new TypeError('no'))],
    ['never answers', () => new Promise(() => undefined)],
  ]
  for (const [name, summed] of failing) {
    await t.test(name, async () => {
      const { clock, sent, dispatcher, fire } = createWorld({ summed })
      fire(A)
      dispatcher.start()
      while (sent.length < 2) await clock.advance(0)
      await clock.advance(30_000)
      await dispatcher.stop()
      assert.deepEqual(
        sent.map(({ to, status, edges }) => [to, status, edges]),
        [
          ['notifier 0', 'firing', ''],
          ['notifier 1', 'firing', ''],
        ],
      )
    })
  }
})
