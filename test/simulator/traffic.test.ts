import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { DemoEntry } from '../../src/demo/entries.ts'
import type { Role } from '../../src/demo/nodes.ts'
import type { DemoRecord } from '../../src/demo/records.ts'
import type { TailnetOptions } from './options.ts'
import { DAY, HOUR, MINUTE, NOON, parseExact } from './ranges.ts'
import { createTailnet } from './tailnet.ts'

const VIRTUAL = 0
const SUBNET = 1
const EXIT = 2
const PHYSICAL = 3
/** Without lost uploads and splits every record of a slot is there, once and whole. */
const CALM: TailnetOptions = { nodes: 50, disorder: false }

function recordsOf(options: TailnetOptions, lengthNs = 30n * MINUTE, fromNs = NOON): DemoRecord[] {
  return [...createTailnet(options).records(fromNs, fromNs + lengthNs)]
}

const endText = (address: DemoEntry['src'], port: number) => (address ? `${address.open}${port}` : '')
const tupleOf = (one: DemoEntry) => `${one.proto} ${endText(one.src, one.srcPort)} ${endText(one.dst, one.dstPort)}`
const mirrorOf = (one: DemoEntry) => `${one.proto} ${endText(one.dst, one.dstPort)} ${endText(one.src, one.srcPort)}`

interface Sent {
  /** Bytes and packets, over all records of the range, and over those that are well inside it. */
  all: [number, number]
  inside: [number, number]
  /** Numbers of the records. */
  readonly records: Set<number>
}

/** What was sent or received, by a key of the traffic. */
function createSums(records: readonly DemoRecord[]) {
  const slots = records.map(({ slot }) => slot)
  const from = Math.min(...slots) + 8
  const to = Math.max(...slots) - 8
  const sums = new Map<string, Sent>()
  return {
    sums,
    add(key: string, { slot }: DemoRecord, number: number, bytes: number | bigint, pkts: number | bigint): void {
      let sum = sums.get(key)
      if (sum === undefined) sums.set(key, (sum = { all: [0, 0], inside: [0, 0], records: new Set() }))
      sum.records.add(number)
      for (const one of slot >= from && slot <= to ? [sum.all, sum.inside] : [sum.all]) {
        one[0] += Number(bytes)
        one[1] += Number(pkts)
      }
    },
  }
}

/** Packets sent, and lost of them, where both ends have all of it inside the range. */
function assertMirrored(sent: ReadonlyMap<string, Sent>, got: ReadonlyMap<string, Sent>): [number, number] {
  let [sentPkts, lostPkts] = [0, 0]
  for (const [key, one] of sent) {
    const other = got.get(key)
    if (one.inside[1] > 0) assert.ok(other, `the far end says nothing of ${key}`)
    if (other === undefined) continue
    assert.ok(other.inside[0] <= one.all[0] && other.inside[1] <= one.all[1], key)
    assert.ok(one.inside[1] * 0.8 - 20 <= other.all[1], `${key}: ${one.inside} were sent, ${other.all} came`)
    if (one.inside[1] !== one.all[1] || other.inside[1] !== other.all[1]) continue
    sentPkts += one.all[1]
    lostPkts += one.all[1] - other.all[1]
  }
  return [sentPkts, lostPkts]
}

test('both ends report node-to-node and subnet traffic, each in its own records, less what was lost between them', () => {
  const tailnet = createTailnet(CALM)
  const silent = new Set(
    tailnet.nodes
      .filter((node) => !node.reports)
      .flatMap(({ v4, v6, index }) => [v4.text, v6.text, `100.127.${index >> 8}.${index & 255}`]),
  )
  assert.ok(silent.size > 0)
  const isTold = (address: DemoEntry['src']) => address !== undefined && !silent.has(address.text)
  const records = recordsOf(CALM)
  const { sums: sent, add: addSent } = createSums(records)
  const { sums: got, add: addGot } = createSums(records)
  for (const [number, record] of records.entries()) {
    for (const kind of [VIRTUAL, SUBNET]) {
      for (const one of record.entries[kind]!) {
        if (!isTold(one.src) || !isTold(one.dst)) continue
        addSent(`${kind} ${tupleOf(one)}`, record, number, one.txBytes, one.txPkts)
        addGot(`${kind} ${mirrorOf(one)}`, record, number, one.rxBytes, one.rxPkts)
      }
    }
  }
  const [pkts, lost] = assertMirrored(sent, got)
  assert.ok(sent.size > 10_000, `only ${sent.size} connections`)
  assert.ok(lost > 0 && lost < pkts / 200, `${lost} of ${pkts} packets are lost`)
  const apart = [...sent].filter(([key, one]) => one.records.size !== got.get(key)?.records.size)
  assert.ok(apart.length > sent.size / 100, `${apart.length} connections are cut otherwise at their other end`)
})

