/** What a database must hold after reading a simulated tailnet: the data model once more, written naively from the simulation's own
 * objects, and sharing no code with the components that it is compared to. */
import type { DemoNode, Naming } from './nodes.ts'
import type { DemoRecord } from './records.ts'
import type { DemoEntry } from './traffic.ts'

export interface TruthPoint {
  readonly measurement: 'tailnet_flow' | 'tailnet_node'
  /** Not escaped, in the order of the line. */
  readonly tags: Readonly<Record<string, string>>
  readonly fields: Readonly<Record<string, bigint>>
  readonly timestampNs: bigint
}

export interface TruthOptions {
  /** `service` unless told otherwise. */
  readonly ports?: 'service' | 'none' | 'full'
  /** The tag `tailnet`: `default` unless told otherwise. */
  readonly tailnet?: string
  /** The name that a device with this address or stable id had at `atNs`, as far as a reader of the devices API knew then.
   * Without it: the name that it really had. */
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

/** What tells one point from all others; the order of the tags does not matter. Tag values hold no control characters. */
export function truthKey(point: {
  readonly measurement: string
  readonly tags: Readonly<Record<string, string>>
  readonly timestampNs: bigint
}): string {
  let key = `${point.timestampNs}\t${point.measurement}`
  for (const name of Object.keys(point.tags).sort()) key += `\t${name}\t${point.tags[name]}`
  return key
}

export function createTruth(nodes: readonly DemoNode[], naming: Naming) {
  const byAddress = new Map(
    nodes.flatMap((node) => [node.nodeId, node.v4.text, node.v6.text].map((key) => [key, node])),
  )

  /** Undefined for a device without a name. */
  function nameAt(node: DemoNode, atNs: bigint): string | undefined {
    const [label] = naming.label(node.index, naming.versionAt(node.index, atNs)).split('.')
    return label || undefined
  }

  function reallyNamed(addressOrId: string, atNs: bigint): string | undefined {
    const node = byAddress.get(addressOrId)
    return node && nameAt(node, atNs)
  }

  /** All points of one message. */
  function pointsOf(record: DemoRecord, options: TruthOptions = {}): TruthPoint[] {
    const { ports = 'service', tailnet = 'default', nameAsOf = reallyNamed } = options
    const { startNs, loggedNs } = record
    const asOfNs = startNs < loggedNs ? startNs : loggedNs
    const told = record.dstNodes === undefined ? [] : [record.node, ...record.dstNodes]

    const nameOfAddress = (address: string): string => {
      if (address === 'none') return 'none'
      const teller = told.find((node) => node.v4.text === address || node.v6.text === address)
      const name = (teller && nameAt(teller, startNs)) ?? nameAsOf(address, asOfNs)
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
      const farEnds = new Set<string>()
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
        const farEnd = kind === 'physical' ? entry.src : entry.dst
        if (farEnd !== undefined) farEnds.add(farEnd.text)
      }
      for (const { tags, fields } of flows.values())
        points.push({ measurement: 'tailnet_flow', tags, fields, timestampNs: startNs })
      points.push({
        measurement: 'tailnet_node',
        tags: { node, kind, tailnet: clean(tailnet), node_name: nodeName },
        fields: {
          ...total,
          peers: BigInt(farEnds.size),
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
  return port < 0 ? address.open : `${address.open}${port}`
}

function protoOf(proto: number | string): string {
  const key = typeof proto === 'number' ? String(proto) : proto.toLowerCase()
  return PROTOS[key] ?? clean(key)
}

/** The lower of the two ports if it is below 32768, where clients do not take theirs from. */
function servicePort(proto: string, { src, srcPort, dst, dstPort }: DemoEntry): string {
  if (!WITH_PORTS.includes(proto)) return 'none'
  const counting = [src === undefined ? 0 : srcPort, dst === undefined ? 0 : dstPort].filter((port) => port > 0)
  const lowest = Math.min(...counting)
  return lowest < 32_768 ? String(lowest) : 'none'
}

/** A tag value: nothing that breaks a line, at most 256 bytes, never empty. */
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
