/** Encrypted traffic between two nodes: directly to one of the peer's endpoints, over a DERP relay, or over both. */

import type { Counts, DemoEntry } from './entries.ts'
import { addressOf, type DemoNode, type Endpoint } from './nodes.ts'
import { mix } from './random.ts'

/** Bytes that WireGuard, UDP and IP add to each packet. */
const OVERHEAD = 60
/** The address that stands for a relay; its port is the DERP region. */
const DERP_MARKER = addressOf('127.3.3.40')
/** A pair of nodes keeps its path for this many slots (as a power of two): 45 minutes. */
const PATH_SLOTS_LOG2 = 9
/** Of 100 times: 55 over the public endpoint, 15 over IPv6, 12 over the private one, 12 over a relay. In the rest the path changes. */
const [PUBLIC, IPV6, PRIVATE, RELAY] = [55, 70, 82, 94] as const

/** Returns a function for the physical entries of `self`: `sum` is its traffic with `peer` in a slot. */
export function createPaths(seed: number, nodes: readonly DemoNode[]) {
  return (self: DemoNode, peer: DemoNode, slot: number, sum: Counts): readonly DemoEntry[] => {
    const low = Math.min(self.index, peer.index)
    const pair = mix(seed, low, Math.max(self.index, peer.index), 50)
    const choice = mix(pair, slot >>> PATH_SLOTS_LOG2, 0, 51) % 100
    const [publicV4, publicV6, privateV4] = peer.endpoints
    const relay: Endpoint = { address: DERP_MARKER, port: nodes[low]!.derp }
    const all = { ...sum, txBytes: sum.txBytes + sum.txPkts * OVERHEAD, rxBytes: sum.rxBytes + sum.rxPkts * OVERHEAD }
    if (choice < RELAY || all.txPkts + all.rxPkts < 4) {
      const path = choice < PUBLIC ? publicV4 : choice < IPV6 ? publicV6 : choice < PRIVATE ? privateV4 : relay
      return [entryOf(peer, path, all)]
    }
    const half = {
      txPkts: all.txPkts >> 1,
      txBytes: halfOf(all.txBytes, all.txPkts),
      rxPkts: all.rxPkts >> 1,
      rxBytes: halfOf(all.rxBytes, all.rxPkts),
    }
    const rest = {
      txPkts: all.txPkts - half.txPkts,
      txBytes: all.txBytes - half.txBytes,
      rxPkts: all.rxPkts - half.rxPkts,
      rxBytes: all.rxBytes - half.rxBytes,
    }
    return [entryOf(peer, relay, half), entryOf(peer, publicV4, rest)]
  }
}

/** The bytes of half of the packets. */
function halfOf(bytes: number, packets: number): number {
  return Math.floor((bytes * (packets >> 1)) / Math.max(1, packets))
}

function entryOf(peer: DemoNode, { address, port }: Endpoint, counts: Counts): DemoEntry {
  return { proto: 0, src: peer.v4, srcPort: 0, dst: address, dstPort: port, ...counts, other: peer.index }
}
