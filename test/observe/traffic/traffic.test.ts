/** What the status page shows of final minutes, against what really moved. */
import assert from 'node:assert/strict'
import { before, test } from 'node:test'
import { HOUR, MINUTE } from '../../../src/base/clock.ts'
import { CollectorError } from '../../../src/base/errors.ts'
import type { Interval } from '../../../src/ledger/ledger.ts'
import type { Talker } from '../../../src/observe/traffic/talkers.ts'
import { createTraffic, type Traffic } from '../../../src/observe/traffic/traffic.ts'
import type { FinalMinute } from '../../../src/rollup/minute-reader.ts'
import { unknownMinute } from '../../../src/rollup/minute-reader.ts'
import type { EdgeRow } from '../../../src/rollup/rows/row.ts'
import { EDGE, edgeTable, linesOf } from '../../../src/rollup/rows/row-table.ts'
import { createFakeClock, type FakeClock, NOON_NS } from '../../helpers/fake-clock.ts'
import { createMemoryUnsettled } from '../../helpers/memory-unsettled.ts'
import { pointsByMinute, rowsOf } from '../../rollup/judge.ts'
import { createMemoryDatabase, databaseAway, type MemoryDatabase } from '../../rollup/memory-database.ts'
import type { TrueEdge } from '../../simulator/edge-truth.ts'
import { ownersOf } from '../../simulator/names.ts'
import { createTailnet } from '../../simulator/tailnet.ts'
import { KINDS } from '../../simulator/truth.ts'

const tailnet = createTailnet({ nodes: 50, seed: 3 })
const HOURS = 2n
const FROM_NS = NOON_NS - HOURS * HOUR
/** The rows of two hours until noon, by minute. */
const minutes = new Map<bigint, EdgeRow[]>()

before(() => {
  const owners = ownersOf(tailnet)
  const owned = ({ ...end }: EdgeRow['src']) => ({ ...end, owner: owners.get(end.id) ?? 'none' })
  for (const { minuteNs, row } of rowsOf(
    tailnet,
    pointsByMinute(tailnet, FROM_NS - HOUR, NOON_NS),
    FROM_NS,
    NOON_NS,
    60,
  )) {
    const rows = minutes.get(minuteNs) ?? []
    minutes.set(minuteNs, rows)
    rows.push({ ...row, src: owned(row.src), dst: owned(row.dst) })
  }
})

interface World {
  readonly clock: FakeClock
  readonly traffic: Traffic
  readonly database: MemoryDatabase
  readonly ledger: { done: Interval[]; gaps: Interval[]; unsettled: ReturnType<typeof createMemoryUnsettled> }
}

/** At noon, everything that was logged until then is read. */
async function world(database = createMemoryDatabase(), startNs = NOON_NS): Promise<World> {
  const clock = createFakeClock(startNs)
  const ledger = {
    done: [{ fromNs: FROM_NS, toNs: NOON_NS }],
    gaps: [] as Interval[],
    unsettled: createMemoryUnsettled(),
  }
  const traffic = createTraffic({
    store: database,
    ledger: { settled: () => ledger.done, gaps: () => ledger.gaps as never, unsettled: ledger.unsettled },
    clock,
    onBroken: (error) => assert.fail(String(error)),
  })
  await traffic.start?.()
  await clock.advance(0)
  return { clock, traffic, database, ledger }
}

function finalMinute(startNs: bigint, edges: readonly EdgeRow[], more: Partial<FinalMinute> = {}): FinalMinute {
  const node = { os: 'linux', kind: 'virtual', role: 'peer' } as never as Parameters<
    Parameters<FinalMinute['eachNode']>[0]
  >[0]
  return {
    startNs,
    eachEdge: (visit) => edges.forEach(visit),
    eachNode: (visit) => {
      for (const id of new Set(edges.flatMap(({ src, dst }) => [src, dst]).filter(({ isNode }) => isNode)))
        visit({ ...node, node: id })
    },
    hasGap: false,
    ...more,
  }
}

const tellAll = (traffic: Traffic) => {
  for (const [startNs, edges] of minutes) traffic.minute(finalMinute(startNs, edges))
  traffic.finalTo(NOON_NS)
}

/** True bytes between two ends, each once, largest first. */
function truthOf(edges: readonly TrueEdge[], endOf: (end: string) => string): [string, number][] {
  const sums = new Map<string, number>()
  for (const { kind, src, dst, txBytes, rxBytes } of edges) {
    if (kind === 'physical') continue
    const key = [kind, ...[endOf(src), endOf(dst)].toSorted()].join(' ')
    sums.set(key, (sums.get(key) ?? 0) + Number(txBytes + rxBytes))
  }
  return [...sums].toSorted(([, one], [, other]) => other - one)
}

const keyOf = ({ kind, one, other }: Talker) => [kind, ...[one, other].toSorted()].join(' ')

