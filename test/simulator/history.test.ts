import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { TailnetOptions } from './options.ts'
import { assertSame, DAY, HOUR, MINUTE, NOON, printOf, SECOND } from './ranges.ts'
import { createTailnet } from './tailnet.ts'

const SEED = 20_261_102
const FULL: TailnetOptions = { nodes: 20, hostile: true, bigCounters: true }

test('the same options give the same texts, and every one of them matters', () => {
  const textOf = (options: TailnetOptions) =>
    [...createTailnet({ nodes: 20, ...options }).messages(NOON, NOON + 10n * MINUTE)].join('\n')
  const plain = textOf({})
  assert.equal(textOf({}), plain)
  assert.equal(textOf({ seed: 1 }), plain)
  const others: TailnetOptions[] = [
    { seed: 2 },
    { nodes: 21 },
    { activity: 0.5 },
    { nodeInfo: false },
    { oldClients: 0.5 },
    { hostile: true },
    { bigCounters: true },
    { exitDestinations: true },
    { disorder: false },
    { scan: { nodes: 1, tuples: 10 } },
    { renames: [{ node: 3, atNs: NOON, name: 'renamed' }] },
    { epochNs: NOON },
  ]
  const texts = others.map(textOf)
  assert.equal(new Set([plain, ...texts]).size, others.length + 1)
})

test('the pieces of a range make the whole, wherever it is cut', () => {
  const tailnet = createTailnet(FULL)
  const lastNs = NOON + 20n * MINUTE
  const whole = [...tailnet.records(NOON, lastNs)]
  const prints = whole.map(printOf)
  assert.ok(prints.length > 1000)
  // Anywhere, and exactly on a record or one nanosecond beside it.
  const cut = fc.oneof(
    fc.bigInt({ min: NOON, max: lastNs }),
    fc
      .tuple(fc.nat(whole.length - 1), fc.integer({ min: -1, max: 1 }))
      .map(([index, by]) => whole[index]!.loggedNs + BigInt(by)),
  )
  const property = fc.property(fc.array(cut, { maxLength: 12 }), (cuts) => {
    const pieces: string[] = []
    let fromNs = NOON
    for (const toNs of [...cuts.toSorted((a, b) => (a < b ? -1 : 1)), lastNs]) {
      for (const record of tailnet.records(fromNs, toNs)) pieces.push(printOf(record))
      if (toNs >= fromNs) fromNs = toNs + 1n
    }
    assertSame(pieces, prints)
  })
  fc.assert(property, { seed: SEED, numRuns: 30 })
})

test('a range gives the same records whatever was read before', () => {
  const fresh = (fromNs: bigint) => [...createTailnet({ nodes: 10 }).records(fromNs, fromNs + HOUR)].map(printOf)
  const tailnet = createTailnet({ nodes: 10 })
  const hours = Array.from({ length: 4 }, (_, index) => NOON + BigInt(index) * HOUR)
  const expected = hours.map(fresh)
  // Different numbers of distant ranges in between, so that caches drop their content at different moments.
  for (let far = 0; far < 8; far++) {
    for (const [index, fromNs] of hours.entries()) {
      for (let i = 1; i <= far; i++)
        for (const _ of tailnet.records(fromNs - BigInt(i) * DAY, fromNs - BigInt(i) * DAY + SECOND));
      assertSame([...tailnet.records(fromNs, fromNs + HOUR)].map(printOf), expected[index]!, `${far} ranges between:`)
    }
  }
})

test('readings that take turns do not disturb each other', () => {
  const tailnet = createTailnet(FULL)
  const begins = [NOON, NOON - DAY, NOON + 3n * MINUTE]
  const alone = begins.map((fromNs) => [...createTailnet(FULL).records(fromNs, fromNs + 5n * MINUTE)].map(printOf))
  const readings = begins.map((fromNs) => tailnet.records(fromNs, fromNs + 5n * MINUTE)[Symbol.iterator]())
  const read: string[][] = begins.map(() => [])
  for (let open = readings.length; open > 0; ) {
    open = 0
    for (const [index, reading] of readings.entries()) {
      const next = reading.next()
      if (next.done) continue
      read[index]!.push(printOf(next.value))
      open += 1
    }
  }
  for (const [index, list] of read.entries()) assertSame(list, alone[index]!)
})

test('records come in the order of logged, and both ends of a range belong to it', () => {
  const tailnet = createTailnet({ nodes: 20 })
  const records = [...tailnet.records(NOON, NOON + 10n * MINUTE)]
  for (const [index, { loggedNs }] of records.entries())
    assert.ok(loggedNs >= (records[index - 1]?.loggedNs ?? NOON) && loggedNs <= NOON + 10n * MINUTE)
  for (const record of records.filter((_, index) => index % 37 === 0)) {
    const at = record.loggedNs
    const prints = (fromNs: bigint, toNs: bigint) => [...tailnet.records(fromNs, toNs)].map(printOf)
    assert.ok(prints(at, at).includes(printOf(record)))
    assert.ok(!prints(at + 1n, at + SECOND).includes(printOf(record)))
    assert.ok(!prints(at - SECOND, at - 1n).includes(printOf(record)))
  }
  assert.deepEqual([...tailnet.records(NOON + 1n, NOON)], [])
})

test('the API shows nothing before it is logged, and later where a delay says so', () => {
  const visibilityDelay = ({ slot }: { slot: number }) => BigInt(slot % 3) * MINUTE
  const tailnet = createTailnet({ nodes: 20, visibilityDelay })
  const toNs = NOON + 10n * MINUTE
  const all = [...tailnet.records(NOON, toNs)]
  for (const nowNs of [NOON, NOON + 5n * MINUTE, toNs, toNs + 2n * MINUTE]) {
    const expected = all.filter((one) => one.loggedNs + visibilityDelay(one) <= nowNs).map(printOf)
    assertSame([...tailnet.records(NOON, toNs, { nowNs })].map(printOf), expected)
  }
})

test('nothing is recorded before the epoch, and nothing at all in silence', () => {
  const tailnet = createTailnet({ nodes: 20, epochNs: NOON })
  const records = [...tailnet.records(NOON - HOUR, NOON + 10n * MINUTE)]
  assert.ok(records.length > 100)
  for (const { startNs } of records) assert.ok(startNs >= NOON - SECOND)
  // A node reports noise (multicast and similar traffic) only in a record that exists anyway.
  assert.deepEqual([...createTailnet({ nodes: 20, activity: 0 }).records(NOON, NOON + HOUR)], [])
})

test('sums count the entries of the records, each record once', () => {
  const tailnet = createTailnet({ nodes: 20, bigCounters: true })
  const toNs = NOON + 2n * HOUR
  const sums = tailnet.sums(NOON, toNs)
  const records = [...tailnet.records(NOON, toNs)]
  assert.equal(sums.messages, records.length)
  const seen = new Map(records.map((record) => [`${record.node.nodeId} ${record.startNs}`, record]))
  assert.ok(seen.size < records.length, 'some are uploaded twice')
  assert.equal(sums.records, seen.size)
  for (const [index, kind] of (['virtual', 'subnet', 'exit', 'physical'] as const).entries()) {
    const entries = [...seen.values()].flatMap((record) => record.entries[index]!)
    assert.equal(sums[kind].entries, entries.length)
    assert.equal(
      sums[kind].txBytes,
      entries.reduce((sum, one) => sum + BigInt(one.txBytes), 0n),
    )
    assert.equal(
      sums[kind].rxPkts,
      entries.reduce((sum, one) => sum + BigInt(one.rxPkts), 0n),
    )
  }
})
