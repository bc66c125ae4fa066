/** The traffic as one node sees it: when it has packets, and the entries of its record of a time. Its own records begin and end when its own packets
 * and its own timer say so, so the other end of a connection has the same bytes in other records. */
import { type BurstsOfNodes, createBursts, KEEP_ALIVE } from './bursts.ts'
import { addCounts, type Counts, type DemoEntry, type Entries } from './entries.ts'
import type { Link, Links } from './links.ts'
import type { DemoAddress, DemoNode } from './nodes.ts'
import { createPaths } from './paths.ts'
import type { Presence } from './presence.ts'
import { limitOf, mix } from './random.ts'
import { KIND_EXIT, KIND_PHYSICAL, KIND_VIRTUAL } from './services.ts'
import { SLOT } from './slots.ts'
import type { Span } from './times.ts'
import { createTransfers, KEEP_ALIVE_COUNTS, type TransferOptions } from './transfers.ts'

const NOISE = limitOf(0.02)
const NOISE_BYTES = 64

export interface TrafficOptions extends TransferOptions {
  /** Exit traffic has its destinations, as with the node attribute `log-exit-flows`. */
  readonly exitDestinations?: boolean
}

/** Times of packets in one slot, ns after its start, in no order: those with an index from `begin` to `end`, exclusive. Valid until the next call. */
export interface PacketTimes {
  readonly begin: number
  readonly end: number
  readonly times: Float64Array
}

/** Multicast and similar traffic, which a node reports as exit traffic without addresses. It comes with the node's first packet in a slot. */
interface Noise {
  readonly counts: Counts
  readonly time: number
}

export interface Traffic {
  /** The packets of all nodes in this slot will be asked for. */
  load(slot: number): void
  packetTimes(node: number, slot: number): PacketTimes
  /** What the node counts from `span.from` (inclusive) to `span.to` (exclusive). */
  entriesOf(node: number, span: Pick<Span, 'slot' | 'from' | 'to'>): Entries
  /** Most slots have none. */
  noiseOf(node: number, slot: number): Noise | undefined
}

export function createTraffic(
  seed: number,
  nodes: readonly DemoNode[],
  links: Links,
  presence: Presence,
  options: TrafficOptions = {},
): Traffic {
  const { exitDestinations = false } = options
  const transfers = createTransfers(seed, nodes, links, presence, options)
  const bursts: BurstsOfNodes = createBursts(nodes.length, links, transfers)
  const paths = createPaths(seed, nodes)

  function entriesOf(node: number, { slot, from, to }: Pick<Span, 'slot' | 'from' | 'to'>): Entries {
    const entries: Entries = [[], [], [], []]
    const self = nodes[node]!
    const addPhysical = paths.createPeers(node, entries[KIND_PHYSICAL])
    /** By link and client's port. */
    const known = new Map<number, DemoEntry & Counts>()
    /** Exit traffic without destinations, by client address. */
    const merged = new Map<DemoAddress | undefined, DemoEntry & Counts>()

    addSlot(slot, from, to)
    if (to > SLOT) addSlot(slot + 1, 0, to - SLOT)

    function addSlot(at: number, begin: number, end: number): void {
      const noise = noiseOf(node, at)
      const found = bursts.of(node, at)
      for (let i = found.begin; i < found.end; i++) {
        const time = found.times[i]!
        if (time < begin || time >= end) continue
        const link = links.all[found.links[i]!]!
        const isClient = link.client === node
        const peer = isClient ? transfers.serverOf(link, at) : link.client
        const hash = found.hashes[i]!
        const code = found.codes[i]!
        if (code === KEEP_ALIVE) {
          addPhysical(peer, paths.pathOf(node, peer, at, hash), KEEP_ALIVE_COUNTS)
          continue
        }
        const counts = transfers.countsOf(link, hash, code, isClient)
        addPhysical(peer, paths.pathOf(node, peer, at, hash + code), counts)
        if (link.service.kind === KIND_EXIT && !exitDestinations) addExit(link, isClient, peer, counts)
        else addEntry(link, at, code >> 4, isClient, peer, counts)
      }
      if (noise !== undefined && noise.time >= begin && noise.time < end) addUnnamed(noise.counts)
    }

    function addEntry(
      link: Link,
      at: number,
      connection: number,
      isClient: boolean,
      peer: number,
      counts: Counts,
    ): void {
      const { service, v6 } = link
      const port = transfers.clientPort(link, at, connection)
      const key = link.id * 65_536 + port
      const same = known.get(key)
      if (same !== undefined) return addCounts(same, counts)
      const client = v6 ? nodes[link.client]!.v6 : nodes[link.client]!.v4
      const server = link.far ?? (v6 ? nodes[link.server]!.v6 : nodes[link.server]!.v4)
      const entry = {
        proto: service.proto,
        src: isClient ? client : server,
        srcPort: isClient ? port : service.port,
        dst: isClient ? server : client,
        dstPort: isClient ? service.port : port,
        txPkts: counts.txPkts,
        txBytes: counts.txBytes,
        rxPkts: counts.rxPkts,
        rxBytes: counts.rxBytes,
        other: isClient && service.kind !== KIND_VIRTUAL ? -1 : peer,
      }
      known.set(key, entry)
      entries[service.kind as 0 | 1 | 2].push(entry)
    }

    /** The client's entry has only `src` or neither end, the exit node's only `dst`. Equal entries are added up. */
    function addExit({ client: index, v6 }: Link, isClient: boolean, peer: number, counts: Counts): void {
      if (isClient && self.exitUnnamed) return addUnnamed(counts)
      const client = v6 ? nodes[index]!.v6 : nodes[index]!.v4
      const same = merged.get(client)
      if (same !== undefined) return addCounts(same, counts)
      const ends = isClient ? { src: client, dst: undefined } : { src: undefined, dst: client }
      const entry = { proto: 0, ...ends, srcPort: 0, dstPort: 0, ...counts, other: isClient ? -1 : peer }
      merged.set(client, entry)
      entries[KIND_EXIT].push(entry)
    }

    function addUnnamed(counts: Counts): void {
      const same = merged.get(undefined)
      if (same !== undefined) return addCounts(same, counts)
      const entry = { proto: 0, src: undefined, srcPort: 0, dst: undefined, dstPort: 0, ...counts, other: -1 }
      merged.set(undefined, entry)
      entries[KIND_EXIT].push(entry)
    }

    return entries
  }

  function noiseOf(node: number, slot: number): Noise | undefined {
    const h = mix(seed, node, slot, 40)
    if (h >= NOISE && !(nodes[node]!.role === 'exit' && h < NOISE * 4)) return undefined
    const { begin, end, times } = bursts.of(node, slot)
    if (begin === end) return undefined
    let time = times[begin]!
    for (let i = begin + 1; i < end; i++) time = Math.min(time, times[i]!)
    const txPkts = 1 + (h % 4)
    return { time, counts: { txPkts, txBytes: txPkts * NOISE_BYTES, rxPkts: 0, rxBytes: 0 } }
  }

  return { load: bursts.load, packetTimes: bursts.of, entriesOf, noiseOf }
}
