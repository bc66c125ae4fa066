/** What is known of nodes beside their points: what they are called now, whose they are, and which addresses are one node's. */
import { deviceByKey } from '../source/devices.ts'
import type { Device } from '../source/source.ts'

export interface Person {
  readonly name: string | undefined
  readonly owner: string | undefined
  readonly addresses: readonly string[]
}

export interface People {
  /** The owner of a node: its tags, or its user's login name; `unknown` when nobody told. */
  ownerOf(nodeId: string): string
  /** The newest name of a node; its id when nobody told. */
  nameOf(nodeId: string): string
  /** The node with an address; the address itself when nobody told. */
  nodeOf(address: string): string
  /** The directory calls the node so. */
  named(nodeId: string, name: string): void
  /** Takes an answer of the devices API. */
  observe(devices: readonly Device[]): void
  /** Changes whenever owners may differ: caches compare it. */
  readonly version: number
  /** The same for names. */
  readonly namesVersion: number
  /** Since the last `saved`. */
  changed(): Map<string, Person>
  saved(): void
  restore(nodeId: string, person: Person): void
}

const UNKNOWN = 'unknown'
/** More than any tailnet has; names of nodes that nobody vouches for must not fill the memory. */
const NODES_MAX = 200_000

export function createPeople(): People {
  const people = new Map<string, Person>()
  const nodes = new Map<string, string>()
  let changed = new Set<string>()
  let version = 0
  let namesVersion = 0

  function change(nodeId: string, person: Person): void {
    if (people.size >= NODES_MAX && !people.has(nodeId)) return
    people.set(nodeId, person)
    for (const address of person.addresses) nodes.set(address, nodeId)
    changed.add(nodeId)
  }

  const personOf = (nodeId: string): Person =>
    people.get(nodeId) ?? { name: undefined, owner: undefined, addresses: [] }

  return {
    ownerOf: (nodeId) => people.get(nodeId)?.owner ?? UNKNOWN,
    nameOf: (nodeId) => people.get(nodeId)?.name ?? nodeId,
    nodeOf: (address) => nodes.get(address) ?? address,
    named(nodeId, name) {
      const person = personOf(nodeId)
      if (person.name === name) return
      change(nodeId, { ...person, name })
      namesVersion += 1
    },
    observe(devices) {
      for (const { nodeId, addresses, owner } of devices) {
        const person = personOf(nodeId)
        const isSame = person.owner === owner && addresses.join() === person.addresses.join()
        if (isSame) continue
        change(nodeId, { ...person, owner, addresses })
        version += 1
      }
      // Several devices may claim one address.
      for (const [address, { nodeId }] of deviceByKey(devices)) {
        if (address === nodeId || nodes.get(address) === nodeId || !people.has(nodeId)) continue
        nodes.set(address, nodeId)
        version += 1
      }
    },
    get version() {
      return version
    },
    get namesVersion() {
      return namesVersion
    },
    changed: () => new Map([...changed].map((nodeId) => [nodeId, personOf(nodeId)])),
    saved() {
      changed = new Set()
    },
    restore(nodeId, person) {
      change(nodeId, person)
      changed.delete(nodeId)
      version += 1
      namesVersion += 1
    },
  }
}
