/** The device list of the simulated tailnet at a time: who is there, connected, and how it is called then. */
import { type DemoNode, DNS_SUFFIX } from './nodes.ts'
import type { Presence } from './presence.ts'
import { SLOT_NS, slotNs, slotOf } from './slots.ts'

/** Every so many laptops, one is renamed now and then. */
const RENAMED = 8
/** How long it keeps a name: two days. */
const NAME_SLOTS = 32_914
/** How long a name is the new one. */
const NEW_NAME_SLOTS = NAME_SLOTS / 4

/** The first label of a node's name at a time. */
export function nameAt({ role, index, hostname, phaseNs, user }: DemoNode, atNs: bigint): string {
  if (role !== 'laptop' || index % RENAMED !== 2) return hostname
  const slot = Number(atNs / SLOT_NS) + (phaseNs % NAME_SLOTS)
  return slot % NAME_SLOTS < NEW_NAME_SLOTS ? `${user?.split('@')[0]}-${hostname}` : hostname
}

/** The JSON texts of the device list at a time. Some shared nodes are not in it, and runners only while they exist. */
export function* deviceTexts(
  nodes: readonly DemoNode[],
  nameOf: (node: DemoNode, atNs: bigint) => string,
  presence: Presence,
  atNs: bigint,
): Generator<string> {
  const slot = slotOf(atNs)
  for (const node of nodes) {
    if (!node.listed || !presence.exists(node.index, slot)) continue
    const outage = presence.outageAt(node.index, slot)
    yield deviceText(node, nameOf(node, atNs), outage && secondText(slotNs(outage.from)))
  }
}

/** A node as the device list of the API has it. `lastSeen`: undefined while it is connected. */
function deviceText(node: DemoNode, hostname: string, lastSeen: string | undefined): string {
  const isExternal = node.domain !== DNS_SUFFIX
  return JSON.stringify({
    addresses: [node.v4.text, node.v6.text],
    id: String(50_000 + node.index),
    nodeId: node.nodeId,
    user: node.user ?? 'tagged-devices',
    name: `${hostname}.${node.domain}`,
    hostname,
    clientVersion: node.old ? '1.88.4' : '1.98.1',
    updateAvailable: node.old,
    os: node.os,
    created: isExternal ? '' : '2025-03-05T17:10:27Z',
    connectedToControl: lastSeen === undefined,
    ...(lastSeen === undefined ? {} : { lastSeen }),
    keyExpiryDisabled: node.tags !== undefined,
    expires: node.tags === undefined ? '2030-01-01T00:00:00Z' : '0001-01-01T00:00:00Z',
    authorized: true,
    isExternal,
    machineKey: '',
    nodeKey: `nodekey:${node.nodeId}`,
    blocksIncomingConnections: node.role === 'phone',
    tailnetLockError: '',
    tailnetLockKey: '',
    isEphemeral: node.role === 'runner',
    ...(node.tags === undefined ? {} : { tags: node.tags }),
  })
}

function secondText(ns: bigint): string {
  return `${new Date(Number(ns / 1_000_000n)).toISOString().slice(0, 19)}Z`
}
