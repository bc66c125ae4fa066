import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PORTS } from '../../src/flatten/ports.ts'
import { answerOf, throughTheLine } from '../helpers/through-the-line.ts'
import type { ParsedLine } from '../sink/line-protocol/parse-lines.ts'
import type { TailnetOptions } from './options.ts'
import { assertSame, MINUTE, NOON, SECOND } from './ranges.ts'
import { createTailnet } from './tailnet.ts'
import { type TruthPoint, truthKey } from './truth.ts'

const KINDS = ['virtual', 'subnet', 'exit', 'physical'] as const
const FROM = NOON
const TO = NOON + 3n * MINUTE

/** Every point of the truth, and nothing else, with exactly its fields. */
function assertTruth(lines: readonly ParsedLine[], truth: Iterable<TruthPoint>): number {
  const missing = new Map<string, TruthPoint>()
  for (const point of truth) {
    const key = truthKey(point)
    assert.ok(!missing.has(key), `the truth has ${key} twice`)
    missing.set(key, point)
  }
  const count = missing.size
  /** What is uploaded twice comes twice, the same. */
  const seen = new Map<string, TruthPoint>()
  for (const line of lines) {
    const key = truthKey(line)
    const expected = missing.get(key) ?? seen.get(key)
    assert.ok(expected, `not in the truth: ${key.slice(0, 1000)}`)
    const names = Object.keys(expected.fields)
    const isSame = names.every((name) => line.fields[name] === expected.fields[name])
    if (!isSame || names.length !== Object.keys(line.fields).length) assert.deepEqual(line.fields, expected.fields, key)
    missing.delete(key)
    seen.set(key, expected)
  }
  assert.deepEqual([...missing.keys()].slice(0, 3), [], `${missing.size} of ${count} points are missing`)
  return count
}

const RENAMES = [
  { node: 2, atNs: FROM + 30n * SECOND, name: 'second-name' },
  { node: 2, atNs: FROM + 80n * SECOND, name: 'third, name=\\' },
  { node: 13, atNs: FROM + 70n * SECOND, name: 'moved' },
]

const tailnets: readonly (readonly [string, TailnetOptions])[] = [
  ['a usual tailnet', { nodes: 50 }],
  ['hostile texts in names, users, tags, addresses and protocols', { nodes: 100, hostile: true }],
  ['counters beyond what a double holds', { nodes: 20, bigCounters: true }],
  ['half of the clients old', { nodes: 30, oldClients: 0.5 }],
  ['devices that are renamed', { nodes: 30, oldClients: 0.3, renames: RENAMES }],
  ['names from the devices API alone', { nodes: 30, nodeInfo: false, renames: RENAMES, hostile: true }],
  ['exit traffic with destinations', { nodes: 50, exitDestinations: true }],
  ['a port scan in split records', { nodes: 10, scan: { nodes: 1, tuples: 2200 } }],
  ['everything at once', { nodes: 40, seed: 7, hostile: true, bigCounters: true, oldClients: 0.4, renames: RENAMES }],
]

for (const [what, options] of tailnets) {
  test(`reader, flattener and line writer give the truth: ${what}`, () => {
    const tailnet = createTailnet(options)
    const toNs = options.scan ? FROM + 20n * SECOND : TO
    for (const ports of PORTS) {
      const { lines, quarantined } = throughTheLine(answerOf(tailnet.messages(FROM, toNs)), { ports })
      assert.deepEqual(quarantined, [])
      const count = assertTruth(lines, tailnet.truth(FROM, toNs, { ports }))
      assert.ok(count > 100, `${count} points`)
    }
  })
}

test('the truth holds what the entries hold, in every mode, by kind', () => {
  const tailnet = createTailnet({ nodes: 30, hostile: true, bigCounters: true })
  const sums = tailnet.sums(FROM, TO)
  for (const ports of PORTS) {
    const points = [...tailnet.truth(FROM, TO, { ports })]
    for (const kind of KINDS) {
      const total = (field: string) =>
        points.filter((point) => point.tags['kind'] === kind).reduce((sum, point) => sum + point.fields[field]!, 0n)
      assert.deepEqual(
        {
          entries: Number(total('flows')),
          txBytes: total('tx_bytes'),
          txPkts: total('tx_pkts'),
          rxBytes: total('rx_bytes'),
          rxPkts: total('rx_pkts'),
        },
        sums[kind],
      )
    }
  }
})

test('a window read again in other pieces gives the same lines, whatever devices are called', () => {
  const tailnet = createTailnet({ nodes: 30, oldClients: 0.3, renames: RENAMES })
  const read = (stepNs: bigint) => {
    const keys: string[] = []
    for (let fromNs = FROM; fromNs < TO; fromNs += stepNs) {
      const { lines } = throughTheLine(answerOf(tailnet.messages(fromNs, fromNs + stepNs < TO ? fromNs + stepNs : TO)))
      for (const line of lines) keys.push(JSON.stringify([truthKey(line), String(line.fields['tx_bytes'])]))
    }
    return [...new Set(keys)].toSorted()
  }
  assertSame(read(7n * SECOND), read(TO - FROM))
})
