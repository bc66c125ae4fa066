/** What the devices API knows and points do not tell: whose a node is, and which addresses are one node's. */
import type { Device } from '../source/source.ts'

export interface People {
  /** The owner of a node: its user's login name, or its tags; `unknown` when nobody told. */
  ownerOf(nodeId: string): string
  /** The node with an address; the address itself when nobody told. */
  nodeOf(address: string): string
  /** Takes an answer of the devices API. */
  observe(devices: readonly Device[]): void
  /** Changes whenever answers may differ: caches compare it. */
  readonly version: number
  takeChanged(): Map<string, { owner: string; addresses: readonly string[] }>
  restore(nodeId: string, owner: string, addresses: readonly string[]): void
}

const UNKNOWN = 'unknown'

export function createPeople(): People {
  const owners = new Map<string, string>()
  const nodes = new Map<string, string>()
  let changed = new Map<string, { owner: string; addresses: readonly string[] }>()
  let version = 0

  return {
    ownerOf: (nodeId) => owners.get(nodeId) ?? UNKNOWN,
    nodeOf: (address) => nodes.get(address) ?? address,
    observe(devices) {
      for (const { nodeId, addresses, owner = UNKNOWN } of devices) {
        const isSame = owners.get(nodeId) === owner && addresses.every((address) => nodes.get(address) === nodeId)
        if (isSame) continue
        owners.set(nodeId, owner)
        for (const address of addresses) nodes.set(address, nodeId)
        changed.set(nodeId, { owner, addresses })
        version += 1
      }
    },
    get version() {
      return version
    },
    takeChanged() {
      const taken = changed
      changed = new Map()
      return taken
    },
    restore(nodeId, owner, addresses) {
      owners.set(nodeId, owner)
      for (const address of addresses) nodes.set(address, nodeId)
      version += 1
    },
  }
}
