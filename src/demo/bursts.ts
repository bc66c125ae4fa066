/** The bursts of each node in a slot: of all nodes at once for the slots that are being read, of a single node for any other. Both ways give the same. */
import type { Link, Links } from './links.ts'
import { levelsAt } from './services.ts'
import { KEPT_ALIVE, QUIET, type Transfers } from './transfers.ts'

/** Bursts of one node in one slot: those with an index from `begin` to `end`, exclusive. Valid until the next call. */
interface Bursts {
  begin: number
  end: number
  /** ns after the start of the slot. */
  times: Float64Array
  /** Index of the link. */
  links: Int32Array
  /** `hashOf` of the link and slot. */
  hashes: Uint32Array
  /** Connection and burst as `connection * 16 + burst`; KEEP_ALIVE for a keep-alive. */
  codes: Int32Array
}

export const KEEP_ALIVE = -1
/** A record is logged at most this many slots after its own one, less one or two. */
const SLOTS_KEPT = 12

export interface BurstsOfNodes {
  /** The bursts of all nodes in this slot will be asked for. */
  load(slot: number): void
  of(node: number, slot: number): Bursts
}

export function createBursts(nodes: number, { all, of }: Links, transfers: Transfers): BurstsOfNodes {
  const loaded = new Map<number, { readonly bursts: Bursts; readonly begins: Uint32Array }>()
  const single = empty(64)
  const collected = empty(1024)
  /** The two nodes of each burst in `collected`. */
  let ends = new Int32Array(2048)

  function collect(link: Link, slot: number, levels: Float64Array, into: Bursts): void {
    const state = transfers.stateOf(link, slot, levels)
    if (state === QUIET) return
    const hash = transfers.hashOf(link, slot)
    if (state === KEPT_ALIVE) return put(into, transfers.keepAliveTimeOf(hash), link.id, hash, KEEP_ALIVE)
    const connections = transfers.connectionsOf(link, hash)
    const { service } = link
    for (let i = 0; i < connections; i++)
      for (let j = 0; j < service.bursts; j++)
        put(into, transfers.timeOf(service, hash, i, j), link.id, hash, i * 16 + j)
  }

  /** Sorts the bursts of all links by node; the bursts of one node keep the order of its links. */
  function sortedByNode(slot: number) {
    collected.end = 0
    const levels = levelsAt(slot)
    const begins = new Uint32Array(nodes + 2)
    for (const link of all) {
      const first = collected.end
      collect(link, slot, levels, collected)
      if (collected.end === first) continue
      const server = transfers.serverOf(link, slot)
      if (ends.length < collected.times.length * 2) {
        const more = new Int32Array(collected.times.length * 2)
        more.set(ends)
        ends = more
      }
      for (let i = first; i < collected.end; i++) {
        ends[i * 2] = link.client
        ends[i * 2 + 1] = server
      }
      begins[link.client + 2]! += collected.end - first
      begins[server + 2]! += collected.end - first
    }
    for (let node = 2; node < begins.length; node++) begins[node]! += begins[node - 1]!
    const bursts = empty(collected.end * 2)
    for (let i = 0; i < collected.end; i++) {
      for (let side = 0; side < 2; side++) {
        const at = begins[ends[i * 2 + side]! + 1]!++
        bursts.times[at] = collected.times[i]!
        bursts.links[at] = collected.links[i]!
        bursts.hashes[at] = collected.hashes[i]!
        bursts.codes[at] = collected.codes[i]!
      }
    }
    return { bursts, begins }
  }

  return {
    load(slot) {
      if (loaded.has(slot)) return
      loaded.set(slot, sortedByNode(slot))
      if (loaded.size > SLOTS_KEPT) loaded.delete(loaded.keys().next().value!)
    },
    of(node, slot) {
      const known = loaded.get(slot)
      if (known !== undefined) {
        known.bursts.begin = known.begins[node]!
        known.bursts.end = known.begins[node + 1]!
        return known.bursts
      }
      single.end = 0
      const levels = levelsAt(slot)
      for (const link of of[node]!) {
        const isPart = link.client === node || transfers.serverOf(link, slot) === node
        if (isPart) collect(link, slot, levels, single)
      }
      return single
    },
  }
}

function empty(size: number): Bursts {
  return {
    begin: 0,
    end: 0,
    times: new Float64Array(size),
    links: new Int32Array(size),
    hashes: new Uint32Array(size),
    codes: new Int32Array(size),
  }
}

function put(into: Bursts, time: number, link: number, hash: number, code: number): void {
  if (into.end === into.times.length) {
    const more = empty(into.end * 2)
    more.times.set(into.times)
    more.links.set(into.links)
    more.hashes.set(into.hashes)
    more.codes.set(into.codes)
    into.times = more.times
    into.links = more.links
    into.hashes = more.hashes
    into.codes = more.codes
  }
  const at = into.end++
  into.times[at] = time
  into.links[at] = link
  into.hashes[at] = hash
  into.codes[at] = code
}
