/** The live view against the truth of a simulated tailnet. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MINUTE, SECOND } from '../../src/base/clock.ts'
import { NO_NODE_NAMES, type NodeNames } from '../../src/directory/node-names.ts'
import { createLive } from '../../src/live/live.ts'
import { INTERNET, PAIRS_MAX, type Talker } from '../../src/live/talkers.ts'
import { BUCKET_SECONDS, BUCKETS } from '../../src/live/throughput.ts'
import { createLineWriter } from '../../src/sink/line-protocol/line-writer.ts'
import { createFakeClock, NOON_NS } from '../helpers/fake-clock.ts'
import { namesOf } from '../simulator/names.ts'
import { createTailnet } from '../simulator/tailnet.ts'
import { readInto, windowOf } from './feed.ts'

const KINDS = ['virtual', 'subnet', 'exit', 'physical'] as const
const SEED = 11

/** A small generator with a fixed seed, so that lots fall the same way each time. */
function randomOf(seed: number): () => number {
  let state = seed
  return () => {
    state = (state * 1_664_525 + 1_013_904_223) % 2 ** 32
    return state / 2 ** 32
  }
}

function world(names: NodeNames = NO_NODE_NAMES) {
  const clock = createFakeClock()
  const live = createLive({ clock, random: randomOf(SEED), names })
  return { clock, live, observer: live.observer }
}

test('traffic by kind is that of the truth, whatever the windows are, with copies and late records in it', () => {
  const tailnet = createTailnet({ nodes: 12, seed: 4 })
  const { live, observer } = world()
  const fromNs = NOON_NS - 30n * MINUTE
  const cuts = [0n, 7n, 11n, 30n].map((minutes) => fromNs + minutes * MINUTE)
  // The middle first, as when the newest part is read before the history.
  for (const index of [1, 0, 2]) {
    const [from, to] = [cuts[index]!, cuts[index + 1]!]
    readInto(observer, windowOf(from, to), tailnet)
  }
  const expected = new Map<string, number>()
  for (const { tags, fields, timestampNs } of tailnet.truth(fromNs + 1n, NOON_NS)) {
    for (const direction of ['tx', 'rx']) {
      const key = `${direction} ${tags['kind']} ${timestampNs / SECOND / BigInt(BUCKET_SECONDS)}`
      expected.set(key, (expected.get(key) ?? 0) + Number(fields[`${direction}_bytes`]))
    }
  }
  const { throughput } = live.view()
  let compared = 0
  for (const direction of ['tx', 'rx'] as const) {
    for (const kind of KINDS) {
      assert.equal(throughput[direction][kind].length, BUCKETS)
      for (const [index, value] of throughput[direction][kind].entries()) {
        if (value === null) continue
        const bucket = throughput.fromSeconds / BUCKET_SECONDS + index
        const truth = (expected.get(`${direction} ${kind} ${bucket}`) ?? 0) / BUCKET_SECONDS
        assert.equal(value, Math.round(truth), `${direction} ${kind} at ${bucket}`)
        compared += 1
      }
    }
  }
  // Half an hour was read, and its last bucket may still get records.
  assert.equal(compared, 2 * KINDS.length * (60 - 1))
})

test('what failed never happened, what is read again counts once, and late passes change nothing', () => {
  const tailnet = createTailnet({ nodes: 8, seed: 1, disorder: false })
  const [from, middle] = [NOON_NS - 6n * MINUTE, NOON_NS - 3n * MINUTE]
  const once = world()
  readInto(once.observer, windowOf(from, NOON_NS), tailnet)

  const often = world()
  readInto(often.observer, windowOf(from, NOON_NS), tailnet, 'failed')
  readInto(often.observer, windowOf(from, middle), tailnet)
  const previous = { fromNs: from, toNs: middle, pass: 1, digest: '', messages: 1, entries: 1, points: 1, atNs: 1n }
  readInto(often.observer, windowOf(from, middle, { queue: 'late', pass: 2, previous }), tailnet)
  // The database was away: some of it once more, with what is new behind it.
  readInto(often.observer, windowOf(middle - MINUTE, NOON_NS), tailnet)
  const [one, other] = [once.live.view(), often.live.view()]
  assert.deepEqual(other.throughput, one.throughput)
  assert.deepEqual(other.talkers, one.talkers)
  assert.equal(other.nodesReporting, one.nodesReporting)
})

