import assert from 'node:assert/strict'
import { test } from 'node:test'
import ipaddr from 'ipaddr.js'
import { ROLES } from '../../src/demo/nodes.ts'
import { HOSTILE_NAMES } from './hostile.ts'
import type { TailnetOptions } from './options.ts'
import { MINUTE, NOON } from './ranges.ts'
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
  assert.deepEqual(
    devices.map((one) => one.hostname),
    tailnet.nodes.map((node) => node.hostname),
  )
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
