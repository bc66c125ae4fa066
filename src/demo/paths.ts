/** Encrypted traffic between two nodes: directly to one of the peer's endpoints, over a DERP relay, or over both. */

import { addCounts, type Counts, type DemoEntry } from './entries.ts'
import { addressOf, type DemoNode, type Endpoint } from './nodes.ts'
import { mix } from './random.ts'

/** Bytes that WireGuard, UDP and IP add to each packet. */
export const OVERHEAD = 60
/** The address that stands for a relay; its port is the DERP region. */
const DERP_MARKER = addressOf('127.3.3.40')
/** A pair of nodes keeps its path for this many slots (as a power of two): 45 minutes. */
const PATH_SLOTS_LOG2 = 9
/** Of 100 times: 55 over the public endpoint, 15 over IPv6, 12 over the private one, 12 over a relay. In the rest the path changes from one burst to
 * the next. */
const [PUBLIC, IPV6, PRIVATE, RELAY] = [55, 70, 82, 94] as const

/** Which way a burst takes: the index of one of the peer's endpoints, or the relay. */
export const RELAYED = 3

export function createPaths(seed: number, nodes: readonly DemoNode[]) {
  /** The path of a burst between two nodes, the same for both. `burst` is a hash of it. */
  function pathOf(one: number, other: number, slot: number, burst: number): number {
    const pair = mix(seed, Math.min(one, other), Math.max(one, other), 50)
    const choice = mix(pair, slot >>> PATH_SLOTS_LOG2, 0, 51) % 100
    if (choice < PUBLIC) return 0
    if (choice < IPV6) return 1
    if (choice < PRIVATE) return 2
    if (choice < RELAY) return RELAYED
    return burst & 0x10000 ? 0 : RELAYED
  }

  /** The DERP region of two nodes. */
  const regionOf = (one: number, other: number) => nodes[Math.min(one, other)]!.derp

  /** Collects the physical entries of one record of `self`. */
  function createPeers(self: number, entries: DemoEntry[]) {
    const byPath = new Map<number, DemoEntry & Counts>()
    return (peer: number, path: number, counts: Counts): void => {
      const key = peer * 4 + path
      let entry = byPath.get(key)
      if (entry === undefined) {
        const { v4, endpoints } = nodes[peer]!
        const relay: Endpoint = { address: DERP_MARKER, port: regionOf(self, peer) }
        const { address, port } = path === RELAYED ? relay : endpoints[path as 0 | 1 | 2]
        const none = { txPkts: 0, txBytes: 0, rxPkts: 0, rxBytes: 0 }
        entry = { proto: 0, src: v4, srcPort: 0, dst: address, dstPort: port, ...none, other: peer }
        byPath.set(key, entry)
        entries.push(entry)
      }
      addCounts(entry, counts)
      entry.txBytes += counts.txPkts * OVERHEAD
      entry.rxBytes += counts.rxPkts * OVERHEAD
    }
  }

  return { pathOf, regionOf, createPeers }
}
