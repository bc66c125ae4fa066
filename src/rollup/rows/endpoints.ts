/** Who the two sides of an edge are, as of one minute (names, owners, networks). */

import type { DirectoryView } from '../../directory/view.ts'

export interface Endpoint {
  /** A node's id, a folded network's name, an address, or `none`. */
  readonly id: string
  readonly name: string
  readonly owner: string
  readonly isNode: boolean
}

export const NONE = 'none'
export const NO_ENDPOINT: Endpoint = { id: NONE, name: NONE, owner: NONE, isNode: false }
/** What is beyond the series budget. */
export const OTHER: Endpoint = { id: 'other', name: 'other', owner: 'other', isNode: false }

export function endpointOfNode(node: string, directory: DirectoryView): Endpoint {
  const device = directory.device(node)
  return { id: node, name: device?.name || node, owner: device?.owner || NONE, isNode: true }
}

/** `claimed`: the node to which an address belongs that the directory does not know, by the points of the minute. */
export function endpointOfAddress(
  address: string,
  directory: DirectoryView,
  claimed: (address: string) => string | undefined,
): Endpoint {
  if (address === NONE) return NO_ENDPOINT
  const node = directory.nodeOf(address) ?? claimed(address)
  if (node !== undefined) return endpointOfNode(node, directory)
  const network = directory.networkOf(address)
  if (network === undefined) return { id: address, name: address, owner: NONE, isNode: false }
  return { id: network.isFolded ? network.name : address, name: network.name, owner: NONE, isNode: false }
}

/** The order of two endpoints where no port tells who serves: nodes before others before `none`, then byte order of the ids. */
export function compareEndpoints(one: Endpoint, other: Endpoint): number {
  return rankOf(one) - rankOf(other) || compareBytes(one.id, other.id)
}

function rankOf(endpoint: Endpoint): number {
  return endpoint.isNode ? 0 : endpoint.id === NONE ? 2 : 1
}

/** The order of the UTF-8 bytes, which is that of the code points: surrogates, though lower as code units, come last. */
export function compareBytes(one: string, other: string): number {
  const length = Math.min(one.length, other.length)
  for (let i = 0; i < length; i++) {
    const [a, b] = [one.charCodeAt(i), other.charCodeAt(i)]
    if (a !== b) return inOrder(a) - inOrder(b)
  }
  return one.length - other.length
}

function inOrder(unit: number): number {
  return unit >= 0xe000 ? unit - 0x800 : unit >= 0xd800 ? unit + 0x2000 : unit
}
