/** The points that a database must hold after a simulated tailnet was read. This is a second, simple implementation of the data model: it
 * starts from the objects of the simulation and shares no code with the components that tests compare with it. */

import type { DemoEntry } from '../../src/demo/entries.ts'
import type { NameOf } from '../../src/demo/messages.ts'
import type { DemoNode } from '../../src/demo/nodes.ts'
import type { DemoRecord } from '../../src/demo/records.ts'

export interface TruthPoint {
  readonly measurement: 'tailnet_flow' | 'tailnet_node'
  /** Without escapes, in the order of the line. */
  readonly tags: Readonly<Record<string, string>>
  readonly fields: Readonly<Record<string, bigint>>
  readonly timestampNs: bigint
}

export interface TruthOptions {
  /** Default: `service`. */
  readonly ports?: 'service' | 'none' | 'full'
  /** The tag `tailnet`. Default: `default`. */
  readonly tailnet?: string
  /** The name of the device with this address or stable id that a reader of the device list knew at `atNs`.
   * Default: the name that the device had then. */
  readonly nameAsOf?: (addressOrId: string, atNs: bigint) => string | undefined
}

const KINDS = ['virtual', 'subnet', 'exit', 'physical'] as const
const PROTOS: Readonly<Record<string, string>> = {
  0: 'none',
  1: 'icmp',
  2: 'igmp',
  6: 'tcp',
  17: 'udp',
  33: 'dccp',
  47: 'gre',
  50: 'esp',
  51: 'ah',
  58: 'ipv6-icmp',
  99: 'tsmp',
  132: 'sctp',
  255: 'fragment',
  icmpv4: 'icmp',
  icmpv6: 'ipv6-icmp',
  icmp6: 'ipv6-icmp',
}
const WITH_PORTS = ['tcp', 'udp', 'sctp', 'dccp']

/** The identity of a point. The order of the tags does not matter. Tag values have no control characters. */
export function truthKey(point: {
  readonly measurement: string
  readonly tags: Readonly<Record<string, string>>
  readonly timestampNs: bigint
}): string {
  let key = `${point.timestampNs}\t${point.measurement}`
  for (const name of Object.keys(point.tags).sort()) key += `\t${name}\t${point.tags[name]}`
  return key
}

