/** The traffic that one node reports for one slot. Both ends of a link compute the same numbers, so their records mirror each other, apart
 * from packets that were lost between them. */
import type { Counts, DemoEntry, Entries } from './entries.ts'
import type { Link, Links } from './links.ts'
import { type DemoAddress, type DemoNode, ZONES } from './nodes.ts'
import { createPaths } from './paths.ts'
import { createDice, limitOf, mix } from './random.ts'
import { KIND_EXIT, KIND_PHYSICAL, KIND_VIRTUAL, levelsAt, RHYTHMS } from './services.ts'

/** The ports that clients use. */
const EPHEMERAL = 32_768
const EPHEMERAL_COUNT = 28_232

const KEEP_ALIVE = 2 ** 32 - limitOf(0.001)
const KEEP_ALIVE_COUNTS: Counts = { txPkts: 2, txBytes: 176, rxPkts: 2, rxBytes: 176 }
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
  const pathsOf = createPaths(seed, nodes)
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
    /** The traffic with each peer. */
    const peers = new Map<number, Counts>()
    /** Exit traffic without destinations, by client address. */
    const merged = new Map<DemoAddress, DemoEntry & Counts>()
    const levels = levelsAt(slot)

    for (const link of links.of[node]!) {
      const state = stateOf(link, slot, levels)
      if (state === QUIET) continue
      const peer = link.client === node ? link.server : link.client
      if (state === KEPT_ALIVE) addToPeer(peer, KEEP_ALIVE_COUNTS)
      else addLink(link, link.client === node, peer)
    }

    function addLink(link: Link, isClient: boolean, peer: number): void {
      const { service, v6 } = link
      const client = v6 ? nodes[link.client]!.v6 : nodes[link.client]!.v4
      const server = link.far ?? (v6 ? nodes[link.server]!.v6 : nodes[link.server]!.v4)
      dice.seed(mix(seed, link.id, slot, 32))
      const connections = 1 + dice.below(service.connections * busy)
      for (let i = 0; i < connections; i++) {
        const counts = rollCounts(link, isClient)
        addToPeer(peer, counts)
        if (service.kind === KIND_EXIT && !exitDestinations) {
          addExit(client, isClient, peer, counts)
          continue
        }
        const port = clientPort(link, slot, i)
        entries[service.kind as 0 | 1 | 2].push({
          proto: service.proto,
          src: isClient ? client : server,
          srcPort: isClient ? port : service.port,
          dst: isClient ? server : client,
          dstPort: isClient ? service.port : port,
          ...counts,
          other: isClient && service.kind !== KIND_VIRTUAL ? -1 : peer,
        })
      }
    }

    function addToPeer(peer: number, counts: Counts): void {
      const sum = peers.get(peer)
      if (sum === undefined) peers.set(peer, { ...counts })
      else add(sum, counts)
    }

    /** The client's entry has only `src`, the exit node's only `dst`. Equal entries are added up. */
    function addExit(client: DemoAddress, isClient: boolean, peer: number, counts: Counts): void {
      const known = merged.get(client)
      if (known !== undefined) return add(known, counts)
      const ends = isClient ? { src: client, dst: undefined } : { src: undefined, dst: client }
      const entry = { proto: 0, ...ends, srcPort: 0, dstPort: 0, ...counts, other: isClient ? -1 : peer }
      merged.set(client, entry)
      entries[KIND_EXIT].push(entry)
    }

    // Multicast and similar traffic is reported as exit traffic without addresses.
    const noise = mix(seed, node, slot, 40)
    if (noise < NOISE || (self.role === 'exit' && noise < NOISE * 4)) {
      const txPkts = 1 + (noise % 4)
      const counts = { txPkts, txBytes: txPkts * 64, rxPkts: 0, rxBytes: 0 }
      entries[KIND_EXIT].push({
        proto: 0,
        src: undefined,
        srcPort: 0,
        dst: undefined,
        dstPort: 0,
        ...counts,
        other: -1,
      })
    }
    for (const [peer, sum] of peers) entries[KIND_PHYSICAL].push(...pathsOf(self, nodes[peer]!, slot, sum))
    return entries
  }

  /** The traffic of one connection at one end: the next numbers of the dice, so both ends get the same ones. */
  function rollCounts({ service, weight }: Link, isClient: boolean): Counts {
    const upPkts = packets(service.up[0], weight)
    const upBytes = upPkts * service.up[1] + dice.below(upPkts * 8)
    const downPkts = service.down[0] === 0 ? 0 : packets(service.down[0], weight)
    const downBytes = downPkts * service.down[1] + dice.below(downPkts * 8)
    const upLost = lost(upPkts)
    const downLost = lost(downPkts)
    if (isClient) {
      const rxBytes = downBytes - downLost * service.down[1]
      return { txPkts: upPkts, txBytes: upBytes, rxPkts: downPkts - downLost, rxBytes }
    }
    return { txPkts: downPkts, txBytes: downBytes, rxPkts: upPkts - upLost, rxBytes: upBytes - upLost * service.up[1] }
  }

  function packets(mean: number, weight: number): number {
    return 1 + dice.around((mean - 1) * weight)
  }

  function lost(sent: number): number {
    return sent > 2 && dice.below(16) === 0 ? 1 + dice.below(2) : 0
  }

  function clientPort({ id, service }: Link, slot: number, connection: number): number {
    if (service.clientPort === 'none') return 0
    const ports = mix(seed, id, service.clientPort === 'ephemeral' ? slot : slot >>> 10, 33)
    return service.clientPort === 'low'
      ? 600 + (ports % 400)
      : EPHEMERAL + ((ports + connection * 11) % EPHEMERAL_COUNT)
  }

  return { isActive, entriesOf, levelsAt }
}
export type Traffic = ReturnType<typeof createTraffic>

function add(sum: Counts, counts: Counts): void {
  sum.txPkts += counts.txPkts
  sum.txBytes += counts.txBytes
  sum.rxPkts += counts.rxPkts
  sum.rxBytes += counts.rxBytes
}
