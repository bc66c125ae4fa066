/** The rows of a minute against the oracle, and case by case. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { DirectoryView } from '../../src/directory/view.ts'
import { compareBytes } from '../../src/rollup/endpoints.ts'
import { createRawPoints, type RawPoint } from '../../src/rollup/raw-points.ts'
import type { MinuteRows } from '../../src/rollup/row.ts'
import { rowsOfMinute } from '../../src/rollup/rows.ts'
import { createTextIds } from '../../src/rollup/text-ids.ts'
import { type OraclePoint, type OracleWorld, oracleRows } from './oracle.ts'

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

function viewOf(world: OracleWorld): DirectoryView {
  return {
    nodeOf: (address) => world.addresses.get(address),
    device: (node) => world.devices.get(node),
    networkOf: (address) => world.networks.get(address),
  }
}

function rowsOf(points: readonly RawPoint[], world: OracleWorld = WORLD): MinuteRows {
  const texts = createTextIds()
  const raw = createRawPoints(MINUTE, texts)
  for (const point of points) raw.put(point)
  return rowsOfMinute(raw, texts, viewOf(world), {
    hasReported: (node) => world.reportedBefore.has(node),
    wasUsedByOther: (address, node) =>
      [...world.usedBefore].some((one) => one.startsWith(`${address} `) && one !== `${address} ${node}`),
  })
}

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

test('rows are what the rules make of the points, in any order, copies included', () => {
  fc.assert(
    fc.property(fc.array(point, { maxLength: 25 }), fc.boolean(), (all, isReversed) => {
      const byIdentity = new Map(
        all.map((one) => [
          [one.node, one.kind, one.proto, one.src, one.dst, one.srcPort, one.dstPort, one.path, one.startNs].join(' '),
          one,
        ]),
      )
      const distinct = [...byIdentity.values()]
      const read = isReversed ? distinct.toReversed() : [...all.slice(0, 3), ...distinct]
      assert.deepEqual(texts(rowsOf(read)), oracleRows(distinct, WORLD))
    }),
    { numRuns: 2_000 },
  )
})

test('the digest does not depend on order or copies, and changes with every value', () => {
  fc.assert(
    fc.property(fc.array(point, { minLength: 1, maxLength: 10 }), fc.nat(), (all, which) => {
      const digest = (points: readonly RawPoint[]) => {
        const ids = createTextIds()
        for (const text of ['b', 'a'].slice(which % 2)) ids.idOf(text)
        const raw = createRawPoints(MINUTE, ids)
        for (const one of points) raw.put(one)
        return raw.digest()
      }
      const last = new Map(
        all.map((one) => [
          [one.node, one.kind, one.proto, one.src, one.dst, one.srcPort, one.dstPort, one.path, one.startNs].join(' '),
          one,
        ]),
      )
      const distinct = [...last.values()]
      assert.equal(digest(all), digest(distinct.toReversed()))
      const changed = distinct.map((one, i) =>
        i === which % distinct.length ? { ...one, rxBytes: one.rxBytes + 1n } : one,
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
