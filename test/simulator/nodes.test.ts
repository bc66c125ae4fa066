import assert from 'node:assert/strict'
import { test } from 'node:test'
import ipaddr from 'ipaddr.js'
import { ROLES } from '../../src/demo/nodes.ts'
import { HOSTILE_NAMES } from './hostile.ts'
import type { TailnetOptions } from './options.ts'
import { HOUR, MINUTE, NOON, SECOND } from './ranges.ts'
import { createTailnet } from './tailnet.ts'

interface WireNode {
  readonly nodeId: string
  readonly name: string
  readonly addresses: readonly string[]
  readonly os?: string
  readonly user?: string
  readonly tags?: readonly string[]
}
interface WireMessage {
  readonly nodeId: string
  readonly start: string
  readonly srcNode?: WireNode
  readonly dstNodes?: readonly WireNode[]
}

const messagesOf = (options: TailnetOptions, fromNs = NOON) =>
  [...createTailnet(options).messages(fromNs, fromNs + 10n * MINUTE)].map((text) => JSON.parse(text) as WireMessage)

test('from 5 to 50,000 nodes, every id and address is one of its own', () => {
  for (const nodes of [5, 50, 1000, 50_000]) {
    const tailnet = createTailnet({ nodes })
    assert.equal(tailnet.nodes.length, nodes)
    const roles = Map.groupBy(tailnet.nodes, (node) => node.role)
    const expected = ROLES.filter((role) => nodes >= 20 || !['sensor', 'runner', 'shared'].includes(role))
    assert.deepEqual([...roles.keys()].toSorted(), [...expected].toSorted(), 'every role')
    const keys = tailnet.nodes.flatMap((node) => [node.nodeId, node.v4.text, node.v6.text])
    assert.equal(new Set(keys).size, nodes * 3)
    for (const { nodeId, v4, v6, user, tags } of tailnet.nodes) {
      assert.match(nodeId, /^n[1-9A-HJ-NP-Za-km-z]+CNTRL$/)
      assert.ok((user === undefined) !== (tags === undefined), 'either a user or tags')
      if (nodes > 1000) continue
      assert.equal(ipaddr.parse(v4.text).range(), 'carrierGradeNat')
      assert.ok(ipaddr.parse(v6.text).match(ipaddr.parseCIDR('fd7a:115c:a1e0::/48')))
    }
  }
})

test('what is out of bounds is refused with a reason', () => {
  const refused: [TailnetOptions, RegExp][] = [
    [{ nodes: 4 }, /nodes must be a whole number from 5 to 50,000, not 4/],
    [{ nodes: 50_001 }, /nodes/],
    [{ nodes: 10.5 }, /nodes/],
    [{ seed: 0.5 }, /seed/],
    [{ activity: -1 }, /activity/],
    [{ activity: Number.NaN }, /activity/],
    [{ oldClients: 2 }, /oldClients/],
    [{ nodes: 10, renames: [{ node: 10, atNs: 0n, name: 'x' }] }, /no node 10 to rename/],
    [{ nodes: 10, scan: { nodes: 11, tuples: 1 } }, /scan/],
    [{ nodes: 10, scan: { nodes: 1, tuples: -1 } }, /scan/],
  ]
  for (const [options, reason] of refused)
    assert.throws(() => createTailnet(options), { name: 'RangeError', message: reason })
})

test('messages describe their own node and the others in them, those of old clients do not', () => {
  const tailnet = createTailnet({ nodes: 50 })
  const byId = new Map(tailnet.nodes.map((node) => [node.nodeId, node]))
  const messages = messagesOf({ nodes: 50 })
  let described = 0
  for (const { nodeId, srcNode, dstNodes } of messages) {
    const node = byId.get(nodeId)!
    assert.equal(srcNode === undefined, node.old)
    if (srcNode === undefined) {
      assert.equal(dstNodes, undefined)
      continue
    }
    assert.equal(srcNode.nodeId, nodeId)
    assert.equal(srcNode.os, undefined)
    assert.deepEqual(srcNode.addresses, [node.v4.text, node.v6.text])
    assert.equal(srcNode.user, node.user)
    assert.deepEqual(srcNode.tags, node.tags)
    for (const other of dstNodes ?? []) assert.notEqual(other.nodeId, nodeId)
    described += dstNodes?.length ?? 0
  }
  assert.ok(described > messages.length)
  assert.ok(
    messages.some(({ srcNode }) => srcNode === undefined),
    'some clients are old',
  )
  assert.ok(messagesOf({ nodes: 50, nodeInfo: false }).every(({ srcNode }) => srcNode === undefined))
  assert.ok(messagesOf({ nodes: 50, oldClients: 0 }).every(({ srcNode }) => srcNode !== undefined))
})

test('a device is renamed in the messages of its time and in the devices API', () => {
  const atNs = NOON + 5n * MINUTE
  const options: TailnetOptions = { nodes: 20, oldClients: 0, renames: [{ node: 5, atNs, name: 'new,name' }] }
  const tailnet = createTailnet(options)
  const { nodeId, hostname } = tailnet.nodes[5]!
  const seen = new Set<string>()
  for (const message of messagesOf(options)) {
    for (const node of [message.srcNode!, ...(message.dstNodes ?? [])]) {
      if (node.nodeId !== nodeId) continue
      const isAfter = BigInt(Date.parse(message.start)) * 1_000_000n >= atNs
      assert.equal(node.name, `${isAfter ? 'new,name' : hostname}.tail1234.ts.net`)
      seen.add(node.name)
    }
  }
  assert.equal(seen.size, 2)
  const nameAt = (ns: bigint) =>
    [...tailnet.devices(ns)].map((text) => JSON.parse(text) as WireNode).find((one) => one.nodeId === nodeId)!.name
  assert.equal(nameAt(atNs - 1n), `${hostname}.tail1234.ts.net`)
  assert.equal(nameAt(atNs), 'new,name.tail1234.ts.net')
})