test('top talkers: each byte once though both ends report it, with the way they take', () => {
  const tailnet = createTailnet({ nodes: 14, seed: 6, disorder: false })
  const names = namesOf(tailnet)
  const nameOf = (addressOrId = '') => names.nameOf(addressOrId) ?? addressOrId
  const { live, observer } = world(names)
  const from = NOON_NS - 10n * MINUTE
  readInto(observer, windowOf(from, NOON_NS), tailnet)
  const reports = new Map<string, Map<string, number>>()
  const ways = new Map<string, Set<string>>()
  for (const { tags, fields } of tailnet.truth(from + 1n, NOON_NS)) {
    const node = nameOf(tags['node'])
    if (tags['kind'] === 'physical') {
      const key = [node, nameOf(tags['src'])].toSorted().join(' ')
      ways.set(key, (ways.get(key) ?? new Set()).add(tags['path'] ?? ''))
      continue
    }
    const near = tags['src'] === 'none' ? (tags['dst'] === 'none' ? node : INTERNET) : nameOf(tags['src'])
    const far = tags['dst'] === 'none' ? INTERNET : nameOf(tags['dst'])
    const key = `${tags['kind']} ${[near, far].toSorted().join(' ')}`
    const sums = reports.get(key) ?? new Map<string, number>()
    sums.set(node, (sums.get(node) ?? 0) + Number(fields['tx_bytes']) + Number(fields['rx_bytes']))
    reports.set(key, sums)
  }
  const expected = [...reports]
    .map(([key, sums]) => [key, Math.max(...sums.values())] as const)
    .toSorted(([, one], [, other]) => other - one)
  const { talkers } = live.view()
  assert.equal(talkers.isEstimate, false)
  assert.deepEqual(
    talkers.top.map(({ kind, one, other, txBytes, rxBytes }) => [
      `${kind} ${[one, other].toSorted().join(' ')}`,
      txBytes + rxBytes,
    ]),
    expected.slice(0, 10),
  )
  assert.equal(
    talkers.totalBytes,
    expected.reduce((sum, [, bytes]) => sum + bytes, 0),
  )
  let told = 0
  for (const { one, other, path } of talkers.top) {
    const seen = ways.get([one, other].toSorted().join(' '))
    if (path === null) continue
    told += 1
    assert.ok(seen !== undefined && (path === 'mixed' || seen.has(path)), `${one} ${other} ${path}`)
  }
  assert.ok(told > 0)
})

test('a port scan neither fills the memory nor hides the big ones; estimates are close', () => {
  const scanned = createTailnet({ nodes: 8, seed: 7, disorder: false, scan: { nodes: 2, tuples: 3_000 } })
  const { clock, live, observer } = world()
  const from = NOON_NS - 10n * MINUTE
  let flows = 0
  // Time stands still while it is read: everything is too much at once.
  for (let at = from; at < NOON_NS; at += MINUTE) {
    readInto(observer, windowOf(at, at + MINUTE), scanned, 'done', (points) => {
      flows += points.count
    })
  }
  assert.ok(flows > 400_000, `only ${flows} flows`)
  const { talkers } = live.view()
  assert.equal(talkers.isEstimate, true)
  const exact = createLive({ clock, random: randomOf(SEED), names: NO_NODE_NAMES })
  const quiet = createTailnet({ nodes: 8, seed: 7, disorder: false })
  readInto(exact.observer, windowOf(from, NOON_NS), quiet)
  const [biggest] = exact.view().talkers.top
  const bytesOf = (one: Talker | undefined) => (one ? one.txBytes + one.rxBytes : 0)
  const endsOf = (one: Talker | undefined) => [one?.one, one?.other].toSorted().join()
  const found = talkers.top.find((one) => endsOf(one) === endsOf(biggest))
  assert.ok(found, `the biggest pair, ${endsOf(biggest)}, is lost`)
  const ratio = bytesOf(found) / bytesOf(biggest)
  assert.ok(ratio > 0.85 && ratio < 1.15, `estimated at ${ratio} of what it is (seed ${SEED})`)
  assert.ok(PAIRS_MAX < flows / 100)
})

test('the last points are those lines that were written, byte for byte', () => {
  const tailnet = createTailnet({ nodes: 6, seed: 8, hostile: true })
  const { live, observer } = world()
  const from = NOON_NS - MINUTE
  const writer = createLineWriter({ batchLinesMax: 1e6, batchBytesMax: 1 << 24 })
  readInto(observer, windowOf(from, NOON_NS), tailnet, 'done', (points) => writer.append(points))
  const written = new Set(writer.rest().flatMap((batch) => Buffer.from(batch.bytes).toString().split('\n')))
  const { peek } = live.view()
  assert.equal(peek.length, 20)
  for (const line of peek) assert.ok(written.has(line), line)
  const before = peek
  readInto(observer, windowOf(NOON_NS, NOON_NS + MINUTE), tailnet, 'failed')
  assert.deepEqual(live.view().peek, before)
})

test('history costs nothing and what is old goes', async () => {
  const tailnet = createTailnet({ nodes: 6, seed: 9 })
  const { clock, live, observer } = world()
  const old = NOON_NS - 120n * MINUTE
  readInto(observer, windowOf(old, old + MINUTE), tailnet)
  assert.deepEqual(live.view().talkers.top, [])
  assert.deepEqual(live.view().peek, [])
  const from = NOON_NS - 2n * MINUTE
  readInto(observer, windowOf(from, NOON_NS), tailnet)
  assert.ok(live.view().talkers.top.length > 0)
  assert.ok(live.view().nodesReporting > 0)
  clock.jump(61 * 60_000)
  const view = live.view()
  assert.deepEqual(view.talkers.top, [])
  assert.equal(view.nodesReporting, 0)
  assert.ok(view.throughput.tx.virtual.every((value) => value === null))
})