export function createTruth(nodes: readonly DemoNode[], nameOf: NameOf) {
  const byAddress = new Map(
    nodes.flatMap((node) => [node.nodeId, node.v4.text, node.v6.text].map((key) => [key, node])),
  )

  /** Undefined for a device without a name. */
  function nameAt(node: DemoNode, atNs: bigint): string | undefined {
    const [label] = nameOf(node, atNs).split('.')
    return label || undefined
  }

  function realName(addressOrId: string, atNs: bigint): string | undefined {
    const node = byAddress.get(addressOrId)
    return node && nameAt(node, atNs)
  }

  /** All points of one message. */
  function pointsOf(record: DemoRecord, options: TruthOptions = {}): TruthPoint[] {
    const { ports = 'service', tailnet = 'default', nameAsOf = realName } = options
    const { startNs, loggedNs } = record
    const asOfNs = startNs < loggedNs ? startNs : loggedNs
    const described = record.dstNodes === undefined ? [] : [record.node, ...record.dstNodes]

    const nameOfAddress = (address: string): string => {
      if (address === 'none') return 'none'
      const found = described.find((node) => node.v4.text === address || node.v6.text === address)
      const name = (found && nameAt(found, startNs)) ?? nameAsOf(address, asOfNs)
      return clean(name ?? address)
    }
    const { nodeId } = record.node
    const ownName = record.dstNodes === undefined ? undefined : nameAt(record.node, startNs)
    const node = clean(nodeId)
    const nodeName = clean(ownName ?? nameAsOf(nodeId, asOfNs) ?? nodeId)

    const points: TruthPoint[] = []
    KINDS.forEach((kind, index) => {
      const entries = record.entries[index]!
      if (entries.length === 0) return
      const flows = new Map<string, { tags: Record<string, string>; fields: Record<string, bigint> }>()
      const total = noCounters()
      const derp = { tx: 0n, rx: 0n }
      const peers = new Set<string>()
      for (const entry of entries) {
        const srcAddress = entry.src === undefined ? 'none' : entry.src.text
        const dstAddress = entry.dst === undefined ? 'none' : entry.dst.text
        const isDerp = kind === 'physical' && dstAddress === '127.3.3.40'
        const proto = protoOf(entry.proto)
        const path = kind !== 'physical' ? 'none' : isDerp ? `derp-${entry.dstPort}` : 'direct'
        const tags = {
          node,
          kind,
          proto,
          src: clean(ports === 'full' ? wireText(entry.src, entry.srcPort) : srcAddress),
          dst: clean(ports === 'full' ? wireText(entry.dst, entry.dstPort) : dstAddress),
          port: ports === 'none' || kind === 'physical' ? 'none' : servicePort(proto, entry),
          path,
          tailnet: clean(tailnet),
          node_name: nodeName,
          src_name: nameOfAddress(srcAddress),
          dst_name: isDerp ? path : kind === 'physical' ? clean(dstAddress) : nameOfAddress(dstAddress),
        }
        const key = JSON.stringify(tags)
        const flow = flows.get(key) ?? { tags, fields: noCounters() }
        flows.set(key, flow)
        for (const sums of [flow.fields, total]) {
          sums['tx_bytes']! += BigInt(entry.txBytes)
          sums['tx_pkts']! += BigInt(entry.txPkts)
          sums['rx_bytes']! += BigInt(entry.rxBytes)
          sums['rx_pkts']! += BigInt(entry.rxPkts)
          sums['flows']! += 1n
        }
        if (isDerp) {
          derp.tx += BigInt(entry.txBytes)
          derp.rx += BigInt(entry.rxBytes)
        }
        const peer = kind === 'physical' ? entry.src : entry.dst
        if (peer !== undefined) peers.add(peer.text)
      }
      for (const { tags, fields } of flows.values())
        points.push({ measurement: 'tailnet_flow', tags, fields, timestampNs: startNs })
      points.push({
        measurement: 'tailnet_node',
        tags: { node, kind, tailnet: clean(tailnet), node_name: nodeName },
        fields: {
          ...total,
          peers: BigInt(peers.size),
          ...(kind === 'physical' ? { derp_tx_bytes: derp.tx, derp_rx_bytes: derp.rx } : {}),
        },
        timestampNs: startNs,
      })
    })
    return points
  }

  return { pointsOf }
}

function noCounters(): Record<string, bigint> {
  return { tx_bytes: 0n, tx_pkts: 0n, rx_bytes: 0n, rx_pkts: 0n, flows: 0n }
}

function wireText(address: DemoEntry['src'], port: number): string {
  if (address === undefined) return 'none'
  return port < 0 ? address.text : `${address.open}${port}`
}

function protoOf(proto: number | string): string {
  const key = typeof proto === 'number' ? String(proto) : proto.toLowerCase()
  return PROTOS[key] ?? clean(key)
}

/** The lower of the two ports if it is below 32768. Clients use higher ones. */
function servicePort(proto: string, { src, srcPort, dst, dstPort }: DemoEntry): string {
  if (!WITH_PORTS.includes(proto)) return 'none'
  const ports = [src === undefined ? 0 : srcPort, dst === undefined ? 0 : dstPort].filter((port) => port > 0)
  const lowest = Math.min(...ports)
  return lowest < 32_768 ? String(lowest) : 'none'
}

/** A tag value: no characters that break a line, at most 256 bytes, never empty. */
function clean(text: string): string {
  let out = ''
  let bytes = 0
  for (const character of text) {
    const code = character.codePointAt(0)!
    let safe = character
    if (code < 0x20 || (code >= 0x7f && code < 0xa0) || code === 0x2028 || code === 0x2029 || character === '\\')
      safe = '_'
    else if (code >= 0xd800 && code < 0xe000) safe = '\ufffd'
    const size = Buffer.byteLength(safe)
    if (bytes + size > 256) break
    bytes += size
    out += safe
  }
  return out === '' ? 'none' : out
}
