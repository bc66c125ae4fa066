/** What really moved in a simulated tailnet, each byte once: from the transfers themselves, and not from what nodes report of them. */
import { createBursts, KEEP_ALIVE } from '../../src/demo/bursts.ts'
import { createLinks, type Link } from '../../src/demo/links.ts'
import type { DemoNode } from '../../src/demo/nodes.ts'
import { createPaths, OVERHEAD, RELAYED } from '../../src/demo/paths.ts'
import { createPresence } from '../../src/demo/presence.ts'
import { KIND_EXIT, KIND_VIRTUAL } from '../../src/demo/services.ts'
import { slotNs, slotOf } from '../../src/demo/slots.ts'
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

/** Traffic between two nodes that both do not report is left out: nobody can know of it. Port scans, hostile entries and big counters have no transfers
 * and are not in it. */
export function createEdgeTruth(options: Omit<FullOptions, 'scan'>, nodes: readonly DemoNode[]) {
  const { seed, epochNs, exitDestinations } = options
  const links = createLinks(seed, nodes)
  const presence = createPresence(seed, nodes, options)
  const transfers = createTransfers(seed, nodes, links, presence, options)
  const bursts = createBursts(nodes.length, links, transfers)
  const paths = createPaths(seed, nodes)
  const { noiseOf } = createTraffic(seed, nodes, links, presence, options)

  /** The edges of all transfers from `fromNs` to `toNs`, exclusive, by true time. */
  return function edges(fromNs: bigint, toNs: bigint): TrueEdge[] {
    const found = new Map<string, TrueEdge>()

    function add(atNs: bigint, edge: Omit<TrueEdge, 'hourNs' | 'txBytes' | 'rxBytes'>, tx: number, rx: number): void {
      const hourNs = atNs - (atNs % HOUR)
      const key = [hourNs, edge.kind, edge.proto, edge.port, edge.path, edge.src, edge.dst].join(' ')
      const sum = found.get(key) ?? { ...edge, hourNs, txBytes: 0n, rxBytes: 0n }
      found.set(key, sum)
      sum.txBytes += BigInt(tx)
      sum.rxBytes += BigInt(rx)
    }

    function addPhysical(atNs: bigint, link: Link, slot: number, pathHash: number, up: number[], down: number[]): void {
      const server = transfers.serverOf(link, slot)
      if (!nodes[link.client]!.reports && !nodes[server]!.reports) return
      const way = paths.pathOf(link.client, server, slot, pathHash)
      const path = way === RELAYED ? `derp-${paths.regionOf(link.client, server)}` : 'direct'
      const [one, other] = [nodes[link.client]!.nodeId, nodes[server]!.nodeId]
      const isInOrder = one < other
      const [src, dst] = isInOrder ? [one, other] : [other, one]
      const [tx, rx] = [up, down].map(([bytes, pkts]) => bytes! + pkts! * OVERHEAD) as [number, number]
      add(
        atNs,
        { kind: 'physical', proto: 'none', port: 'none', path, src, dst },
        isInOrder ? tx : rx,
        isInOrder ? rx : tx,
      )
    }

    function addInner(atNs: bigint, link: Link, slot: number, code: number, up: number, down: number): void {
      const { service } = link
      const client = nodes[link.client]!
      const server = nodes[transfers.serverOf(link, slot)]!
      if (!client.reports && !server.reports) return
      if (service.kind === KIND_EXIT && !exitDestinations) {
        const path = client.exitUnnamed && client.reports ? 'unknown' : 'none'
        add(atNs, { kind: 'exit', proto: 'none', port: 'none', path, src: client.nodeId, dst: 'none' }, up, down)
        return
      }
      const far = service.kind === KIND_VIRTUAL ? server.nodeId : link.far!.text
      const proto = protoOf(service.proto)
      const clientPort = transfers.clientPort(link, slot, code >> 4)
      const port = servicePortOf(proto, clientPort, service.port)
      const isNode = service.kind === KIND_VIRTUAL
      const isServed = port >= 0 && clientPort !== service.port ? port === service.port : !isNode || client.nodeId < far
      const ends = isServed ? { src: client.nodeId, dst: far } : { src: far, dst: client.nodeId }
      const edge = { kind: KINDS[service.kind]!, proto, port: port < 0 ? 'none' : String(port), path: 'none', ...ends }
      add(atNs, edge, isServed ? up : down, isServed ? down : up)
    }

    for (let slot = slotOf(fromNs); slotNs(slot) < toNs; slot++) {
      const beginNs = slotNs(slot)
      if (beginNs < epochNs) continue
      const isInside = (atNs: bigint) => atNs >= fromNs && atNs < toNs
      bursts.load(slot)
      for (const client of nodes) {
        const { begin, end, times, links: ids, hashes, codes } = bursts.of(client.index, slot)
        for (let i = begin; i < end; i++) {
          const link = links.all[ids[i]!]!
          // Each burst is found at both of its nodes.
          if (link.client !== client.index) continue
          const atNs = beginNs + BigInt(times[i]!)
          if (!isInside(atNs)) continue
          const [hash, code] = [hashes[i]!, codes[i]!]
          if (code === KEEP_ALIVE) {
            const both = [KEEP_ALIVE_COUNTS.txBytes, KEEP_ALIVE_COUNTS.txPkts]
            addPhysical(atNs, link, slot, hash, both, both)
            continue
          }
          const [up, down] = SIDES.map((isClient) => {
            const { txBytes, txPkts } = transfers.countsOf(link, hash, code, isClient)
            return [txBytes, txPkts]
          }) as [number[], number[]]
          addPhysical(atNs, link, slot, hash + code, up, down)
          addInner(atNs, link, slot, code, up[0]!, down[0]!)
        }
      }
      for (const node of nodes) {
        const noise = node.reports ? noiseOf(node.index, slot) : undefined
        const atNs = beginNs + BigInt(noise?.time ?? 0)
        if (noise === undefined || !isInside(atNs)) continue
        const edge = {
          kind: 'exit',
          proto: 'none',
          port: 'none',
          path: 'unknown',
          src: node.nodeId,
          dst: 'none',
        } as const
        add(atNs, edge, noise.counts.txBytes, 0)
      }
    }
    return [...found.values()]
  }
}
