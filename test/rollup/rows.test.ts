/** The rows of a minute against the oracle, and case by case. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { DirectoryView } from '../../src/directory/view.ts'
import { columnsOfMinute, rowsOfMinute } from '../../src/rollup/make/rows.ts'
import { createHeldMinutes, type DoneMinute } from '../../src/rollup/points/held-minutes.ts'
import { createRawPoints, type RawPoint, type RawPoints } from '../../src/rollup/points/raw-points.ts'
import { createTextIds, type TextIds } from '../../src/rollup/points/text-ids.ts'
import { compareBytes } from '../../src/rollup/rows/endpoints.ts'
import { rowsOf } from '../../src/rollup/rows/minute-columns.ts'
import type { MinuteRows } from '../../src/rollup/rows/row.ts'
import { type Changes, changesOfTables, createChanges } from '../../src/rollup/rows/row-changes.ts'
import { edgeSeries, nodeSeries, seriesOfTables, tablesOf } from '../../src/rollup/rows/row-series.ts'
import { edgeTable, nodeTable } from '../../src/rollup/rows/row-table.ts'
import { type OraclePoint, type OracleWorld, oracleRows } from './oracle.ts'
import { pointsOf } from './points-of.ts'

const MINUTE = 1_700_000_040_000_000_000n

const WORLD: OracleWorld = {
  addresses: new Map([
    ['100.64.0.1', 'nA'],
    ['fd7a::1', 'nA'],
    ['100.64.0.2', 'nB'],
    ['100.64.0.3', 'nR'],
  ]),
  devices: new Map([
    ['nA', { name: 'laptop', owner: 'tag:eng', os: 'linux' }],
    ['nB', { name: 'db', owner: 'none', os: 'none' }],
  ]),
  networks: new Map([
    ['10.0.0.1', { name: 'office', isFolded: true }],
    ['10.0.0.2', { name: 'office', isFolded: true }],
    ['10.1.0.1', { name: 'lab', isFolded: false }],
  ]),
  reportedBefore: new Set(['nB']),
  usedBefore: new Set(['100.64.0.9 nC', '100.64.0.8 nC', '100.64.0.8 nD']),
}

const NOTHING_BEFORE = { hasReported: () => false, wasUsedByOther: () => false }

function viewOf(world: OracleWorld): DirectoryView {
  return {
    nodeOf: (address) => world.addresses.get(address),
    device: (node) => world.devices.get(node),
    networkOf: (address) => world.networks.get(address),
  }
}

function rowsOfPoints(points: readonly RawPoint[], world: OracleWorld = WORLD): MinuteRows {
  const texts = createTextIds()
  const raw = createRawPoints(MINUTE, texts)
  for (const point of points) raw.put(point)
  return madeOf(raw, texts, world)
}

function madeOf(raw: RawPoints, texts: TextIds, world: OracleWorld): MinuteRows {
  return rowsOfMinute(raw, texts, viewOf(world), {
    hasReported: (node) => world.reportedBefore.has(node),
    wasUsedByOther: (address, node) =>
      [...world.usedBefore].some((one) => one.startsWith(`${address} `) && one !== `${address} ${node}`),
  })
}

/** What memory holds of messages that were read in several windows. */
function held(windows: readonly (readonly RawPoint[])[][]): DoneMinute {
  const minutes = createHeldMinutes()
  const done = windows.flatMap((messages) => {
    const window = {}
    for (const points of messages) minutes.add(window, pointsOf(points, 0n))
    return minutes.done(window)
  })
  return done.find(({ isContradicted }) => isContradicted) ?? done.at(-1)!
}

/** Points of one node and one time are one message. */
function messagesOf(points: readonly RawPoint[]): RawPoint[][] {
  return [...Map.groupBy(points, ({ node, startNs }) => `${node} ${startNs}`).values()]
}

const identityOf = (one: RawPoint) =>
  [one.node, one.kind, one.proto, one.src, one.dst, one.srcPort, one.dstPort, one.path, one.startNs].join(' ')
