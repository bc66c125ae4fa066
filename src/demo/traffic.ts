/** The traffic that one node reports for one slot. Both ends of a link compute the same numbers, so their records mirror each other, apart
 * from packets that were lost between them. */
import type { Link, Links } from './links.ts'
import { addressOf, type DemoAddress, type DemoNode, ZONES } from './nodes.ts'
import { createDice, limitOf, mix } from './random.ts'
import { KIND_EXIT, KIND_PHYSICAL, KIND_VIRTUAL, levelsAt, RHYTHMS } from './services.ts'

/** One connection of a record, as the reporting node sees it. */
export interface DemoEntry {
  /** IP protocol number, or its name. Messages leave out 0. */
  readonly proto: number | string
  readonly src: DemoAddress | undefined
  /** -1: the message has no port. */
  readonly srcPort: number
  readonly dst: DemoAddress | undefined
  readonly dstPort: number
  txPkts: number | bigint
  txBytes: number | bigint
  rxPkts: number | bigint
  rxBytes: number | bigint
  /** Index of the other node whose address the entry has; -1 without one. */
  readonly other: number
}

/** Entries by kind: virtual, subnet, exit, physical. */
export type Entries = readonly [DemoEntry[], DemoEntry[], DemoEntry[], DemoEntry[]]

const EPHEMERAL = 32_768
const EPHEMERAL_COUNT = 28_232
/** Bytes that WireGuard, UDP and IP add to each packet. */
const OVERHEAD = 60
const DERP_MARKER = addressOf('127.3.3.40')

const KEEP_ALIVE = 2 ** 32 - limitOf(0.001)
const NOISE = limitOf(0.02)

/** The state of a link in a slot. */
const QUIET = 0
const TRAFFIC = 1
const KEPT_ALIVE = 2

export interface TrafficOptions {
  /** Factor on the amount of traffic; 0 is none. Default 1. */
  readonly activity?: number
  /** Exit traffic has its destinations, as with the node attribute `log-exit-flows`. */
  readonly exitDestinations?: boolean
}

