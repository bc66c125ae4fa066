/** What moves between two nodes, whoever reports it: each connection of a link is a few bursts, each at one moment of true time, with packets that one
 * end sends and the other one gets, less those that are lost between them. A pure function of seed, link and slot. */
import type { Counts } from './entries.ts'
import type { Link, Links } from './links.ts'
import { type DemoNode, ZONES } from './nodes.ts'
import type { Presence } from './presence.ts'
import { createDice, limitOf, mix, scramble } from './random.ts'
import { RHYTHMS, type Service } from './services.ts'
import { SLOT } from './slots.ts'

const KEEP_ALIVE = 2 ** 32 - limitOf(0.001)
export const KEEP_ALIVE_COUNTS: Counts = { txPkts: 2, txBytes: 176, rxPkts: 2, rxBytes: 176 }
/** Traffic of a subnet keeps its router for this many slots (as a power of two): 22 minutes. In one of six times it is the standby. */
const ROUTER_SLOTS_LOG2 = 8
const STANDBY_TIMES = 6

/** The ports that clients use. */
const EPHEMERAL = 32_768
const EPHEMERAL_COUNT = 28_232

/** The state of a link in a slot. */
export const QUIET = 0
const TRAFFIC = 1
export const KEPT_ALIVE = 2

export interface TransferOptions {
  /** Factor on the amount of traffic; 0 is none. Default 1. */
  readonly activity?: number
}

export interface Transfers {
  /** QUIET, TRAFFIC or KEPT_ALIVE. `levels` are those of the slot. */
  stateOf(link: Link, slot: number, levels: Float64Array): number
  /** The server of the link in this slot: of two routers, the one that has the traffic. */
  serverOf(link: Link, slot: number): number
  /** A hash of the link in a slot; the functions below take it. */
  hashOf(link: Link, slot: number): number
  connectionsOf(link: Link, hash: number): number
  /** The moment of a burst, ns after the start of the slot. */
  timeOf(service: Service, hash: number, connection: number, burst: number): number
  keepAliveTimeOf(hash: number): number
  /** What a burst (`connection * 16 + burst`) is at the client's or at the server's end. The object is the same each time. */
  countsOf(link: Link, hash: number, code: number, isClient: boolean): Counts
  clientPort(link: Link, slot: number, connection: number): number
}

export function createTransfers(
  seed: number,
  nodes: readonly DemoNode[],
  links: Links,
  presence: Presence,
  { activity = 1 }: TransferOptions = {},
): Transfers {
  const dice = createDice()
  const busy = Math.max(1, activity)
  const rhythms = links.all.map(
    ({ service, client }) => RHYTHMS.indexOf(service.rhythm) * ZONES.length + nodes[client]!.zone,
  )
  const counts: Counts = { txPkts: 0, txBytes: 0, rxPkts: 0, rxBytes: 0 }

  /** As the rhythm of the link has it, whether its nodes are there or not. */
  function wishOf(link: Link, slot: number, levels: Float64Array): number {
    const { session, duty, every } = link.service
    const level = levels[rhythms[link.id]!]! * activity
    if (every > 0) return level > 0 && (slot + mix(seed, link.id, 0, 34)) % every === 0 ? TRAFFIC : QUIET
    const h = mix(seed, link.id, slot, 31)
    if (h < Math.min(1, duty * busy) * 2 ** 32) {
      const inSession = mix(seed, link.id, slot >>> 6, 30) < Math.min(1, session * level) * 2 ** 32
      if (inSession) return TRAFFIC
    }
    return h >= KEEP_ALIVE && level > 0 ? KEPT_ALIVE : QUIET
  }

  function serverOf({ server, standby }: Link, slot: number): number {
    if (standby < 0) return server
    const isMoved = mix(seed, server, slot >>> ROUTER_SLOTS_LOG2, 35) % STANDBY_TIMES === 0
    return isMoved || !presence.isAwake(server, slot) ? standby : server
  }

  function packets(mean: number, weight: number): number {
    return 1 + (mean > 1 ? dice.around((mean - 1) * weight) : 0)
  }

  function lost(sent: number): number {
    return sent > 2 && dice.below(64) === 0 ? 1 + dice.below(2) : 0
  }

  return {
    stateOf(link, slot, levels) {
      const state = wishOf(link, slot, levels)
      if (state === QUIET) return QUIET
      return presence.isAwake(link.client, slot) && presence.isAwake(serverOf(link, slot), slot) ? state : QUIET
    },
    serverOf,
    hashOf: (link, slot) => mix(seed, link.id, slot, 32),
    connectionsOf: ({ service }, hash) => 1 + (hash % Math.ceil(service.connections * busy)),
    timeOf({ bursts, spread }, hash, connection, burst) {
      const begin = (scramble(hash, connection * 16) / 2 ** 32) * (1 - spread)
      const share =
        bursts === 1 ? 0 : ((burst + scramble(hash, connection * 16 + burst + 1) / 2 ** 32) / bursts) * spread
      return Math.floor((begin + share) * SLOT)
    },
    keepAliveTimeOf: (hash) => Math.floor((hash / 2 ** 32) * SLOT),
    countsOf({ service, weight }, hash, code, isClient) {
      const { up, down, bursts } = service
      dice.seed(scramble(hash, code + 8))
      const upPkts = packets(up[0] / bursts, weight)
      const upBytes = upPkts * up[1] + dice.below(upPkts * 8)
      const downPkts = down[0] === 0 ? 0 : packets(down[0] / bursts, weight)
      const downBytes = downPkts * down[1] + dice.below(downPkts * 8)
      const upLost = lost(upPkts)
      const downLost = lost(downPkts)
      counts.txPkts = isClient ? upPkts : downPkts
      counts.txBytes = isClient ? upBytes : downBytes
      counts.rxPkts = isClient ? downPkts - downLost : upPkts - upLost
      counts.rxBytes = isClient ? downBytes - downLost * down[1] : upBytes - upLost * up[1]
      return counts
    },
    clientPort({ id, service }, slot, connection) {
      if (service.clientPort === 'none') return 0
      const ports = mix(seed, id, service.clientPort === 'ephemeral' ? slot : slot >>> 10, 33)
      return service.clientPort === 'low'
        ? 600 + (ports % 400)
        : EPHEMERAL + ((ports + connection * 11) % EPHEMERAL_COUNT)
    },
  }
}