test('the demo of 50 nodes: top ten by name and by owner are those of what really moved, each byte once', async () => {
  const { traffic } = await world()
  tellAll(traffic)
  const { talkers } = traffic.view()
  const truth = tailnet.edges(NOON_NS - HOUR, NOON_NS, 'record')
  const owners = ownersOf(tailnet)
  for (const [top, endOf] of [
    [talkers.top, (end: string) => end],
    [talkers.owners, (end: string) => owners.get(end) ?? 'none'],
  ] as const) {
    const expected = truthOf(truth, endOf)
    assert.deepEqual(
      top.map(keyOf),
      expected.slice(0, 10).map(([key]) => key),
    )
    for (const [index, { txBytes, rxBytes }] of top.entries()) {
      const bytes = expected[index]![1]
      assert.ok(Math.abs(txBytes + rxBytes - bytes) <= 0.01 * bytes, `${txBytes + rxBytes} for ${bytes}`)
      assert.ok(txBytes >= rxBytes)
    }
  }
  const total = truthOf(truth, (end) => end).reduce((sum, [, bytes]) => sum + bytes, 0)
  assert.ok(Math.abs(talkers.totalBytes - total) <= 0.001 * total, `${talkers.totalBytes} for ${total}`)
  assert.equal(talkers.to, '2026-11-02T12:00:00.000Z')
  assert.equal(talkers.unnamedBytes, 0)
  // Paths are those of the physical traffic between the two.
  const paths = new Map<string, Set<string>>()
  for (const { kind, path, src, dst } of truth) {
    const pair = [src, dst].toSorted().join(' ')
    if (kind === 'physical') paths.set(pair, (paths.get(pair) ?? new Set()).add(path))
  }
  const shown = talkers.top.filter(({ path }) => path !== null)
  assert.ok(shown.length > 0)
  for (const { one, other, path } of shown) {
    const seen = paths.get([one, other].toSorted().join(' '))
    assert.ok(path === 'mixed' ? seen!.size > 1 : seen!.has(path!), `${one} ${other} ${path}`)
  }
})

test('the day by kind is that of what moved, minute by minute; what is not known is no zero', async () => {
  const { traffic } = await world()
  tellAll(traffic)
  const { throughput, nodesReporting, loading } = traffic.view()
  assert.equal(loading, null)
  assert.ok(nodesReporting! > 20, `${nodesReporting}`)
  const first = Number(FROM_NS / 1_000_000_000n)
  for (const kind of KINDS) {
    const [sums, expected] = [new Map<number, number>(), throughput.bytes[kind]]
    let total = 0
    for (const [startNs, edges] of minutes)
      for (const edge of edges) {
        if (edge.kind !== kind) continue
        const bucket = (Number(startNs / 1_000_000_000n) - throughput.fromSeconds) / throughput.bucketSeconds
        const bytes = Number(edge.txBytes) + Number(edge.rxBytes)
        sums.set(Math.floor(bucket), (sums.get(Math.floor(bucket)) ?? 0) + bytes)
        total += bytes
      }
    assert.equal(expected.length, 288)
    for (const [bucket, value] of expected.entries()) {
      const isKnown = throughput.fromSeconds + bucket * throughput.bucketSeconds >= first
      assert.equal(value, isKnown ? Math.round((sums.get(bucket) ?? 0) / 300) : null, `${kind} ${bucket}`)
    }
    assert.equal(throughput.kinds[kind].total, total)
    assert.ok(throughput.kinds[kind].peak! * 300 >= Math.max(...sums.values()) / 5)
  }
})

test('a quiet tailnet is zeros, and no traffic; what was not read, is in a gap, or is not made yet is not known', async () => {
  const { clock, traffic, ledger } = await world()
  const started = traffic.view().throughput.bytes.virtual.filter((value) => value !== null).length
  // Two hours were read before the start; of the last minute and a half more may come.
  assert.equal(started, 24)
  await clock.advance(20 * 60_000)
  ledger.done = [{ fromNs: FROM_NS, toNs: NOON_NS + 20n * MINUTE }]
  traffic.finalTo(NOON_NS + 18n * MINUTE)
  const quiet = traffic.view()
  assert.deepEqual(quiet.throughput.bytes.virtual.slice(-28), Array(28).fill(0))
  assert.deepEqual(quiet.throughput.kinds.virtual, { now: 0, peak: 0, total: 0 })
  assert.deepEqual([quiet.talkers.top, quiet.nodesReporting, quiet.gapMinutes], [[], 0, 0])

  ledger.gaps = [{ fromNs: NOON_NS + 5n * MINUTE, toNs: NOON_NS + 10n * MINUTE - 1n }]
  ledger.unsettled.read(
    [NOON_NS, 1n, 2n, 3n, 4n].map((minute, index) => (index === 0 ? minute : NOON_NS + minute * MINUTE)),
    clock.now(),
  )
  await clock.advance(60_000)
  traffic.finalTo(NOON_NS + 19n * MINUTE)
  assert.deepEqual(traffic.view().throughput.bytes.virtual.slice(-5), [null, null, 0, 0, null])
})

