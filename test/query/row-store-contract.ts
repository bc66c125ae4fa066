/** What every row store must do, whatever database it reads. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { isDeepStrictEqual } from 'node:util'
import { type FlowsRequest, findFlows } from '../../src/query/flows.ts'
import type { RowFilter } from '../../src/query/row-filter.ts'
import type { StoredRows } from '../../src/query/stored-rows.ts'
import type { RawPoint } from '../../src/rollup/points/raw-points.ts'
import type { Endpoint } from '../../src/rollup/rows/endpoints.ts'
import type { EdgeRow, NodeRow } from '../../src/rollup/rows/row.ts'
import type { RowStore } from '../../src/rollup/rows/row-store.ts'
import { addTo, EDGE, edgeTable, linesOf, NODE, nodeTable, type RowTable } from '../../src/rollup/rows/row-table.ts'
import { edgeOf, nodeOf } from '../../src/rollup/rows/stored-row.ts'
import { escapeTag } from '../../src/sink/line-protocol/escape.ts'

export interface World {
  readonly store: StoredRows
  /** Lines of line protocol. */
  write(lines: string): Promise<void>
}

export const TAILNET = 'ex=ample, net'
/** Begin of a day. */
export const DAY_NS = 1_795_910_400_000_000_000n
const MINUTE = 60_000_000_000n
const HOUR = 60n * MINUTE
const INTEGER_MAX = (1n << 63n) - 1n
const signal = AbortSignal.timeout(600_000)

/** Names as a hostile node may choose them; control characters and backslashes are replaced before they become tags. */
const HOSTILE = [
  'none',
  'a b',
  'a,b=c',
  '"quoted"',
  "o'brien",
  '"values":[["x"]]',
  ']}',
  'ü 漢字 😀',
  'name,tags,time',
  '1',
  'null',
  '-- "',
  '#',
]

const point = (more: Partial<RawPoint> = {}): RawPoint => ({
  node: 'n1CNTRL',
  kind: 'virtual',
  proto: 'tcp',
  src: '100.64.0.1',
  dst: '100.64.0.2',
  srcPort: -1,
  dstPort: 443,
  path: 'none',
  startNs: DAY_NS,
  txBytes: 1n,
  txPkts: 2n,
  rxBytes: 3n,
  rxPkts: 4n,
  flows: 1,
  ...more,
})

function rawLine(one: RawPoint, tailnet = TAILNET): string {
  const port = (value: number) => (value < 0 ? 'none' : String(value))
  const tags = [
    ['dst', one.dst],
    ['dst_port', port(one.dstPort)],
    ['kind', one.kind],
    ['node', one.node],
    ['path', one.path],
    ['proto', one.proto],
    ['src', one.src],
    ['src_port', port(one.srcPort)],
    ['tailnet', tailnet],
  ].map(([name, value]) => `,${name}=${escapeTag(value!)}`)
  return `tailnet_flow${tags.join('')} tx_bytes=${one.txBytes}i,tx_pkts=${one.txPkts}i,rx_bytes=${one.rxBytes}i,rx_pkts=${one.rxPkts}i,flows=${one.flows}i ${one.startNs}\n`
}

const end = (id: string, name: string, owner: string): Endpoint => ({ id, name, owner, isNode: true })

const edge = (more: Partial<EdgeRow> = {}): EdgeRow => ({
  kind: 'virtual',
  proto: 'tcp',
  port: '443',
  path: 'none',
  src: end('n1CNTRL', 'one', 'ann@example.com'),
  dst: end('n2CNTRL', 'two', 'tag:web,tag:db'),
  txBytes: 10n,
  rxBytes: 20n,
  txPkts: 1n,
  rxPkts: 2n,
  flows: 3n,
  reporters: 2,
  ...more,
})

const nodeRow = (more: Partial<NodeRow> = {}): NodeRow => ({
  node: end('n1CNTRL', 'one', 'ann@example.com'),
  os: 'linux',
  kind: 'virtual',
  role: 'peer',
  txBytes: 1n,
  rxBytes: 2n,
  txPkts: 3n,
  rxPkts: 4n,
  flows: 5n,
  peers: 6,
  derpTxBytes: 7n,
  derpRxBytes: 8n,
  ...more,
})

