/** What really moved in a simulated tailnet, each byte once: from the transfers themselves, and not from what nodes report of them. */
import { createBursts, KEEP_ALIVE } from '../../src/demo/bursts.ts'
import { createLinks, type Link } from '../../src/demo/links.ts'
import type { DemoNode } from '../../src/demo/nodes.ts'
import { createPaths, OVERHEAD, RELAYED } from '../../src/demo/paths.ts'
import { createPresence } from '../../src/demo/presence.ts'
import { KIND_EXIT, KIND_VIRTUAL } from '../../src/demo/services.ts'
import { slotNs, slotOf } from '../../src/demo/slots.ts'
import { createSpans } from '../../src/demo/spans.ts'
import { createTimes, type Times } from '../../src/demo/times.ts'
import { createTraffic } from '../../src/demo/traffic.ts'
import { createTransfers, KEEP_ALIVE_COUNTS } from '../../src/demo/transfers.ts'
import type { FullOptions } from './options.ts'
import { KINDS, protoOf, servicePortOf } from './truth.ts'

/** What two endpoints exchanged in an hour. */
export interface TrueEdge {
  /** Begin of the hour, ns. */
  readonly hourNs: bigint
  readonly kind: (typeof KINDS)[number]
  readonly proto: string
  /** The service port, `none` without. */
  readonly port: string
  /** `direct` or `derp-<region>` for physical traffic; `unknown` for exit traffic that names neither end; else `none`. */
  readonly path: string
  /** A node's id, an address, or `none`. `dst` serves the port; without one, nodes come first, then others, then `none`, by their bytes. */
  readonly src: string
  readonly dst: string
  /** What left `src` for `dst`. */
  txBytes: bigint
  /** What left `dst` for `src`. */
  rxBytes: bigint
}

const HOUR = 3_600_000_000_000n
const SIDES = [true, false] as const
const CLOCK_OFF_MAX = 140_000_000_000n

type Edge = Omit<TrueEdge, 'hourNs' | 'txBytes' | 'rxBytes'>

/** A record, by the true time at which it ends, and by its `start`. */
interface OpenRecord {
  readonly toNs: bigint
  readonly startNs: bigint
}

/** What one end sent in a burst. */
interface Sent {
  readonly bytes: number
  readonly pkts: number
}

/** When transfers stand in time: when they happened, then by the clock of the node whose word counts, or as all of a record at its `start`. */
export type Clocks = 'right' | 'own' | 'record'

/** Returns a function for the edges of all transfers from `fromNs` to `toNs`, exclusive.
 *
 * Traffic between two nodes that both do not report is left out: nobody can know of it. Port scans, hostile entries and big counters have no transfers
 * and are not in it. */