test('hostile texts come whole through JSON', () => {
  const tailnet = createTailnet({ nodes: 100, hostile: true })
  const devices = [...tailnet.devices(NOON)].map((text) => JSON.parse(text) as WireNode & { hostname: string })
  const hostnames = new Map(tailnet.nodes.map((node) => [node.nodeId, node.hostname]))
  assert.ok(devices.length > 90)
  for (const { nodeId, hostname } of devices) assert.equal(hostname, hostnames.get(nodeId))
  for (const name of HOSTILE_NAMES)
    assert.ok(
      devices.some((one) => one.hostname === name),
      JSON.stringify(name.slice(0, 20)),
    )
  assert.ok(
    devices.some((one) => one.user?.includes('"=')) &&
      devices.some((one) => one.tags?.some((tag) => tag.includes('\\'))),
  )
  const messages = messagesOf({ nodes: 100, hostile: true })
  const names = new Set(messages.flatMap((one) => [one.srcNode, ...(one.dstNodes ?? [])].map((node) => node?.name)))
  assert.ok([...names].some((name) => name?.includes('\n')) && [...names].some((name) => (name?.length ?? 0) > 10_000))
})

interface WireDevice extends WireNode {
  readonly hostname: string
  readonly connectedToControl: boolean
  readonly lastSeen?: string
  readonly isExternal: boolean
  readonly isEphemeral: boolean
  readonly created: string
}

const devicesOf = (options: TailnetOptions, atNs: bigint) =>
  new Map(
    [...createTailnet(options).devices(atNs)].map((text) => {
      const device = JSON.parse(text) as WireDevice
      return [device.nodeId, device]
    }),
  )

test('the device list: who is connected, when others were last seen, and nodes of other tailnets', () => {
  const options = { nodes: 100 }
  const { nodes } = createTailnet(options)
  const devices = devicesOf(options, NOON)
  const away = [...devices.values()].filter((one) => !one.connectedToControl)
  assert.ok(away.length > 2 && away.length < 50, `${away.length} are away`)
  for (const { lastSeen = '' } of away) {
    const ns = BigInt(Date.parse(lastSeen)) * 1_000_000n
    assert.ok(ns <= NOON && ns > NOON - 6n * HOUR, lastSeen)
  }
  for (const one of devices.values()) assert.equal(one.lastSeen === undefined, one.connectedToControl)
  const shared = nodes.filter(({ role }) => role === 'shared')
  const listed = shared.flatMap(({ nodeId }) => devices.get(nodeId) ?? [])
  assert.ok(listed.length > 0 && listed.length < shared.length, 'some of them')
  for (const one of listed) {
    assert.ok(one.isExternal && one.created === '')
    assert.match(one.name, /^shared-\d+\.tail5678\.ts\.net$/)
  }
  for (const node of nodes.filter(({ role }) => role !== 'shared' && role !== 'runner'))
    assert.equal(devices.get(node.nodeId)?.isExternal, false)
})

test('devices come and go, and some are renamed, in the device list and in messages alike', () => {
  const options = { nodes: 100, oldClients: 0, renames: 'demo' } as const
  const { nodes } = createTailnet(options)
  const hours = Array.from({ length: 14 }, (_, index) => devicesOf(options, NOON + BigInt(index) * 4n * HOUR))
  for (const { nodeId } of nodes.filter(({ role }) => role === 'runner')) {
    const there = hours.map((devices) => devices.has(nodeId))
    assert.ok(there.includes(true) && there.includes(false), `${there}`)
    assert.ok(hours.every((devices) => devices.get(nodeId)?.isEphemeral !== false))
  }
  const names = nodes.map(({ nodeId }) => new Set(hours.flatMap((devices) => devices.get(nodeId)?.name ?? [])))
  const renamed = names.filter(({ size }) => size === 2).length
  assert.ok(renamed > 0 && renamed < 20, `${renamed} are renamed`)
  for (const { srcNode } of messagesOf(options)) assert.equal(srcNode?.name, hours[0]?.get(srcNode?.nodeId ?? '')?.name)
})

test('a node that does not report is talked to, and is in the device list', () => {
  const tailnet = createTailnet({ nodes: 50 })
  const silent = tailnet.nodes.find(({ role, reports }) => role === 'server' && !reports)!
  const devices = devicesOf({ nodes: 50 }, NOON)
  assert.equal(devices.get(silent.nodeId)?.connectedToControl, true)
  let talked = 0
  for (const { node, entries } of tailnet.records(NOON, NOON + HOUR)) {
    assert.ok(node.reports, node.hostname)
    talked += entries[0].filter(({ dst }) => dst === silent.v4).length
  }
  assert.ok(talked > 10, `${talked} entries`)
})

test('sensors speak every 20 minutes, and not in between', () => {
  const tailnet = createTailnet({ nodes: 100, disorder: false })
  const starts = Map.groupBy(tailnet.records(NOON, NOON + 2n * HOUR), ({ node }) => node)
  const sensors = tailnet.nodes.filter(({ role }) => role === 'sensor')
  assert.ok(sensors.length > 1)
  for (const node of sensors) {
    const times = starts.get(node)?.map(({ startNs }) => startNs) ?? []
    assert.ok(times.length >= 5 && times.length <= 14, `${times.length} records`)
    for (const [index, ns] of times.entries()) {
      const after = ns - (times[index - 1] ?? ns)
      assert.ok(after < 10n * SECOND || (after > 19n * MINUTE && after < 21n * MINUTE), `${after} ns`)
    }
  }
})
