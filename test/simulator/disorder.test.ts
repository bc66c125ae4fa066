import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { DemoEntry } from '../../src/demo/entries.ts'
import { createLinks } from '../../src/demo/links.ts'
import { createPresence } from '../../src/demo/presence.ts'
import type { DemoRecord } from '../../src/demo/records.ts'
import { SLOT, slotNs } from '../../src/demo/slots.ts'
import { createTraffic } from '../../src/demo/traffic.ts'
import { HOUR, MINUTE, NOON, SECOND } from './ranges.ts'
import { createTailnet } from './tailnet.ts'

const tailnet = createTailnet({ nodes: 50 })
const records = [...tailnet.records(NOON, NOON + 6n * HOUR)]
const keyOf = ({ node, openedNs, copy }: DemoRecord) => `${node.nodeId} ${openedNs} ${copy}`
const parts = Map.groupBy(records, keyOf)

test('a record in parts: same node, back to back, each with its own start, one tuple in all of them', () => {
  const split = [...parts.values()].filter((list) => list.length > 1)
  assert.ok(split.length > 20, `${split.length} split records`)
  const tuples = ({ entries }: DemoRecord) =>
    entries.flatMap((list, kind) =>
      list.map((one) => JSON.stringify([kind, one.proto, one.src, one.srcPort, one.dst, one.dstPort])),
    )
  let shared = 0
  let close = 0
  for (const list of split) {
    for (const [index, part] of list.entries()) {
      const before = list[index - 1]
      if (before === undefined) continue
      assert.ok(part.startNs >= before.endNs && part.startNs > before.startNs)
      if (part.startNs / 1_000_000n === before.startNs / 1_000_000n) close += 1
      const common = tuples(part).filter((tuple) => tuples(before).includes(tuple))
      assert.ok(common.length <= 1)
      shared += common.length
    }
  }
  assert.ok(shared > split.length / 2, 'most share a tuple')
  assert.ok(close > 0, 'some follow within a millisecond')
})

test('what is split adds up to what would have been whole', () => {
  const presence = createPresence(1, tailnet.nodes)
  const traffic = createTraffic(1, tailnet.nodes, createLinks(1, tailnet.nodes), presence)
  const sumOf = (entries: Iterable<DemoEntry>) => {
    let sum = 0n
    for (const { txBytes, rxPkts } of entries) sum += BigInt(txBytes) + BigInt(rxPkts)
    return sum
  }
  let compared = 0
  for (const list of parts.values()) {
    const [{ node, slot, openedNs, startNs }] = list as [DemoRecord]
    const clockNs = BigInt(node.clockNs)
    // Its times were not made round.
    if (list.length === 1 || startNs - clockNs !== openedNs) continue
    const [from, to] = [openedNs, list.at(-1)!.endNs - clockNs].map((ns) => Number(ns - slotNs(slot))) as [
      number,
      number,
    ]
    if (to > 2 * SLOT) continue
    const whole = traffic.entriesOf(node.index, { slot, from, to })
    assert.equal(sumOf(list.flatMap(({ entries }) => entries.flat())), sumOf(whole.flat()))
    compared += 1
  }
  assert.ok(compared > 15, `${compared} compared`)
})

test('a second upload differs in logged alone', () => {
  const textOf = (one: DemoRecord) => {
    const texts = [...tailnet.messages(one.loggedNs, one.loggedNs)]
    return texts
      .map((text) => text.replace(/^\{"logged":"[^"]+"/, '{'))
      .filter((text) => text.includes(one.node.nodeId))
  }
  const copies = records.filter((one) => one.copy)
  assert.ok(copies.length > 50, `${copies.length} second uploads`)
  let found = 0
  for (const copy of copies.slice(0, 60)) {
    const first = parts.get(keyOf({ ...copy, copy: false }))?.find((one) => one.part === copy.part)
    if (first === undefined) continue
    found += 1
    const laterNs = copy.loggedNs - first.loggedNs
    assert.ok(laterNs >= 30n * SECOND && laterNs <= 5n * MINUTE, `${laterNs} ns later`)
    assert.deepEqual(textOf(copy), textOf(first))
  }
  assert.ok(found > 40)
})

test('most records come within seconds, some minutes or hours late, all of them after they began', () => {
  const onTime = records.filter(({ node }) => Math.abs(node.clockNs) <= 2e9)
  assert.ok(onTime.length > records.length * 0.9 && onTime.length < records.length, 'some clocks are off by minutes')
  const lagsMs = onTime.map(({ loggedNs, startNs }) => Number(loggedNs - startNs) / 1e6).toSorted((a, b) => a - b)
  assert.ok(lagsMs[0]! > -2000, `shortest ${lagsMs[0]} ms`)
  const median = lagsMs[lagsMs.length >> 1]!
  assert.ok(median > 5000 && median < 10_000, `median ${median} ms`)
  assert.ok(lagsMs.at(-1)! > 3_600_000, `longest ${lagsMs.at(-1)} ms`)
  const late = records.filter((one) => one.late)
  assert.ok(late.length > 100 && late.length < records.length / 20, `${late.length} late records`)
  // After waking up a node sends what it held, in order and at once.
  const held = Map.groupBy(late, ({ node, loggedNs }) => `${node.nodeId} ${loggedNs / MINUTE}`)
  for (const list of held.values())
    assert.deepEqual(
      list.map(({ slot }) => slot),
      list.map(({ slot }) => slot).toSorted((a, b) => a - b),
    )
  const slept = late.filter(({ startNs, endNs }) => endNs - startNs > MINUTE)
  assert.ok(slept.length > 0, 'some windows last as long as the node slept')
})

test('some records are logged exactly on a minute, where windows meet', () => {
  assert.ok(records.filter(({ loggedNs }) => loggedNs % MINUTE === 0n).length > 50)
})

test('times have 0 to 9 fraction digits', () => {
  const digits = new Set<number>()
  for (const text of tailnet.messages(NOON, NOON + 2n * HOUR))
    for (const [, fraction = ''] of text.slice(0, 200).matchAll(/\d\d:\d\d:\d\d(?:\.(\d+))?Z/g)) {
      assert.ok(!fraction.endsWith('0'))
      digits.add(fraction.length)
    }
  assert.deepEqual(
    [...digits].toSorted((a, b) => a - b),
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
  )
})

test('without disorder there is none', () => {
  const calm = [...createTailnet({ nodes: 50, disorder: false }).records(NOON, NOON + HOUR)]
  assert.ok(calm.every((one) => !one.copy && !one.late && one.part === 0 && one.startNs <= one.openedNs))
  assert.equal(new Set(calm.map((one) => `${one.node.nodeId} ${one.startNs}`)).size, calm.length)
})

test('no two different records of a node have the same start', () => {
  const starts = new Map<string, string>()
  for (const { node, startNs, openedNs, part } of records) {
    const key = `${node.nodeId} ${startNs}`
    const known = starts.get(key) ?? `${openedNs} ${part}`
    assert.equal(`${openedNs} ${part}`, known)
    starts.set(key, known)
  }
})