const distinctOf = (points: readonly OraclePoint[]) => [
  ...new Map(points.map((one) => [identityOf(one), one])).values(),
]

function texts({ edges, nodes }: MinuteRows) {
  return {
    edges: edges
      .map((row) => {
        const { src, dst } = row
        const key = [row.kind, row.proto, row.port, row.path, src.isNode, src.id, dst.isNode, dst.id].join(' ')
        const names = [src.name, dst.name, src.owner, dst.owner].join(' ')
        return `${key} | ${names} | ${row.txBytes} ${row.txPkts} ${row.rxBytes} ${row.rxPkts} ${row.flows} ${row.reporters}`
      })
      .toSorted(),
    nodes: nodes
      .map((row) => {
        const key = [row.node.id, row.node.name, row.node.owner, row.os, row.kind, row.role].join(' ')
        return `${key} | ${row.txBytes} ${row.txPkts} ${row.rxBytes} ${row.rxPkts} ${row.flows} ${row.derpTxBytes} ${row.derpRxBytes} ${row.peers}`
      })
      .toSorted(),
  }
}

const address = fc.constantFrom(
  '100.64.0.1',
  'fd7a::1',
  '100.64.0.2',
  '100.64.0.3',
  '100.64.0.8',
  '100.64.0.9',
  '100.64.0.7',
  '10.0.0.1',
  '10.0.0.2',
  '10.1.0.1',
  '8.8.8.8',
  'none',
)
const port = fc.constantFrom(-1, 22, 443, 40_000)
const counter = fc.oneof(
  { weight: 8, arbitrary: fc.bigInt(0n, 5n) },
  { weight: 1, arbitrary: fc.constantFrom(2n ** 53n - 1n, 2n ** 53n, 2n ** 63n - 1n) },
)
const point: fc.Arbitrary<OraclePoint> = fc.record({
  node: fc.constantFrom('nA', 'nB', 'nC', 'nD', 'nR'),
  kind: fc.constantFrom('virtual', 'subnet', 'exit', 'physical'),
  proto: fc.constantFrom('tcp', 'udp', 'icmp', 'none', 'x'),
  src: address,
  dst: address,
  srcPort: port,
  dstPort: port,
  path: fc.constantFrom('none', 'direct', 'derp-9'),
  startNs: fc.bigInt(0n, 2n).map((ns) => MINUTE + ns),
  txBytes: counter,
  txPkts: counter,
  rxBytes: counter,
  rxPkts: counter,
  flows: fc.integer({ min: 1, max: 3 }),
})

test('rows are what the rules make of the points, in any order', () => {
  fc.assert(
    fc.property(fc.array(point, { maxLength: 25 }), fc.boolean(), (all, isReversed) => {
      const distinct = distinctOf(all)
      const read = isReversed ? distinct.toReversed() : distinct
      assert.deepEqual(texts(rowsOfPoints(read)), oracleRows(distinct, WORLD))
    }),
    { numRuns: 2_000 },
  )
})

test('rows are the same from messages in memory, copies in the same window and in later ones included', () => {
  fc.assert(
    fc.property(fc.array(point, { minLength: 1, maxLength: 25 }), fc.nat(), (all, which) => {
      const distinct = distinctOf(all)
      const messages = messagesOf(which % 2 === 0 ? distinct : distinct.toReversed())
      const split = which % (messages.length + 1)
      const windows = [[...messages.slice(split), ...messages.slice(-1)], messages.slice(0, split + 2)]
      const minute = held(windows)
      assert.equal(minute.isContradicted, false)
      assert.deepEqual(texts(madeOf(minute.points, minute.texts, WORLD)), oracleRows(distinct, WORLD))
      assert.equal(minute.points.count, distinct.length)
    }),
    { numRuns: 1_000 },
  )
})