export function createTraffic(seed: number, nodes: readonly DemoNode[], links: Links, options: TrafficOptions = {}) {
  const { activity = 1, exitDestinations = false } = options
  const dice = createDice()
  const busy = Math.max(1, activity)
  const rhythms = links.all.map(
    ({ service, client }) => RHYTHMS.indexOf(service.rhythm) * ZONES.length + nodes[client]!.zone,
  )

  function stateOf(link: Link, slot: number, levels: Float64Array): number {
    const { session, duty } = link.service
    const h = mix(seed, link.id, slot, 31)
    const level = levels[rhythms[link.id]!]! * activity
    if (h < Math.min(1, duty * busy) * 2 ** 32) {
      const inSession = mix(seed, link.id, slot >>> 6, 30) < Math.min(1, session * level) * 2 ** 32
      if (inSession) return TRAFFIC
    }
    return h >= KEEP_ALIVE && level > 0 ? KEPT_ALIVE : QUIET
  }

  /** Whether the node has a record of this slot. `levels` are those of the slot. */
  function isActive(node: number, slot: number, levels: Float64Array): boolean {
    for (const link of links.of[node]!) if (stateOf(link, slot, levels) !== QUIET) return true
    return false
  }

  function entriesOf(node: number, slot: number): Entries {
    const entries: Entries = [[], [], [], []]
    const self = nodes[node]!
    /** Packets and bytes, sent and received, by peer. */
    const peers = new Map<number, [txPkts: number, txBytes: number, rxPkts: number, rxBytes: number]>()
    const merged = new Map<DemoAddress, DemoEntry>()
    const levels = levelsAt(slot)

    function count(peer: number, txPkts: number, txBytes: number, rxPkts: number, rxBytes: number): void {
      const sums = peers.get(peer)
      if (sums === undefined) peers.set(peer, [txPkts, txBytes, rxPkts, rxBytes])
      else {
        sums[0] += txPkts
        sums[1] += txBytes
        sums[2] += rxPkts
        sums[3] += rxBytes
      }
    }

    for (const link of links.of[node]!) {
      const state = stateOf(link, slot, levels)
      if (state === QUIET) continue
      const isClient = link.client === node
      const peer = isClient ? link.server : link.client
      if (state === KEPT_ALIVE) count(peer, 2, 176, 2, 176)
      else addLink(link, isClient, peer)
    }

    function addLink(link: Link, isClient: boolean, peer: number): void {
      const { service, v6 } = link
      const client = v6 ? nodes[link.client]!.v6 : nodes[link.client]!.v4
      const server = link.far ?? (v6 ? nodes[link.server]!.v6 : nodes[link.server]!.v4)
      dice.seed(mix(seed, link.id, slot, 32))
      const connections = 1 + dice.below(service.connections * busy)
      const epoch = service.clientPort === 'ephemeral' ? slot : slot >>> 10
      const ports = mix(seed, link.id, epoch, 33)
      for (let i = 0; i < connections; i++) {
        const upPkts = packets(service.up[0], link.weight)
        const upBytes = upPkts * service.up[1] + dice.below(upPkts * 8)
        const downPkts = service.down[0] === 0 ? 0 : packets(service.down[0], link.weight)
        const downBytes = downPkts * service.down[1] + dice.below(downPkts * 8)
        const upLost = lost(upPkts)
        const downLost = lost(downPkts)
        const gotUpBytes = upBytes - upLost * service.up[1]
        const gotDownBytes = downBytes - downLost * service.down[1]
        const tx = isClient ? upPkts : downPkts
        const txBytes = isClient ? upBytes : downBytes
        const rx = isClient ? downPkts - downLost : upPkts - upLost
        const rxBytes = isClient ? gotDownBytes : gotUpBytes
        count(peer, tx, txBytes, rx, rxBytes)
        if (service.kind === KIND_EXIT && !exitDestinations) {
          mergeExit(client, isClient, peer, tx, txBytes, rx, rxBytes)
          continue
        }
        const port =
          service.clientPort === 'none'
            ? 0
            : service.clientPort === 'low'
              ? 600 + (ports % 400)
              : EPHEMERAL + ((ports + i * 11) % EPHEMERAL_COUNT)
        entries[service.kind as 0 | 1 | 2].push({
          proto: service.proto,
          src: isClient ? client : server,
          srcPort: isClient ? port : service.port,
          dst: isClient ? server : client,
          dstPort: isClient ? service.port : port,
          txPkts: tx,
          txBytes,
          rxPkts: rx,
          rxBytes,
          other: isClient && service.kind !== KIND_VIRTUAL ? -1 : peer,
        })
      }
    }

    /** Exit traffic without its destinations: the client's entry has only `src`, the exit node's only `dst`. Equal entries are added up. */
    function mergeExit(
      client: DemoAddress,
      isClient: boolean,
      peer: number,
      txPkts: number,
      txBytes: number,
      rxPkts: number,
      rxBytes: number,
    ): void {
      const entry = merged.get(client)
      if (entry !== undefined) {
        entry.txPkts = (entry.txPkts as number) + txPkts
        entry.txBytes = (entry.txBytes as number) + txBytes
        entry.rxPkts = (entry.rxPkts as number) + rxPkts
        entry.rxBytes = (entry.rxBytes as number) + rxBytes
        return
      }
      const made: DemoEntry = {
        proto: 0,
        src: isClient ? client : undefined,
        srcPort: 0,
        dst: isClient ? undefined : client,
        dstPort: 0,
        txPkts,
        txBytes,
        rxPkts,
        rxBytes,
        other: isClient ? -1 : peer,
      }
      merged.set(client, made)
      entries[KIND_EXIT].push(made)
    }

    // Multicast and similar traffic is reported as exit traffic without addresses.
    const noise = mix(seed, node, slot, 40)
    if (noise < NOISE || (self.role === 'exit' && noise < NOISE * 4)) {
      const txPkts = 1 + (noise % 4)
      const bytes = { txPkts, txBytes: txPkts * 64, rxPkts: 0, rxBytes: 0 }
      entries[KIND_EXIT].push({ proto: 0, src: undefined, srcPort: 0, dst: undefined, dstPort: 0, ...bytes, other: -1 })
    }
    for (const [peer, [txPkts, txBytes, rxPkts, rxBytes]] of peers)
      addPaths(entries[KIND_PHYSICAL], self, nodes[peer]!, slot, txPkts, txBytes, rxPkts, rxBytes)
    return entries
  }

  function packets(mean: number, weight: number): number {
    return 1 + dice.around((mean - 1) * weight)
  }

  function lost(sent: number): number {
    return sent > 2 && dice.below(16) === 0 ? 1 + dice.below(2) : 0
  }

  /** The same bytes as encrypted traffic: over one path, or over two in a slot in which the path changes. */
  function addPaths(
    out: DemoEntry[],
    self: DemoNode,
    peer: DemoNode,
    slot: number,
    txPkts: number,
    txBytes: number,
    rxPkts: number,
    rxBytes: number,
  ): void {
    const low = Math.min(self.index, peer.index)
    const pair = mix(seed, low, Math.max(self.index, peer.index), 50)
    const choice = mix(pair, slot >>> 9, 0, 51) % 100
    const [first, , third] = peer.endpoints
    const endpoint = choice < 55 ? first! : choice < 70 ? peer.endpoints[1]! : third!
    const relayed = choice >= 82
    const region = nodes[low]!.derp
    const src = peer.v4
    const tx = txBytes + txPkts * OVERHEAD
    const rx = rxBytes + rxPkts * OVERHEAD
    const entry = (dst: DemoAddress, dstPort: number, tp: number, tb: number, rp: number, rb: number) =>
      out.push({
        proto: 0,
        src,
        srcPort: 0,
        dst,
        dstPort,
        txPkts: tp,
        txBytes: tb,
        rxPkts: rp,
        rxBytes: rb,
        other: peer.index,
      })
    if (choice < 94 || txPkts + rxPkts < 4) {
      if (relayed) entry(DERP_MARKER, region, txPkts, tx, rxPkts, rx)
      else entry(endpoint.address, endpoint.port, txPkts, tx, rxPkts, rx)
      return
    }
    const tp = txPkts >> 1
    const rp = rxPkts >> 1
    const tb = Math.floor((tx * tp) / Math.max(1, txPkts))
    const rb = Math.floor((rx * rp) / Math.max(1, rxPkts))
    entry(DERP_MARKER, region, tp, tb, rp, rb)
    entry(first!.address, first!.port, txPkts - tp, tx - tb, rxPkts - rp, rx - rb)
  }

  return { isActive, entriesOf, levelsAt }
}
export type Traffic = ReturnType<typeof createTraffic>