export function createEdgeTruth(options: Omit<FullOptions, 'scan'>, nodes: readonly DemoNode[]) {
  const { seed, epochNs, exitDestinations } = options
  const links = createLinks(seed, nodes)
  const presence = createPresence(seed, nodes, options)
  const transfers = createTransfers(seed, nodes, links, presence, options)
  const bursts = createBursts(nodes.length, links, transfers)
  const paths = createPaths(seed, nodes)
  const traffic = createTraffic(seed, nodes, links, presence, options)
  const spans = createSpans(nodes, traffic)
  const times = createTimes(seed, nodes, options)

  /** The spans of a node's records from slot `first` to `last`, with their `start`. */
  function recordsOf(node: DemoNode, first: number, last: number): OpenRecord[] {
    const records: OpenRecord[] = []
    const { createCursor, visitSpans } = spans
    const out: Times = { start: 0, end: 0, logged: 0, apart: 0 }
    visitSpans(createCursor(node.index, first), last, (span) => {
      times.timesOf(node.index, span, out)
      const beginNs = slotNs(span.slot)
      records.push({ toNs: beginNs + BigInt(span.to), startNs: beginNs + BigInt(out.start) })
    })
    return records
  }

  return function edges(fromNs: bigint, toNs: bigint, clocks: Clocks = 'own'): TrueEdge[] {
    const found = new Map<string, TrueEdge>()
    const records = new Map<number, OpenRecord[]>()
    const first = slotOf(fromNs - CLOCK_OFF_MAX)
    const last = slotOf(toNs + CLOCK_OFF_MAX)

    /** When bytes of the first of two nodes stand in time: as it says, if it reports. */
    function timeOf(atNs: bigint, sender: DemoNode, receiver: DemoNode): bigint {
      const teller = sender.reports ? sender : receiver
      if (clocks === 'own') return atNs + (options.disorder ? BigInt(teller.clockNs) : 0n)
      if (clocks === 'right') return atNs
      let mine = records.get(teller.index)
      if (mine === undefined) records.set(teller.index, (mine = recordsOf(teller, first - 2, last + 1)))
      let [low, high] = [0, mine.length]
      while (low < high) {
        const middle = (low + high) >> 1
        if (mine[middle]!.toNs > atNs) high = middle
        else low = middle + 1
      }
      return mine[low]?.startNs ?? atNs
    }

    function add(atNs: bigint, edge: Edge, tx: number, rx: number): void {
      if (atNs < fromNs || atNs >= toNs) return
      const hourNs = atNs - (atNs % HOUR)
      const key = [hourNs, edge.kind, edge.proto, edge.port, edge.path, edge.src, edge.dst].join(' ')
      const sum = found.get(key) ?? { ...edge, hourNs, txBytes: 0n, rxBytes: 0n }
      found.set(key, sum)
      sum.txBytes += BigInt(tx)
      sum.rxBytes += BigInt(rx)
    }

    /** Each direction by the clock of its sender. */
    function addBoth(atNs: bigint, edge: Edge, client: DemoNode, server: DemoNode, up: number, down: number): void {
      const isForth = edge.src === client.nodeId
      const upNs = timeOf(atNs, client, server)
      const downNs = timeOf(atNs, server, client)
      add(upNs, edge, isForth ? up : 0, isForth ? 0 : up)
      add(downNs, edge, isForth ? 0 : down, isForth ? down : 0)
    }

    function addPhysical(atNs: bigint, link: Link, slot: number, pathHash: number, up: Sent, down: Sent): void {
      const client = nodes[link.client]!
      const server = nodes[transfers.serverOf(link, slot)]!
      if (!client.reports && !server.reports) return
      const way = paths.pathOf(client.index, server.index, slot, pathHash)
      const path = way === RELAYED ? `derp-${paths.regionOf(client.index, server.index)}` : 'direct'
      const [src, dst] = [client.nodeId, server.nodeId].toSorted() as [string, string]
      const edge = { kind: 'physical', proto: 'none', port: 'none', path, src, dst } as const
      addBoth(atNs, edge, client, server, up.bytes + up.pkts * OVERHEAD, down.bytes + down.pkts * OVERHEAD)
    }

    function addInner(atNs: bigint, link: Link, slot: number, code: number, up: Sent, down: Sent): void {
      const { service } = link
      const client = nodes[link.client]!
      const server = nodes[transfers.serverOf(link, slot)]!
      if (!client.reports && !server.reports) return
      const clientNs = timeOf(atNs, client, server)
      if (service.kind === KIND_EXIT && !exitDestinations) {
        const path = client.exitUnnamed && client.reports ? 'unknown' : 'none'
        const edge = { kind: 'exit', proto: 'none', port: 'none', path, src: client.nodeId, dst: 'none' } as const
        return add(clientNs, edge, up.bytes, down.bytes)
      }
      const isNode = service.kind === KIND_VIRTUAL
      const far = isNode ? server.nodeId : link.far!.text
      const proto = protoOf(service.proto)
      const clientPort = transfers.clientPort(link, slot, code >> 4)
      const port = servicePortOf(proto, clientPort, service.port)
      const hasPort = port >= 0 && clientPort !== service.port
      const isServed = hasPort ? port === service.port : !isNode || client.nodeId < far
      const ends = isServed ? { src: client.nodeId, dst: far } : { src: far, dst: client.nodeId }
      const edge = { kind: KINDS[service.kind]!, proto, port: port < 0 ? 'none' : String(port), path: 'none', ...ends }
      if (isNode) addBoth(atNs, edge, client, server, up.bytes, down.bytes)
      else add(clientNs, edge, isServed ? up.bytes : down.bytes, isServed ? down.bytes : up.bytes)
    }

    for (let slot = first; slot <= last; slot++) {
      const beginNs = slotNs(slot)
      if (beginNs < epochNs) continue
      bursts.load(slot)
      for (const client of nodes) {
        const { begin, end, times, links: ids, hashes, codes } = bursts.of(client.index, slot)
        for (let i = begin; i < end; i++) {
          const link = links.all[ids[i]!]!
          // Each burst is found at both of its nodes.
          if (link.client !== client.index) continue
          const atNs = beginNs + BigInt(times[i]!)
          const [hash, code] = [hashes[i]!, codes[i]!]
          if (code === KEEP_ALIVE) {
            const both = { bytes: KEEP_ALIVE_COUNTS.txBytes, pkts: KEEP_ALIVE_COUNTS.txPkts }
            addPhysical(atNs, link, slot, hash, both, both)
            continue
          }
          const [up, down] = SIDES.map((isClient) => {
            const { txBytes, txPkts } = transfers.countsOf(link, hash, code, isClient)
            return { bytes: txBytes, pkts: txPkts }
          }) as [Sent, Sent]
          addPhysical(atNs, link, slot, hash + code, up, down)
          addInner(atNs, link, slot, code, up, down)
        }
      }
      for (const node of nodes) {
        const noise = node.reports ? traffic.noiseOf(node.index, slot) : undefined
        if (noise === undefined) continue
        const atNs = timeOf(beginNs + BigInt(noise.time), node, node)
        const { nodeId: src } = node
        const edge = { kind: 'exit', proto: 'none', port: 'none', path: 'unknown', src, dst: 'none' } as const
        add(atNs, edge, noise.counts.txBytes, 0)
      }
    }
    return [...found.values()]
  }
}