test('a minute that is told again replaces what it said; one that was lost is not known', async () => {
  const { traffic } = await world()
  tellAll(traffic)
  const { talkers, throughput } = traffic.view()
  const startNs = NOON_NS - 3n * MINUTE
  const edges = minutes.get(startNs)!
  const doubled = edges.map((edge) => ({ ...edge, txBytes: edge.txBytes * 2n, rxBytes: edge.rxBytes * 2n }))
  traffic.minute(finalMinute(startNs, doubled as never, { hasGap: true }))
  const more = traffic.view()
  const bytesOf = (kinds: readonly string[]) =>
    edges
      .filter(({ kind }) => kinds.includes(kind))
      .reduce((sum, row) => sum + Number(row.txBytes) + Number(row.rxBytes), 0)
  assert.equal(more.talkers.totalBytes - talkers.totalBytes, bytesOf(['virtual', 'subnet', 'exit']))
  assert.equal(more.throughput.kinds.virtual.total - throughput.kinds.virtual.total, bytesOf(['virtual']))
  assert.equal(more.gapMinutes, 1)
  traffic.minute(finalMinute(startNs, edges))
  assert.deepEqual(traffic.view(), { ...traffic.view(), talkers, throughput, gapMinutes: 0 })

  const other = await world()
  other.traffic.minute(unknownMinute(NOON_NS - 3n * MINUTE))
  assert.equal(other.traffic.view().gapMinutes, 1)
  assert.equal(other.traffic.view().throughput.kinds.virtual.total, 0)
})

/** Rows as they stand in the database. */
async function written(): Promise<MemoryDatabase> {
  const database = createMemoryDatabase()
  for (const [startNs, edges] of minutes) {
    const bytes = new TextEncoder().encode(linesOf('tailnet_edge', edgeTable('t', edges), EDGE, startNs))
    await database.write({ bytes, lineCount: edges.length, target: 'minutes' } as never)
    database.records.set(startNs, {
      startNs,
      digest: '',
      points: 1,
      rows: 1,
      writer: 'w',
      isGap: startNs === NOON_NS - HOUR,
    })
  }
  return database
}

test('a clock that was behind at the start hides no rows that stand', async () => {
  const told = await world()
  tellAll(told.traffic)
  const expected = told.traffic.view()
  const { clock, traffic } = await world(await written(), NOON_NS - 5n * HOUR)
  clock.jump(5 * 3_600_000)
  await clock.advance(0)
  traffic.finalTo(NOON_NS)
  const { throughput, talkers } = traffic.view()
  assert.deepEqual(throughput, expected.throughput)
  assert.deepEqual(talkers.top, expected.talkers.top)
})

test('after a start the page is filled from the database, and says so while it is', async () => {
  const told = await world()
  tellAll(told.traffic)
  const expected = told.traffic.view()

  const database = await written()
  let isAway = false
  let requests = 0
  database.onRequest = () => {
    requests += 1
    if (isAway) throw databaseAway()
    if (requests === 8) isAway = true
  }
  const { clock, traffic } = await world(database)
  const { loading } = traffic.view()
  assert.ok(loading!.share > 0.1 && loading!.share < 0.9, `${loading!.share}`)
  assert.match(loading!.problem ?? '', /^.+/)
  // A minute that is told meanwhile is not replaced by what is read.
  const startNs = NOON_NS - 90n * MINUTE
  traffic.minute(finalMinute(startNs, []))
  isAway = false
  await clock.advance(60_000)
  const { throughput, talkers, gapMinutes, loading: over } = traffic.view()
  assert.equal(over, null)
  assert.equal(gapMinutes, 1)
  assert.deepEqual({ ...talkers, to: '' }, { ...expected.talkers, to: '' })
  const lost = minutes.get(startNs)!.filter(({ kind }) => kind === 'subnet')
  assert.equal(
    expected.throughput.kinds.subnet.total - throughput.kinds.subnet.total,
    lost.reduce((sum, row) => sum + Number(row.txBytes) + Number(row.rxBytes), 0),
  )
})

test('a database that shows nothing leaves what was before the start unknown; a bug ends the instance', async () => {
  const database = createMemoryDatabase()
  database.reads = async () => 'nothing'
  const { traffic } = await world(database)
  assert.equal(traffic.view().loading, null)
  assert.deepEqual(traffic.view().throughput.bytes.exit, Array(288).fill(null))
  assert.equal(traffic.view().nodesReporting, null)

  const broken: unknown[] = []
  const failing = createTraffic({
    store: { ...database, reads: () => Promise.reject(new TypeError('a bug')) },
    ledger: { settled: () => [], gaps: () => [], unsettled: createMemoryUnsettled() },
    clock: createFakeClock(),
    onBroken: (error) => broken.push(error),
  })
  await failing.start?.()
  while (broken.length === 0) await new Promise(setImmediate)
  await failing.stop?.()
  assert.equal(broken.length, 1)
  assert.ok(!(broken[0] instanceof CollectorError))
})

test('a stop does not wait for the database', async () => {
  const database = createMemoryDatabase()
  database.reads = (signal) => new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
  const { traffic } = await world(database)
  await traffic.stop?.()
  assert.equal(traffic.view().loading, null)
})
