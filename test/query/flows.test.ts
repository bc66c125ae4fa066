/** Flows of a range: which rows are read, which flows are found, each byte once. On both kinds of store: row-store-contract.ts has the rest. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CollectorError } from '../../src/base/errors.ts'
import { parsePort, parseProto, parseWhen } from '../../src/query/flow-texts.ts'
import { answerOf, chooseTier, type Edge, type FlowsRequest, findFlows, type RawFlow } from '../../src/query/flows.ts'
import { createLargest } from '../../src/query/largest.ts'
import { conditionsOf, isWanted } from '../../src/query/row-filter.ts'
import type { StoredRows, Tier, TierRecord } from '../../src/query/stored-rows.ts'

const DAY = 86_400_000_000_000n
const HOUR = DAY / 24n
const MINUTE = HOUR / 60n
const NOW = 20_000n * DAY + 13n * HOUR + 7n * MINUTE
const signal = new AbortController().signal

const record = (tier: Tier, oldestNs: bigint): TierRecord => ({
  tier,
  oldestNs,
  rangeMaxNs: { minutes: 2n * DAY, hours: 30n * DAY, days: 3_650n * DAY }[tier],
})

test('the tier suits the range and reaches back to its beginning', () => {
  const kept = [record('days', NOW - 400n * DAY), record('hours', NOW - 400n * DAY), record('minutes', NOW - 30n * DAY)]
  const tier = (from: bigint, to: bigint, records = kept) => chooseTier(records, { fromNs: NOW - from, toNs: NOW - to })
  assert.equal(tier(15n * MINUTE, 0n), 'minutes')
  assert.equal(tier(2n * DAY, 0n), 'minutes')
  assert.equal(tier(2n * DAY + 1n, 0n), 'hours')
  assert.equal(tier(30n * DAY, 0n), 'hours')
  assert.equal(tier(31n * DAY, 0n), 'days')
  // A day of three months ago: minutes have expired.
  assert.equal(tier(90n * DAY, 89n * DAY), 'hours')
  // Before everything that is kept: what reaches back furthest.
  assert.equal(tier(500n * DAY, 499n * DAY), 'hours')
  assert.equal(tier(4_000n * DAY, 0n), 'days')
  // Nothing is known of tiers.
  assert.equal(tier(90n * DAY, 89n * DAY, []), 'minutes')
  assert.equal(tier(31n * DAY, 0n, []), 'days')
})

test('a service that began minutes ago is read by minutes, although hours and days begin earlier', () => {
  const begun = NOW - 5n * MINUTE
  const records = [
    record('minutes', begun),
    record('hours', begun - (begun % HOUR)),
    record('days', begun - (begun % DAY)),
  ]
  assert.equal(chooseTier(records, { fromNs: NOW - 15n * MINUTE, toNs: NOW }), 'minutes')
})

const nothing: StoredRows = {
  canQuery: async () => true,
  reads: async () => 'all',
  rawPoints: async () => undefined,
  standing: async () => new Map(),
  rows: async () => undefined,
  kinds: async () => undefined,
  summed: async () => new Map(),
  reporting: async () => new Map(),
  usersOf: async () => new Map(),
  minutes: async () => [],
  devices: async () => [],
  newestDevices: async () => [],
  rawRange: async () => undefined,
  tiers: async () => [],
}
const clock = { now: () => NOW }
const request = (more: Partial<FlowsRequest> = {}): FlowsRequest => ({
  fromNs: NOW - 15n * MINUTE,
  toNs: NOW,
  limit: 20,
  isRaw: false,
  ...more,
})

test('the range is widened to whole minutes, hours or days, and that is what the answer says', async () => {
  const asked: unknown[] = []
  const store: StoredRows = {
    ...nothing,
    async summed(measurement, fromNs, toNs) {
      asked.push([measurement, fromNs, toNs])
      return new Map()
    },
  }
  const found = await findFlows({ store, clock }, request({ fromNs: NOW - 15n * MINUTE + 1n, toNs: NOW - 1n }), signal)
  assert.deepEqual(found, { tier: 'minutes', fromNs: NOW - 15n * MINUTE, toNs: NOW, flows: [] })
  await findFlows({ store, clock }, request({ fromNs: NOW - 60n * DAY }), signal)
  await findFlows({ store, clock }, request({ fromNs: NOW - 3n * DAY }), signal)
  const day = 20_000n * DAY
  assert.deepEqual(asked, [
    ['tailnet_edge', NOW - 15n * MINUTE, NOW],
    ['tailnet_edge_1d', day - 60n * DAY, day + DAY],
    ['tailnet_edge_1h', day - 3n * DAY + 13n * HOUR, day + 14n * HOUR],
  ])
})

test('a database that does not answer in time is an error with the fix; a signal keeps its reason', async (t) => {
  const timeout = t.mock.method(AbortSignal, 'timeout', () => AbortSignal.abort(new Error('over')))
  const store: StoredRows = {
    ...nothing,
    async summed(_measurement, _fromNs, _toNs, until) {
      until.throwIfAborted()
      return new Map()
    },
  }
  await assert.rejects(findFlows({ store, clock }, request(), signal), (error) => {
    assert.ok(error instanceof CollectorError)
    assert.equal(error.code, 'db_timeout')
    assert.match(
      error.message,
      /did not answer within 60 s\. Request a shorter range, or for one node, kind or port\.$/,
    )
    return true
  })
  timeout.mock.restore()
  const reason = new Error('stopped')
  await assert.rejects(findFlows({ store, clock }, request(), AbortSignal.abort(reason)), reason)
})

test('more endpoints than fit into a query are looked for in its answer', async () => {
  const devices = Array.from({ length: 300 }, (_, i) => ({
    node: `n${i}`,
    name: `web.host-${i}`,
    owner: 'ann',
    os: '',
    addresses: [`100.64.0.${i}`],
    source: 'api' as const,
    loggedNs: 0n,
    from: 0,
  }))
  const asked: number[] = []
  const key = (src: string) =>
    `dst=x,dst_name=x,dst_owner=none,kind=virtual,path=none,port=none,proto=tcp,src=${src},src_name=b,src_owner=none,tailnet=t`
  const store: StoredRows = {
    ...nothing,
    newestDevices: async () => devices,
    async summed(_measurement, _fromNs, _toNs, _signal, filter = []) {
      asked.push(...filter.map((clause) => clause.length))
      return new Map([
        [key('n299'), [1n, 1n, 1n, 1n, 1n, 1n]],
        [key('n300'), [1n, 1n, 1n, 1n, 1n, 1n]],
      ])
    },
    async rawRange(_fromNs, _toNs, filter, each) {
      asked.push(...filter.map((clause) => clause.length))
      const common = {
        kind: 'virtual',
        proto: 'tcp',
        dst: 'x',
        srcPort: -1,
        dstPort: 22,
        path: 'none',
        startNs: 1n,
      } as const
      const counters = { txBytes: 1n, txPkts: 1n, rxBytes: 1n, rxPkts: 1n, flows: 1 }
      for (const src of ['100.64.0.299', '100.64.1.1']) each({ ...common, ...counters, node: 'y', src })
    },
  }
  const { flows } = await findFlows({ store, clock }, request({ node: 'web' }), signal)
  assert.deepEqual(
    (flows as readonly Edge[]).map(({ src }) => src),
    ['n299'],
  )
  const raw = await findFlows({ store, clock }, request({ owner: 'ann', isRaw: true }), signal)
  assert.deepEqual(
    (raw.flows as readonly RawFlow[]).map(({ src, dstPort }) => [src, dstPort]),
    [['100.64.0.299', '22']],
  )
  // Kinds alone.
  assert.deepEqual(asked, [3, 3])
})

test('nothing found: of a device that is there, or nobody is called so', async () => {
  const device = {
    ...{ node: 'n299', name: 'web.example.ts.net', owner: 'ann', os: '', addresses: ['100.64.0.1'] },
    ...{ source: 'api' as const, loggedNs: 0n, from: 0 },
  }
  const empty: StoredRows = { ...nothing, newestDevices: async () => [device] }
  const find = (more: Partial<FlowsRequest>) =>
    findFlows({ store: empty, clock, networks: ['office'] }, request(more), signal)
  for (const node of ['n299', 'web', '10.9.9.9', 'fd7a::9', 'office', 'none', 'other'])
    assert.deepEqual((await find({ node })).flows, [], node)
  assert.deepEqual((await find({ owner: 'ann' })).flows, [])
  for (const more of [
    { node: 'nobody' },
    { owner: 'nobody' },
    { node: 'nobody', isRaw: true },
    { node: 'n299', owner: 'nobody' },
  ])
    await assert.rejects(find(more), (error) => {
      assert.ok(error instanceof CollectorError)
      assert.equal(error.code, 'config_invalid')
      assert.match(
        error.message,
        /^No device (?:is called|belongs to) "nobody"\. Take a name as it is shown without this filter\.$/,
      )
      return true
    })
  // Without devices nothing is known of names.
  const strange = { ...empty, newestDevices: async () => [] }
  assert.deepEqual((await findFlows({ store: strange, clock }, request({ node: 'nobody' }), signal)).flows, [])
})

test('the largest of many, always the same', () => {
  const flow = (name: string, txBytes: bigint, rxBytes: bigint) => ({ name, txBytes, rxBytes, txPkts: 0n, rxPkts: 0n })
  const all = [...Array(5_000).keys()].map((i) => flow(`f${i}`, BigInt(i * 7919) % 1_000n, 3n))
  const largest = createLargest<(typeof all)[number]>(3, ({ name }) => name)
  for (const one of [...all, flow('b', 5_000n, 0n), flow('a', 2_000n, 3_000n), flow('c', 2_000n, 3_000n)])
    largest.add(one)
  assert.deepEqual(
    largest.take().map(({ name }) => name),
    ['b', 'a', 'c'],
  )
})

test('filters: a clause without matches holds for nothing', () => {
  assert.deepEqual(conditionsOf([[], [{ tag: 'a', value: "it's" }]]), [`"tailnet" = ''`, `("a" = 'it\\'s')`])
  assert.deepEqual(conditionsOf([[{ tag: 'o', value: 'tag:a.b/c', isListed: true }]]), [
    `("o" =~ /(^|,)tag:a\\.b\\/c(,|$)/)`,
  ])
  assert.equal(isWanted([[]], new Map()), false)
  assert.equal(isWanted([], new Map()), true)
})

test('answers are text, so that no counter is rounded', () => {
  const counters = { txBytes: (1n << 63n) - 1n, rxBytes: 0n, txPkts: 1n, rxPkts: 2n }
  const ends = { src: 'a', dst: 'b', srcName: 'a', dstName: 'b', srcOwner: 'none', dstOwner: 'none' }
  const edge: Edge = { kind: 'virtual', proto: 'tcp', port: '22', path: 'none', ...ends, ...counters }
  const answer = answerOf('t', { tier: 'days', fromNs: 20_000n * DAY, toNs: 20_001n * DAY, flows: [edge] })
  assert.deepEqual(answer, {
    tailnet: 't',
    tier: 'days',
    from: '2024-10-04T00:00:00.000Z',
    to: '2024-10-05T00:00:00.000Z',
    flows: [{ ...edge, txBytes: '9223372036854775807', rxBytes: '0', txPkts: '1', rxPkts: '2' }],
  })
})

test('what a person writes', () => {
  assert.equal(parseWhen('now', 5n), 5n)
  assert.equal(parseWhen('1ms', 5_000_000n), 4_000_000n)
  assert.equal(parseWhen('1970-01-02', 0n), DAY)
  assert.equal(parseWhen('1970-01-01T00:00:01Z', 0n), 1_000_000_000n)
  assert.equal(parseWhen('yesterday', 0n), undefined)
  assert.deepEqual(['443', '0443', '0', '65535', 'none', '65536', '-1', 'http', ''].map(parsePort), [
    '443',
    '443',
    '0',
    '65535',
    'none',
    undefined,
    undefined,
    undefined,
    undefined,
  ])
  assert.deepEqual(['tcp', 'TCP', '6', '132', '200', 'none', 'icmpv6', 'tpc', '256'].map(parseProto), [
    'tcp',
    'tcp',
    'tcp',
    'sctp',
    '200',
    'none',
    'ipv6-icmp',
    undefined,
    undefined,
  ])
})