test('lines of a minute are those of its rows, and later only those of rows that changed', () => {
  const tags = createTextIds()
  const changesSince = createChanges()
  const made = (points: readonly RawPoint[]) => {
    const ids = createTextIds()
    const raw = createRawPoints(MINUTE, ids)
    for (const one of points) raw.put(one)
    const columns = columnsOfMinute(raw, ids, viewOf(WORLD), NOTHING_BEFORE)
    const rows = rowsOf(columns)
    const tables = { edges: edgeTable('t x', rows.edges), nodes: nodeTable('t x', rows.nodes) }
    return { tables, edges: edgeSeries(columns, 't x', tags), nodes: nodeSeries(columns, 't x', tags) }
  }
  const told = ({ rows, lines }: Changes) => {
    let text = ''
    for (const piece of lines) text += new TextDecoder().decode(piece)
    return { rows, lines: text.split('\n').toSorted() }
  }
  const nothing = made([])
  fc.assert(
    fc.property(fc.array(point, { minLength: 1, maxLength: 25 }), fc.nat(), (all, which) => {
      const distinct = distinctOf(all)
      const first = made(distinct)
      assert.deepEqual(tablesOf(first), first.tables)
      assert.deepEqual(tablesOf(seriesOfTables(first.tables, tags)), first.tables)
      assert.deepEqual(
        told(changesSince(nothing, first, '', MINUTE)!),
        told(changesOfTables(nothing.tables, first.tables, '', MINUTE, false)),
      )
      // Then one point is another one, or all but one are there.
      const later = made(which % 2 === 0 ? distinct.slice(1) : distinct.with(0, { ...distinct[0]!, txBytes: 77n }))
      const changes = changesSince(first, later, '_1h', MINUTE)
      const isGone = (name: 'edges' | 'nodes') =>
        [...first.tables[name].keys()].some((key) => !later.tables[name].has(key))
      assert.equal(changes === undefined, isGone('edges') || isGone('nodes'))
      if (changes !== undefined)
        assert.deepEqual(told(changes), told(changesOfTables(first.tables, later.tables, '_1h', MINUTE, false)))
    }),
    { numRuns: 500 },
  )
})

test('a message that comes again with other points contradicts what memory holds', () => {
  fc.assert(
    fc.property(fc.array(point, { minLength: 1, maxLength: 10 }), fc.nat(), (all, which) => {
      const messages = messagesOf(distinctOf(all))
      const [first, ...rest] = messages[which % messages.length]!
      const other = [{ ...first!, txPkts: first!.txPkts + 1n }, ...rest]
      assert.equal(held([messages, [other]]).isContradicted, true)
    }),
    { numRuns: 200 },
  )
})

test('the digest does not depend on order, copies, or where points come from, and changes with every value', () => {
  fc.assert(
    fc.property(fc.array(point, { minLength: 1, maxLength: 10 }), fc.nat(), (all, which) => {
      const digest = (points: readonly RawPoint[]) => {
        const ids = createTextIds()
        for (const text of ['b', 'a'].slice(which % 2)) ids.idOf(text)
        const raw = createRawPoints(MINUTE, ids)
        for (const one of points) raw.put(one)
        return raw.digest()
      }
      const distinct = distinctOf(all)
      const messages = messagesOf(distinct)
      assert.equal(held([messages, messages]).points.digest(), digest(distinct.toReversed()))
      const changed = distinct.map((one, i) =>
        i === which % distinct.length ? { ...one, rxBytes: one.rxBytes === 0n ? 1n : one.rxBytes - 1n } : one,
      )
      assert.notEqual(digest(distinct), digest(changed))
    }),
    { numRuns: 500 },
  )
})

test('texts are in the order of their bytes', () => {
  fc.assert(
    fc.property(
      fc.string({ unit: 'binary', maxLength: 8 }),
      fc.string({ unit: 'binary', maxLength: 8 }),
      (one, other) => {
        const bytes = Buffer.compare(Buffer.from(one), Buffer.from(other))
        assert.equal(Math.sign(compareBytes(one, other)), bytes)
      },
    ),
  )
})
