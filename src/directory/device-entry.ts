/** What the device list or a message says about a node, as an entry of the directory: texts cleaned as tag values are, so that what is read back is the
 * same, and names masked before anything keeps them. */
import { isIP } from 'node:net'
import { isTailnetAddress } from '../base/tailnet-address.ts'
import { shortName, tagValue } from '../flatten/tag-value.ts'
import { deviceByKey } from '../source/devices.ts'
import type { NodeInfo } from '../source/parse/message.ts'
import type { Device } from '../source/source.ts'
import type { DeviceEntry } from './device-version.ts'

/** How the settings mask names (`privacy.names`). What is masked already stays as it is. */
export interface NameMask {
  /** Undefined when names are dropped. */
  name(text: string): string | undefined
  owner(text: string): string | undefined
}

/** A node has two. */
const ADDRESSES_MAX = 16

/** The entries of one answer of the devices API. An address that several devices have is that of one of them alone. */
export function entriesOfList(devices: readonly Device[], loggedNs: bigint, mask: NameMask): DeviceEntry[] {
  const byKey = deviceByKey(devices)
  return devices.flatMap((device) => {
    const { nodeId, name, owner = '', os = '', addresses } = device
    if (byKey.get(nodeId) !== device || !isId(nodeId)) return []
    const own = addresses.filter((address) => byKey.get(address) === device)
    return { node: nodeId, ...labels(name, owner, os, mask), addresses: own, source: 'api' as const, loggedNs }
  })
}

/** What a message says about a node; undefined without an id that can be one. Only addresses of a tailnet: a node that says it has 8.8.8.8 must not become
 * the endpoint of everybody's traffic to it. */
export function entryOfNode(
  info: NodeInfo,
  source: 'self' | 'peer',
  loggedNs: bigint,
  mask: NameMask,
): DeviceEntry | undefined {
  if (!isId(info.id)) return undefined
  const owner = info.tags.filter(Boolean).toSorted().join() || info.user
  return {
    node: info.id,
    ...labels(shortName(info.name) ?? '', owner, info.os, mask),
    addresses: info.addresses
      .filter((one) => isIP(one) !== 0 && !one.includes('%') && isTailnetAddress(one))
      .slice(0, ADDRESSES_MAX),
    source,
    loggedNs,
  }
}

function labels(name: string, owner: string, os: string, mask: NameMask) {
  return { name: clean(mask.name(name) ?? ''), owner: clean(ownerOf(owner, mask)), os: clean(os) }
}

/** The masked form of an owner; empty when it is not known, or dropped. */
export function ownerOf(owner: string, mask: NameMask): string {
  return owner === '' ? '' : (mask.owner(owner) ?? '')
}

function clean(text: string): string {
  return text === '' ? '' : tagValue(text)
}

/** As a tag value it is the same text, and no other endpoint is called so. */
function isId(text: string): boolean {
  return text !== '' && text !== 'none' && text !== 'other' && tagValue(text) === text && !text.includes(' ')
}