test('physical traffic mirrors too, and is what the rest sums up to, encrypted', () => {
  const records = recordsOf(CALM)
  const { nodes } = createTailnet(CALM)
  const nodeOf = new Map(nodes.map((node) => [node.v4.text, node]))
  const { sums: sent, add: addSent } = createSums(records)
  const { sums: got, add: addGot } = createSums(records)
  for (const [number, record] of records.entries()) {
    const { node, entries } = record
    let inside = 0
    for (const kind of [VIRTUAL, SUBNET, EXIT])
      for (const one of entries[kind]!) if (one.src || one.dst) inside += Number(one.txBytes) + Number(one.txPkts) * 60
    let outside = 0
    for (const one of entries[PHYSICAL]) {
      const peer = nodeOf.get(one.src!.text)!
      assert.equal(one.proto, 0)
      assert.equal(one.srcPort, 0)
      outside += Number(one.txBytes)
      if (!peer.reports) continue
      const path = one.dst!.text === '127.3.3.40' ? `derp-${one.dstPort}` : 'direct'
      addSent(`${node.index} ${peer.index} ${path}`, record, number, one.txBytes, one.txPkts)
      addGot(`${peer.index} ${node.index} ${path}`, record, number, one.rxBytes, one.rxPkts)
    }
    // Keep-alives belong to no connection, and some exit traffic names neither end.
    const hasUnnamed = entries[EXIT].some((one) => !one.src && !one.dst)
    assert.ok(outside >= inside && (hasUnnamed || outside - inside <= 1000), `${outside} bytes for ${inside}`)
  }
  assert.ok(sent.size > 300, `${sent.size} pairs and paths`)
  assertMirrored(sent, got)
})

test('a record begins with a packet, lasts five seconds or until its client begins anew, and the next one follows with the next packet', () => {
  const records = recordsOf({ ...CALM, nodes: 20 }, HOUR)
  const perNode = Map.groupBy(records, ({ node }) => node)
  assert.ok(perNode.size > 15)
  let isWhole = 0
  for (const [node, list] of perNode) {
    list.sort((a, b) => Number(a.openedNs - b.openedNs))
    for (const [index, { startNs, endNs, openedNs, entries }] of list.entries()) {
      const lengthNs = endNs - startNs
      assert.ok(lengthNs >= -MINUTE / 60n && lengthNs <= 6_100_000_000n, `${lengthNs} ns`)
      assert.ok(entries.some((some) => some.length > 0))
      const next = list[index + 1]
      if (next) assert.ok(next.openedNs >= openedNs + 1n)
      if (!node.old && lengthNs > 4_900_000_000n) isWhole += 1
    }
  }
  const young = records.filter(({ node }) => !node.old).length
  assert.ok(isWhole > young * 0.7, `${isWhole} of ${young}`)
})

test('an hour of fifty nodes has every kind, protocol, family and path', () => {
  const records = recordsOf({ nodes: 50 }, HOUR)
  const count = (kind: number, matches: (one: DemoEntry) => boolean) =>
    records.reduce((sum, { entries }) => sum + entries[kind]!.filter(matches).length, 0)
  const isV6 = (one: DemoEntry) => one.src?.text.includes(':') === true
  const isRelay = (one: DemoEntry) => one.dst?.text === '127.3.3.40'
  const virtual = (proto: number) => count(VIRTUAL, (one) => one.proto === proto)
  const seen = {
    ...{ tcp: virtual(6), udp: virtual(17), icmp: virtual(1), icmp6: virtual(58), tsmp: virtual(99) },
    ...{ v4: count(VIRTUAL, (one) => !isV6(one)), v6: count(VIRTUAL, isV6), subnet: count(SUBNET, () => true) },
    exitClient: count(EXIT, (one) => one.src !== undefined && one.dst === undefined),
    exitNode: count(EXIT, (one) => one.src === undefined && one.dst !== undefined),
    exitNeither: count(EXIT, (one) => one.src === undefined && one.dst === undefined),
    relayed: count(PHYSICAL, isRelay),
    direct4: count(PHYSICAL, (one) => !isRelay(one) && !one.dst!.text.includes(':')),
    direct6: count(PHYSICAL, (one) => one.dst!.text.includes(':')),
  }
  assert.deepEqual(
    Object.entries(seen).filter(([, number]) => number < 5),
    [],
  )
  const many = recordsOf({ nodes: 1000 }, 10n * MINUTE)
  const protos = new Set(many.flatMap(({ entries }) => entries[VIRTUAL].map((one) => one.proto)))
  assert.deepEqual([...protos].toSorted(), [1, 132, 17, 255, 47, 58, 6, 99])
  const regions = new Set(many.flatMap(({ entries }) => entries[PHYSICAL].filter(isRelay).map((one) => one.dstPort)))
  assert.ok(regions.has(901) && regions.size > 10)
  const twoPaths = many.filter(
    ({ entries }) => new Set(entries[PHYSICAL].map((one) => one.src)).size < entries[PHYSICAL].length,
  )
  assert.ok(twoPaths.length > 10, 'some peers are reached over two paths in one record')
})

