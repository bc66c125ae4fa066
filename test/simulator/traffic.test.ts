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

/** True for records of slots whose records are all inside the range. */
function wholeSlots(records: readonly DemoRecord[]): (record: DemoRecord) => boolean {
  const slots = records.map(({ slot }) => slot)
  const from = Math.min(...slots) + 8
  const to = Math.max(...slots) - 8
  return ({ slot }) => slot >= from && slot <= to
}

test('both ends report node-to-node and subnet traffic, mirrored, less what was lost between them', () => {
  const records = recordsOf(CALM).filter(wholeSlots(recordsOf(CALM)))
  const reported = new Map<string, DemoEntry>()
  for (const { slot, entries } of records)
    for (const kind of [VIRTUAL, SUBNET])
      for (const one of entries[kind]!) reported.set(`${slot} ${kind} ${tupleOf(one)}`, one)
  let lost = 0
  let sent = 0
  for (const { slot, entries } of records) {
    for (const kind of [VIRTUAL, SUBNET]) {
      for (const one of entries[kind]!) {
        const other = reported.get(`${slot} ${kind} ${mirrorOf(one)}`)
        assert.ok(other, `the far end says nothing of ${tupleOf(one)} in slot ${slot}`)
        assert.ok(other.rxPkts <= one.txPkts && other.rxBytes <= one.txBytes)
        sent += Number(one.txPkts)
        lost += Number(one.txPkts) - Number(other.rxPkts)
      }
    }
  }
  assert.ok(reported.size > 10_000, `only ${reported.size} connections`)
  assert.ok(lost > 0 && lost < sent / 100, `${lost} of ${sent} packets are lost`)
})

test('physical traffic mirrors too, and is what the rest sums up to, encrypted', () => {
  const all = recordsOf(CALM)
  const records = all.filter(wholeSlots(all))
  const nodeOf = new Map(createTailnet(CALM).nodes.map((node) => [node.v4.text, node.index]))
  const sent = new Map<string, number>()
  const got = new Map<string, number>()
  for (const { node, slot, entries } of records) {
    let inside = 0
    for (const kind of [VIRTUAL, SUBNET, EXIT])
      for (const one of entries[kind]!) if (one.src || one.dst) inside += Number(one.txBytes) + Number(one.txPkts) * 60
    let outside = 0
    for (const one of entries[PHYSICAL]) {
      const peer = nodeOf.get(one.src!.text)!
      assert.equal(one.proto, 0)
      assert.equal(one.srcPort, 0)
      const [out, back] = [`${slot} ${node.index} ${peer}`, `${slot} ${peer} ${node.index}`]
      sent.set(out, (sent.get(out) ?? 0) + Number(one.txBytes))
      got.set(back, (got.get(back) ?? 0) + Number(one.rxBytes))
      outside += Number(one.txBytes)
    }
    // Keep-alives belong to no connection.
    assert.ok(outside >= inside && outside - inside <= 1000, `${outside} bytes for ${inside}`)
  }
  assert.ok(sent.size > 5000)
  for (const [pair, bytes] of got) assert.ok(bytes <= sent.get(pair)!, pair)
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