/** `none` is no node. */
const hostile = (text: string) => edge({ src: { ...end(text, text, text), isNode: text !== 'none' } })

const ZEROS = { txBytes: 0n, rxBytes: 0n, txPkts: 0n, rxPkts: 0n, flows: 0n } as const

const sorted = <T>(all: readonly T[]) =>
  all.map((one) => JSON.stringify(one, (_key, value) => (typeof value === 'bigint' ? `${value}n` : value))).toSorted()
const asObject = (table: RowTable) =>
  Object.fromEntries([...table].toSorted(([one], [other]) => (one < other ? -1 : 1)))

export function rowStoreContract(
  name: string,
  create: (t: TestContext) => Promise<World>,
  options: {
    skip?: string | false
    /** Numbers up to 2^53 by milliseconds, and no texts: VictoriaMetrics. */
    isNumbersOnly?: true
  } = {},
) {
  const { isNumbersOnly = false } = options
  const wide = isNumbersOnly ? (1n << 53n) - 1n : INTEGER_MAX
  const above53 = isNumbersOnly ? (1n << 53n) - 1n : (1n << 53n) + 1n
  const kept = (one: RawPoint): RawPoint =>
    isNumbersOnly ? { ...one, startNs: one.startNs - (one.startNs % 1_000_000n) } : one
  const contract = (title: string, run: (world: World) => Promise<void>) =>
    test(`${name}: ${title}`, { skip: options.skip ?? false }, async (t) => run(await create(t)))

  const ofTexts = (title: string, run: (world: World) => Promise<void>) => {
    if (!isNumbersOnly) contract(title, run)
  }

  contract('nothing stored is nothing found', async ({ store }) => {
    assert.equal(await store.canQuery(signal), !isNumbersOnly)
    assert.equal(await store.reads(signal), isNumbersOnly ? 'numbers' : 'all')
    assert.deepEqual(await rawOf(store, DAY_NS), [])
    assert.equal(await rawCount(store), 0)
    assert.equal((await store.standing('tailnet_edge', DAY_NS, signal)).size, 0)
    assert.equal((await store.summed('tailnet_node_1h', DAY_NS, DAY_NS + HOUR, signal)).size, 0)
    assert.equal((await store.reporting(DAY_NS, DAY_NS + HOUR, signal)).size, 0)
    assert.deepEqual(
      await store.usersOf(['100.64.0.1'], DAY_NS, DAY_NS + HOUR, signal),
      new Map([['100.64.0.1', new Set()]]),
    )
    assert.deepEqual(await store.minutes(DAY_NS, DAY_NS + HOUR, signal), [])
    assert.deepEqual(await store.devices(DAY_NS, DAY_NS + HOUR, signal), [])
    assert.deepEqual(await store.newestDevices(DAY_NS, signal), [])
  })

  contract('raw points of one minute, whatever they hold, and of one tailnet', async ({ store, write }) => {
    const points = [
      ...HOSTILE.map((text, i) => point({ node: text, src: text, dst: text, startNs: DAY_NS + BigInt(i) })),
      point({
        kind: 'physical',
        path: 'derp-2',
        proto: 'none',
        srcPort: 0,
        dstPort: 65_535,
        startNs: DAY_NS + MINUTE - 1n,
      }),
      point({
        txBytes: wide,
        txPkts: wide - 1n,
        rxBytes: above53,
        rxPkts: 0n,
        flows: 70_000,
        startNs: DAY_NS + 7n,
      }),
    ]
    const others = [
      rawLine(point({ startNs: DAY_NS - 1n })),
      rawLine(point({ startNs: DAY_NS + MINUTE })),
      rawLine(point(), 'other'),
      // Version 0.1.0.
      `tailnet_flow,dst=b,dst_name=b,kind=virtual,node=n1CNTRL,node_name=one,path=none,port=443,proto=tcp,src=a,src_name=a,tailnet=${escapeTag(TAILNET)} tx_bytes=1i,tx_pkts=1i,rx_bytes=1i,rx_pkts=1i,flows=1i ${DAY_NS}\n`,
    ]
    await write(points.map((one) => rawLine(one)).join('') + others.join(''))
    assert.deepEqual(sorted(await rawOf(store, DAY_NS)), sorted(points.map(kept)))
    assert.equal(await rawCount(store), points.length)
    assert.equal((await rawOf(store, DAY_NS + MINUTE)).length, 1)
  })

  contract('a minute of many points is whole', async ({ store, write }) => {
    const points = Array.from({ length: 25_001 }, (_, i) =>
      point({
        node: `n${i % 500}CNTRL`,
        src: `100.64.${i >> 8}.${i & 255}`,
        txBytes: BigInt(i),
        startNs: DAY_NS + BigInt(i % 9_000),
      }),
    )
    for (let at = 0; at < points.length; at += 5_000)
      await write(
        points
          .slice(at, at + 5_000)
          .map((one) => rawLine(one))
          .join(''),
      )
    const found = await rawOf(store, DAY_NS)
    assert.equal(found.length, points.length)
    // A difference of so many lines takes minutes to print.
    assert.ok(isDeepStrictEqual(sorted(found), sorted(points.map(kept))))
    assert.equal(await rawCount(store), points.length)
  })

  contract('what `each` throws is what the call rejects with', async ({ store, write }) => {
    await write(rawLine(point()))
    const failure = new RangeError('not taken')
    await assert.rejects(
      store.rawPoints(
        DAY_NS,
        () => {
          throw failure
        },
        signal,
      ),
      failure,
    )
  })

  contract('rows that stand, zeros included, with the keys that they were written with', async ({ store, write }) => {
    const edges = edgeTable(TAILNET, [
      edge(),
      edge({ port: '22', ...ZEROS }),
      edge({ txBytes: wide, rxBytes: above53, port: '1' }),
      ...HOSTILE.map((text) => edge({ src: end(text, text, text), dst: end(`n2${text}`, text, text) })),
    ])
    const nodes = nodeTable(TAILNET, [nodeRow(), nodeRow({ kind: 'exit', role: 'exit', os: 'a b,c=d' })])
    await write(
      linesOf('tailnet_edge', edges, EDGE, DAY_NS) +
        linesOf('tailnet_edge', edgeTable(TAILNET, [edge({ port: '80' })]), EDGE, DAY_NS + MINUTE) +
        linesOf('tailnet_edge', edgeTable('other', [edge()]), EDGE, DAY_NS) +
        linesOf('tailnet_node', nodes, NODE, DAY_NS) +
        linesOf('tailnet_edge_1h', edgeTable(TAILNET, [edge({ port: '81' })]), EDGE, DAY_NS) +
        linesOf('tailnet_node_1d', nodes, NODE, DAY_NS),
    )
    assert.deepEqual(asObject(await store.standing('tailnet_edge', DAY_NS, signal)), asObject(edges))
    assert.deepEqual(asObject(await store.standing('tailnet_node', DAY_NS, signal)), asObject(nodes))
    assert.deepEqual(asObject(await store.standing('tailnet_node_1d', DAY_NS, signal)), asObject(nodes))
    assert.equal((await store.standing('tailnet_edge_1h', DAY_NS, signal)).size, 1)
    assert.equal((await store.standing('tailnet_edge_1d', DAY_NS, signal)).size, 0)
  })

  contract('rows of a range with their times, as they were made, without rows of zeros', async ({ store, write }) => {
    const edges = [edge(), edge({ port: '22', ...ZEROS, reporters: 0 }), ...HOSTILE.map((text) => hostile(text))]
    const nodes = [nodeRow(), nodeRow({ node: end('n3CNTRL', 'a b', 'x,y=z'), role: 'client' })]
    await write(
      [0n, MINUTE, HOUR, -MINUTE]
        .map(
          (after) =>
            linesOf('tailnet_edge', edgeTable(TAILNET, edges), EDGE, DAY_NS + after) +
            linesOf('tailnet_node', nodeTable(TAILNET, nodes), NODE, DAY_NS + after),
        )
        .join(''),
    )
    const times = [DAY_NS, DAY_NS + MINUTE]
    const foundEdges: unknown[] = []
    const foundNodes: unknown[] = []
    const isKnown = (id: string) => HOSTILE.includes(id)
    await store.rows(
      'tailnet_edge',
      DAY_NS,
      DAY_NS + HOUR,
      (timeNs, key, fields) => foundEdges.push({ timeNs, ...edgeOf(key, fields, isKnown) }),
      signal,
    )
    await store.rows(
      'tailnet_node',
      DAY_NS,
      DAY_NS + HOUR,
      (timeNs, key, fields) => foundNodes.push({ timeNs, ...nodeOf(key, fields) }),
      signal,
    )
    const counted = edges.filter(({ txBytes }) => txBytes > 0n)
    assert.deepEqual(sorted(foundEdges), sorted(times.flatMap((timeNs) => counted.map((one) => ({ timeNs, ...one })))))
    assert.deepEqual(sorted(foundNodes), sorted(times.flatMap((timeNs) => nodes.map((one) => ({ timeNs, ...one })))))
  })

  contract('bytes by minute and kind, both directions together, also beyond what an integer holds', async (world) => {
    const kindsOf = async (fromNs: bigint, toNs: bigint) => {
      const found = new Map<string, number>()
      const add = (timeNs: bigint, kind: string, bytes: number) => {
        const key = `${kind} ${timeNs - DAY_NS}`
        found.set(key, (found.get(key) ?? 0) + bytes)
      }
      await world.store.kinds(fromNs, toNs, add, signal)
      return Object.fromEntries([...found].filter(([, bytes]) => bytes > 0))
    }
    const rows = [
      edge({ txBytes: 1_000n, rxBytes: 20n }),
      edge({ port: '22', txBytes: 300n, rxBytes: 0n }),
      edge({ port: '23', ...ZEROS, reporters: 0 }),
      edge({ kind: 'exit', txBytes: 7n, rxBytes: 0n }),
    ]
    await world.write(
      [-MINUTE, 0n, MINUTE, HOUR]
        .map((after) => linesOf('tailnet_edge', edgeTable(TAILNET, rows), EDGE, DAY_NS + after))
        .join('') + linesOf('tailnet_edge', edgeTable('other', rows), EDGE, DAY_NS),
    )
    const expected = { 'virtual 0': 1_320, 'exit 0': 7, [`virtual ${MINUTE}`]: 1_320, [`exit ${MINUTE}`]: 7 }
    assert.deepEqual(await kindsOf(DAY_NS, DAY_NS + HOUR), expected)
    const wides = Array.from({ length: 3 }, (_, i) => edge({ port: `${100 + i}`, txBytes: wide, rxBytes: 0n }))
    await world.write(linesOf('tailnet_edge', edgeTable(TAILNET, wides), EDGE, DAY_NS))
    const { 'virtual 0': sum, ...others } = await kindsOf(DAY_NS, DAY_NS + HOUR)
    assert.ok(Math.abs(sum! / (3 * Number(wide)) - 1) < 1e-9, `${sum}`)
    assert.deepEqual(others, { 'exit 0': 7, [`virtual ${MINUTE}`]: 1_320, [`exit ${MINUTE}`]: 7 })
  })

  contract('sums of a range by series, without rows of zeros', async ({ store, write }) => {
    const minutes = Array.from({ length: 60 }, (_, i) =>
      edgeTable(TAILNET, [
        edge({ txBytes: (1n << 53n) + BigInt(i), reporters: 1 + (i % 2) }),
        edge({ port: '22', txBytes: BigInt(i % 3), ...(i % 3 === 0 ? ZEROS : {}) }),
        edge({ port: '23', ...ZEROS, reporters: 0 }),
        edge({ src: end(HOSTILE[i % HOSTILE.length]!, 'a b', 'x,y=z') }),
      ]),
    )
    const expected: RowTable = new Map()
    for (const rows of minutes) addTo(expected, rows, EDGE)
    await write(minutes.map((rows, i) => linesOf('tailnet_edge', rows, EDGE, DAY_NS + BigInt(i) * MINUTE)).join(''))
    await write(
      linesOf('tailnet_edge', minutes[0]!, EDGE, DAY_NS + HOUR) +
        linesOf('tailnet_edge', minutes[0]!, EDGE, DAY_NS - MINUTE) +
        linesOf('tailnet_edge', edgeTable('other', [edge()]), EDGE, DAY_NS),
    )
    assert.deepEqual(asObject(await store.summed('tailnet_edge', DAY_NS, DAY_NS + HOUR, signal)), asObject(expected))
    assert.equal(expected.size, 2 + HOSTILE.length)
    // A long range is summed by the database.
    addTo(expected, minutes[0]!, EDGE)
    assert.deepEqual(
      asObject(await store.summed('tailnet_edge', DAY_NS, DAY_NS + 24n * HOUR, signal)),
      asObject(expected),
    )
  })

  contract('sums beyond what the database can hold', async ({ store, write }) => {
    const hours = [INTEGER_MAX, INTEGER_MAX, 2n].map((rxBytes) =>
      nodeTable(TAILNET, [nodeRow({ rxBytes, derpTxBytes: rxBytes, peers: Number(rxBytes % 7n) })]),
    )
    await write(hours.map((rows, i) => linesOf('tailnet_node_1h', rows, NODE, DAY_NS + BigInt(i) * HOUR)).join(''))
    const expected: RowTable = new Map()
    for (const rows of hours) addTo(expected, rows, NODE)
    const found = await store.summed('tailnet_node_1h', DAY_NS, DAY_NS + 24n * HOUR, signal)
    assert.deepEqual(asObject(found), asObject(expected))
    assert.equal([...found.values()][0]?.[1], INTEGER_MAX)
    const long = await store.summed('tailnet_node_1h', DAY_NS, DAY_NS + 90n * HOUR, signal)
    assert.deepEqual(asObject(long), asObject(expected))
  })

  contract('who reports, minute by minute', async ({ store, write }) => {
    const row = (id: string, more: Partial<NodeRow> = {}) => nodeRow({ node: end(id, 'x', 'none'), ...more })
    const lines = (at: bigint, rows: readonly NodeRow[]) => linesOf('tailnet_node', nodeTable(TAILNET, rows), NODE, at)
    await write(
      lines(DAY_NS - MINUTE, [row('n0')]) +
        lines(DAY_NS, [row('n1'), row('n1', { kind: 'physical' }), row('n2', { ...ZEROS, derpTxBytes: 0n })]) +
        lines(DAY_NS + MINUTE, [row('n2'), row('n 3,=')]) +
        lines(DAY_NS + 2n * MINUTE, [row('n4')]) +
        linesOf('tailnet_node', nodeTable('other', [row('n9')]), NODE, DAY_NS),
    )
    assert.deepEqual(
      await store.reporting(DAY_NS, DAY_NS + 2n * MINUTE, signal),
      new Map([
        [DAY_NS, new Set(['n1'])],
        [DAY_NS + MINUTE, new Set(['n2', 'n 3,='])],
      ]),
    )
  })

  contract('who used an address as its own', async ({ store, write }) => {
    const at = (i: number) => `100.64.1.${i}`
    await write(
      Array.from({ length: 130 }, (_, i) =>
        rawLine(point({ node: `n${i}`, src: at(i), startNs: DAY_NS + BigInt(i) })),
      ).join('') +
        rawLine(point({ node: 'n200', src: at(5) })) +
        rawLine(point({ node: 'n201', src: at(5), kind: 'physical' })) +
        rawLine(point({ node: 'n202', src: at(6), startNs: DAY_NS + HOUR })) +
        rawLine(point({ node: 'n203', src: at(7), dst: at(8) })) +
        rawLine(point({ node: 'n204', src: at(9) }), 'other'),
    )
    const asked = [...Array.from({ length: 130 }, (_, i) => at(i)), "it's", 'fd7a::1']
    const users = await store.usersOf(asked, DAY_NS, DAY_NS + HOUR, signal)
    const expected = new Map(asked.map((address, i) => [address, new Set(i < 130 ? [`n${i}`] : [])]))
    expected.get(at(5))?.add('n200')
    expected.get(at(7))?.add('n203')
    assert.deepEqual(users, expected)
  })

  contract('how minutes were made, ascending', async ({ store, write }) => {
    const line = (at: bigint, digest: string, gap: boolean, tailnet = TAILNET) =>
      `tailflux_minute,tailnet=${escapeTag(tailnet)} digest="${digest}",points=12i,rows=3i,writer="ab\\"c",gap=${gap},nodes=1i,nodes_silent=0i,edges=1i,edges_both=1i,clock_off=0i ${at}\n`
    await write(
      line(DAY_NS + MINUTE, '00ff', true) +
        line(DAY_NS, 'ffffffffffffffff', false) +
        line(DAY_NS + HOUR, '1', false) +
        line(DAY_NS, '2', true, 'other'),
    )
    const common = { points: 12, rows: 3, writer: isNumbersOnly ? '' : 'ab"c' }
    const digest = (text: string) => (isNumbersOnly ? '' : text)
    assert.deepEqual(await store.minutes(DAY_NS, DAY_NS + HOUR, signal), [
      { startNs: DAY_NS, digest: digest('ffffffffffffffff'), ...common, isGap: false },
      { startNs: DAY_NS + MINUTE, digest: digest('00ff'), ...common, isGap: true },
    ])
  })

  ofTexts('devices of a range, and the newest of each node', async ({ store, write }) => {
    const line = (at: bigint, node: string, name: string, more = {}) => {
      const { owner, addresses } = { owner: 'tag:a,tag:b', addresses: '100.64.0.1 fd7a::1', ...more }
      return `tailnet_device,node=${escapeTag(node)},tailnet=${escapeTag(TAILNET)} name="${name}",owner="${owner}",os="linux",addresses="${addresses}",source="self",logged=${at - 5n}i ${at}\n`
    }
    const version = (at: bigint, node: string, name: string, more = {}) => ({
      node,
      name,
      owner: 'tag:a,tag:b',
      os: 'linux',
      addresses: ['100.64.0.1', 'fd7a::1'],
      source: 'self',
      loggedNs: at - 5n,
      from: Number(at / MINUTE),
      ...more,
    })
    const [old, first, second] = [DAY_NS - 240n * HOUR, DAY_NS, DAY_NS + 2n * MINUTE]
    await write(
      line(old, 'n1', 'older') +
        line(old, 'n2', 'gone, but = known', { owner: '', addresses: '' }) +
        line(first, 'n1', 'one') +
        line(second, 'n1', 'new "name"'.replaceAll('"', '\\"')) +
        line(second, 'n 3', 'three'),
    )
    assert.deepEqual(await store.devices(first, second, signal), [version(first, 'n1', 'one')])
    const later = await store.devices(first, second + 1n, signal)
    assert.deepEqual(
      sorted(later),
      sorted([version(first, 'n1', 'one'), version(second, 'n1', 'new "name"'), version(second, 'n 3', 'three')]),
    )
    const newest = await store.newestDevices(second, signal)
    assert.deepEqual(
      sorted(newest),
      sorted([version(first, 'n1', 'one'), version(old, 'n2', 'gone, but = known', { owner: '', addresses: [] })]),
    )
  })

  contract('rows and raw points that fit a filter', async ({ store, write }) => {
    const rows = edgeTable(TAILNET, [
      edge(),
      edge({ src: end('n3CNTRL', "o'brien", 'tag:a,tag:web.b/c') }),
      edge({ src: end('n4CNTRL', 'four', 'tag:webxb/c'), port: '22' }),
      edge({ kind: 'physical' }),
    ])
    await write(linesOf('tailnet_edge', rows, EDGE, DAY_NS))
    const found = async (filter: RowFilter) => {
      const table = await store.summed('tailnet_edge', DAY_NS, DAY_NS + HOUR, signal, filter)
      const keys: string[] = []
      await store.rows('tailnet_edge', DAY_NS, DAY_NS + HOUR, (_, key) => keys.push(key), signal, filter)
      assert.deepEqual(keys.toSorted(), [...table.keys()].toSorted())
      return [...table.keys()].map((key) => /,port=(\d+),.*,src=(\w+),/.exec(key)?.slice(1).join(' ')).toSorted()
    }
    assert.deepEqual(await found([]), ['22 n4CNTRL', '443 n1CNTRL', '443 n1CNTRL', '443 n3CNTRL'])
    assert.deepEqual(await found([[{ tag: 'src_name', value: "o'brien" }]]), ['443 n3CNTRL'])
    assert.deepEqual(await found([[{ tag: 'src_owner', value: 'tag:web.b/c', isListed: true }]]), ['443 n3CNTRL'])
    assert.deepEqual(
      await found([
        [
          { tag: 'port', value: '22' },
          { tag: 'src', value: 'n1CNTRL' },
        ],
        [{ tag: 'kind', value: 'virtual' }],
      ]),
      ['22 n4CNTRL', '443 n1CNTRL'],
    )
    assert.deepEqual(await found([[]]), [])

    const points = [point(), point({ src: HOSTILE[3]!, startNs: DAY_NS + HOUR }), point({ dstPort: 22 })]
    await write([...points, point({ startNs: DAY_NS + 2n * HOUR })].map((one) => rawLine(one)).join(''))
    const raw = async (filter: RowFilter) => {
      const all: RawPoint[] = []
      await store.rawRange(DAY_NS, DAY_NS + 2n * HOUR, filter, (one) => all.push(one), signal)
      return sorted(all)
    }
    assert.deepEqual(await raw([]), sorted(points))
    assert.deepEqual(await raw([[{ tag: 'src', value: HOSTILE[3]! }]]), sorted([points[1]]))
    assert.deepEqual(
      await raw([[{ tag: 'dst_port', value: '22' }], [{ tag: 'node', value: 'n1CNTRL' }]]),
      sorted([points[2]]),
    )
  })

  ofTexts('what each tier holds, as it was written last', async ({ store, write }) => {
    const line = (tier: string, maxMs: number, oldestMs: number, at: bigint) =>
      `tailflux_tier,tailnet=${escapeTag(TAILNET)},tier=${tier} max_ms=${maxMs}i,oldest_ms=${oldestMs}i,edge="x",node="y" ${at}\n`
    await write(
      line('minutes', 5, 6, DAY_NS - HOUR) +
        line('minutes', 7, 8, DAY_NS - MINUTE) +
        line('minutes', 0, 0, DAY_NS) +
        line('hours', 9, 10, DAY_NS - 200n * HOUR) +
        line('days', 9, 10, DAY_NS - 241n * HOUR) +
        line('weeks', 9, 10, DAY_NS - HOUR),
    )
    assert.deepEqual(
      sorted(await store.tiers(DAY_NS, signal)),
      sorted([
        { tier: 'minutes', rangeMaxNs: 7_000_000n, oldestNs: 8_000_000n },
        { tier: 'hours', rangeMaxNs: 9_000_000n, oldestNs: 10_000_000n },
      ]),
    )
  })

  ofTexts('flows by name, address, id, owner, port and protocol; renamed ones once', async ({ store, write }) => {
    const web = (name: string) => end('n1CNTRL', name, 'tag:web,tag:db')
    const laptop = end('n2CNTRL', 'laptop.example.ts.net', 'ann@example.com')
    const rows = (name: string, txBytes: bigint) =>
      edgeTable(TAILNET, [
        edge({ src: laptop, dst: web(name), txBytes }),
        edge({ src: laptop, dst: web(name), kind: 'physical', path: 'derp-1', port: 'none' }),
        edge({ src: laptop, dst: end('none', 'none', 'none'), kind: 'exit', proto: 'udp', port: '53', txBytes: 5n }),
        edge({
          src: end('n9CNTRL', 'x', 'none'),
          dst: end('192.0.2.1', '192.0.2.1', 'none'),
          kind: 'subnet',
          port: 'none',
          txBytes: 6n,
        }),
      ])
    await write(
      linesOf('tailnet_edge', rows('web.example.ts.net', 100n), EDGE, DAY_NS) +
        linesOf('tailnet_edge', rows('new.example.ts.net', 300n), EDGE, DAY_NS + MINUTE) +
        `tailnet_device,node=n1CNTRL,tailnet=${escapeTag(TAILNET)} name="new.example.ts.net",owner="tag:web,tag:db",os="linux",addresses="100.64.0.2",source="api",logged=1i ${DAY_NS}\n` +
        `tailnet_device,node=n2CNTRL,tailnet=${escapeTag(TAILNET)} name="laptop.example.ts.net",owner="ann@example.com",os="linux",addresses="100.64.0.1 fd7a::1",source="api",logged=1i ${DAY_NS + 3n * MINUTE}\n` +
        rawLine(point({ txBytes: 9n })) +
        rawLine(
          point({
            node: 'n2CNTRL',
            src: '100.64.0.2',
            dst: '100.64.0.1',
            srcPort: 443,
            dstPort: -1,
            txBytes: 8n,
            startNs: DAY_NS + 1n,
          }),
        ) +
        rawLine(point({ node: 'n7CNTRL', src: '100.64.0.7', dst: '100.64.0.8', dstPort: 22, txBytes: 7n })),
    )
    const clock = { now: () => DAY_NS + HOUR }
    const flows = async (more: Partial<FlowsRequest> = {}) => {
      const request = { fromNs: DAY_NS, toNs: DAY_NS + 2n * MINUTE, limit: 100, isRaw: false, ...more }
      const found = await findFlows({ store, clock }, request, signal)
      return found.flows.map(
        (flow) =>
          `${flow.kind} ${flow.src} ${flow.dst} ${'dstName' in flow ? flow.dstName : flow.node} ${flow.txBytes}`,
      )
    }
    const [virtual, exit, subnet, physical] = [
      'virtual n2CNTRL n1CNTRL new.example.ts.net 400',
      'exit n2CNTRL none none 10',
      'subnet n9CNTRL 192.0.2.1 192.0.2.1 12',
      'physical n2CNTRL n1CNTRL new.example.ts.net 20',
    ]
    assert.deepEqual(await flows(), [virtual, subnet, exit])
    assert.deepEqual(await flows({ limit: 1 }), [virtual])
    for (const node of ['n1CNTRL', 'new', 'new.example.ts.net', '100.64.0.2', 'web.example.ts.net'])
      assert.deepEqual(
        await flows({ node }),
        // The name of then was that of some of its rows.
        [node === 'web.example.ts.net' ? 'virtual n2CNTRL n1CNTRL web.example.ts.net 100' : virtual],
        node,
      )
    for (const node of ['laptop', 'fd7a::1', 'n2CNTRL']) assert.deepEqual(await flows({ node }), [virtual, exit], node)
    await assert.rejects(flows({ node: 'lap' }), /^CollectorError: No device is called "lap"/)
    assert.deepEqual(await flows({ owner: 'tag:db' }), [virtual])
    assert.deepEqual(await flows({ owner: 'ann@example.com', port: '53' }), [exit])
    assert.deepEqual(await flows({ proto: 'udp' }), [exit])
    assert.deepEqual(await flows({ port: 'none' }), [subnet])
    assert.deepEqual(await flows({ kind: 'physical' }), [physical])
    assert.deepEqual(await flows({ fromNs: DAY_NS - HOUR, toNs: DAY_NS }), [])

    const raw = (more: Partial<FlowsRequest>) => flows({ isRaw: true, ...more })
    const [mine, mirrored, other] = [
      'virtual 100.64.0.1 100.64.0.2 n1CNTRL 9',
      'virtual 100.64.0.2 100.64.0.1 n2CNTRL 8',
      'virtual 100.64.0.7 100.64.0.8 n7CNTRL 7',
    ]
    assert.deepEqual(await raw({}), [mine, mirrored, other])
    assert.deepEqual(await raw({ node: 'new' }), [mine, mirrored])
    assert.deepEqual(await raw({ node: '100.64.0.8' }), [other])
    assert.deepEqual(await raw({ owner: 'tag:web' }), [mine, mirrored])
    await assert.rejects(raw({ owner: 'nobody' }), /^CollectorError: No device belongs to "nobody"/)
    assert.deepEqual(await raw({ port: '443' }), [mine, mirrored])
  })

  contract('a signal ends it with its reason', async ({ store, write }) => {
    await write(rawLine(point()))
    const reason = new Error('stopped')
    await assert.rejects(rawOf(store, DAY_NS, AbortSignal.abort(reason)), reason)
    await assert.rejects(store.summed('tailnet_edge', DAY_NS, DAY_NS + HOUR, AbortSignal.abort(reason)), reason)
  })
}

async function rawOf(store: RowStore, minuteNs: bigint, until = signal): Promise<RawPoint[]> {
  const points: RawPoint[] = []
  await store.rawPoints(minuteNs, (one) => points.push(one), until)
  return points
}

async function rawCount(store: RowStore): Promise<number> {
  let count = 0
  await store.rawPoints(DAY_NS, () => void count++, signal)
  return count
}
