/** demo/: a simulated tailnet. Its history is a pure function of seed and size: every time range can be read, in any order, and always gives
 * the same messages. */
import { createLinks } from './links.ts'
import { createMessageWriter } from './messages.ts'
import { createNodes, type DemoNode, DNS_SUFFIX } from './nodes.ts'
import { createPresence } from './presence.ts'
import { createRecords } from './records.ts'
import { createTimes } from './times.ts'
import { createTraffic } from './traffic.ts'

export interface DemoTailnet {
  /** The JSON texts of the messages with `logged` from `fromNs` to `toNs`, both inclusive, in that order. */
  messages(fromNs: bigint, toNs: bigint): Iterable<string>
  /** The JSON texts of the device list. */
  devices(): Iterable<string>
}

export interface DemoTailnetOptions {
  readonly seed: number
  /** Number of nodes. */
  readonly nodes: number
}

export function createDemoTailnet({ seed, nodes: count }: DemoTailnetOptions): DemoTailnet {
  const nodes = createNodes(seed, count)
  const presence = createPresence(seed, nodes)
  const traffic = createTraffic(seed, nodes, createLinks(seed, nodes), presence)
  const records = createRecords(nodes, traffic, createTimes(seed, nodes), presence)
  const messageText = createMessageWriter(({ hostname }) => hostname)
  return {
    *messages(fromNs, toNs) {
      for (const record of records(fromNs, toNs)) yield messageText(record)
    },
    *devices() {
      for (const node of nodes) yield deviceText(node, node.hostname)
    },
  }
}

/** A node as the device list of the API has it. */
export function deviceText(node: DemoNode, hostname: string): string {
  return JSON.stringify({
    addresses: [node.v4.text, node.v6.text],
    id: String(50_000 + node.index),
    nodeId: node.nodeId,
    user: node.user ?? 'tagged-devices',
    name: `${hostname}.${DNS_SUFFIX}`,
    hostname,
    clientVersion: node.old ? '1.88.4' : '1.98.1',
    updateAvailable: node.old,
    os: node.os,
    created: '2025-03-05T17:10:27Z',
    connectedToControl: true,
    keyExpiryDisabled: node.tags !== undefined,
    expires: node.tags === undefined ? '2030-01-01T00:00:00Z' : '0001-01-01T00:00:00Z',
    authorized: true,
    isExternal: false,
    machineKey: '',
    nodeKey: `nodekey:${node.nodeId}`,
    blocksIncomingConnections: node.role === 'phone',
    tailnetLockError: '',
    tailnetLockKey: '',
    isEphemeral: false,
    ...(node.tags === undefined ? {} : { tags: node.tags }),
  })
}