test('a tuple occurs once per message and kind, and a record keeps below the size at which clients split it', () => {
  const options: TailnetOptions = { nodes: 50, hostile: true, scan: { nodes: 1, tuples: 2500 } }
  const tailnet = createTailnet(options)
  let largest = 0
  for (const record of tailnet.records(NOON, NOON + 15n * MINUTE)) {
    for (const list of record.entries) assert.equal(new Set(list.map(tupleOf)).size, list.length)
    largest = Math.max(
      largest,
      record.entries.reduce((sum, list) => sum + list.length, 0),
    )
  }
  assert.ok(largest > 800 && largest <= 1060, `${largest} entries`)
  for (const text of tailnet.messages(NOON, NOON + MINUTE)) assert.ok(text.length <= 256 * 1024, `${text.length} bytes`)
})

test('people work by day and on weekdays, machines always, backups run at night', () => {
  const tailnet = createTailnet({ nodes: 200 })
  const load = (roles: readonly Role[], fromNs: bigint, matches: (one: DemoEntry) => boolean = () => true) => {
    let entries = 0
    for (const record of tailnet.records(fromNs, fromNs + 20n * MINUTE))
      if (roles.includes(record.node.role)) entries += record.entries[VIRTUAL].filter(matches).length
    return entries
  }
  const mondayNight = NOON - 9n * HOUR
  const sundayNoon = NOON - DAY
  // People live in four time zones, so the tailnet never sleeps altogether.
  const workday = load(['laptop'], NOON)
  assert.ok(workday > 2 * load(['laptop'], mondayNight), 'by day more than at night')
  assert.ok(workday > 2 * load(['laptop'], sundayNoon), 'on Monday more than on Sunday')
  const isMachine = (one: DemoEntry) => [one.srcPort, one.dstPort].some((port) => [9100, 514, 6379].includes(port))
  const steady = [NOON, mondayNight, sundayNoon].map((at) => load(['server', 'router', 'exit'], at, isMachine))
  assert.ok(Math.min(...steady) > 0.6 * Math.max(...steady), `machines: ${steady}`)
  const isBackup = (one: DemoEntry) => one.dstPort === 873
  assert.equal(load(['server'], NOON, isBackup), 0)
  assert.ok(load(['server'], NOON - 10n * HOUR, isBackup) > 50)
  // The same hour of another week is as busy, but not the same.
  const later = load(['laptop'], NOON + 7n * DAY)
  assert.ok(later !== workday && Math.abs(later - workday) < workday / 2)
})

test('exit traffic is anonymised, unless destinations are switched on', () => {
  const anonymous = recordsOf({ nodes: 50 }).flatMap(({ entries }) => entries[EXIT])
  for (const one of anonymous) {
    assert.equal(one.proto, 0)
    assert.ok(one.src === undefined || one.srcPort === 0)
    assert.ok(one.dst === undefined || one.dstPort === 0)
    assert.ok(one.src === undefined || one.dst === undefined)
  }
  const logged = recordsOf({ nodes: 50, exitDestinations: true })
    .flatMap(({ entries }) => entries[EXIT])
    .filter((one) => one.src !== undefined)
  assert.ok(logged.length > 100)
  for (const one of logged) assert.ok(one.proto === 6 && one.dst !== undefined && one.srcPort > 0 && one.dstPort > 0)
})

test('big counters are beyond what a double holds, and exact on the wire', () => {
  const tailnet = createTailnet({ nodes: 20, bigCounters: true })
  let big = 0
  const texts = tailnet.messages(NOON, NOON + 10n * MINUTE)[Symbol.iterator]()
  for (const { entries } of tailnet.records(NOON, NOON + 10n * MINUTE)) {
    const message = parseExact(texts.next().value) as Record<string, { txBytes?: bigint; rxBytes?: bigint }[]>
    const lists = ['virtualTraffic', 'subnetTraffic', 'exitTraffic', 'physicalTraffic'].map(
      (name) => message[name] ?? [],
    )
    for (const [kind, list] of entries.entries()) {
      for (const [index, { txBytes, rxBytes }] of list.entries()) {
        assert.equal(lists[kind]![index]?.txBytes ?? 0n, BigInt(txBytes))
        assert.equal(lists[kind]![index]?.rxBytes ?? 0n, BigInt(rxBytes))
        if (txBytes > Number.MAX_SAFE_INTEGER) big += 1
        assert.ok(txBytes < 1n << 62n && rxBytes < 1n << 62n)
      }
    }
  }
  assert.ok(big > 5, `${big} big counters`)
})

test('activity turns everything up or down', () => {
  const entriesAt = (activity: number) =>
    recordsOf({ nodes: 50, activity }, 10n * MINUTE).reduce(
      (sum, { entries }) => sum + entries.reduce((of, list) => of + list.length, 0),
      0,
    )
  const [low, usual, high] = [0.2, 1, 5].map(entriesAt)
  assert.ok(low! < usual! / 2 && high! > usual! * 2, `${low} ${usual} ${high}`)
})
