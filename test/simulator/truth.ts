/** The points that a database must hold after a simulated tailnet was read. This is a second, simple implementation of the data model: it
 * starts from the objects of the simulation and shares no code with the components that tests compare with it. */

import { getOrInsert } from '../../src/base/maps.ts'
import type { DemoEntry } from '../../src/demo/entries.ts'
import type { DemoRecord } from '../../src/demo/records.ts'

export interface TruthPoint {
  readonly measurement: 'tailnet_flow'
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
}

export const KINDS = ['virtual', 'subnet', 'exit', 'physical'] as const
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

/** All points of one message. */
export function truthOf(record: DemoRecord, options: TruthOptions = {}): TruthPoint[] {
  const { ports = 'service', tailnet = 'default' } = options
  const node = clean(record.node.nodeId)
  const flows = new Map<string, { tags: Record<string, string>; fields: Record<string, bigint> }>()
  KINDS.forEach((kind, index) => {
    for (const entry of record.entries[index]!) {
      const isDerp = kind === 'physical' && entry.dst?.text === '127.3.3.40'
      const proto = protoOf(entry.proto)
      const service = kind === 'physical' ? 'none' : servicePort(proto, entry)
      const portOf = (address: DemoEntry['src'], port: number): string => {
        if (ports === 'none' || address === undefined || port < 0) return 'none'
        return ports === 'full' || String(port) === service ? String(port) : 'none'
      }
      const tags = {
        dst: entry.dst === undefined ? 'none' : clean(entry.dst.text),
        dst_port: portOf(entry.dst, entry.dstPort),
        kind,
        node,
        path: kind !== 'physical' ? 'none' : isDerp ? `derp-${entry.dstPort}` : 'direct',
        proto,
        src: entry.src === undefined ? 'none' : clean(entry.src.text),
        src_port: portOf(entry.src, entry.srcPort),
        tailnet: clean(tailnet),
      }
      const key = JSON.stringify(tags)
      const { fields } = getOrInsert(flows, key, () => ({ tags, fields: noCounters() }))
      fields['tx_bytes']! += BigInt(entry.txBytes)
      fields['tx_pkts']! += BigInt(entry.txPkts)
      fields['rx_bytes']! += BigInt(entry.rxBytes)
      fields['rx_pkts']! += BigInt(entry.rxPkts)
      fields['flows']! += 1n
    }
  })
  return flows
    .values()
    .map((flow) => ({ measurement: 'tailnet_flow' as const, ...flow, timestampNs: record.startNs }))
    .toArray()
}

function noCounters(): Record<string, bigint> {
  return { tx_bytes: 0n, tx_pkts: 0n, rx_bytes: 0n, rx_pkts: 0n, flows: 0n }
}

export function protoOf(proto: number | string): string {
  const key = typeof proto === 'number' ? String(proto) : proto.toLowerCase()
  return PROTOS[key] ?? clean(key)
}

function servicePort(proto: string, { src, srcPort, dst, dstPort }: DemoEntry): string {
  const port = servicePortOf(proto, src === undefined ? -1 : srcPort, dst === undefined ? -1 : dstPort)
  return port < 0 ? 'none' : String(port)
}

/** The lower of the two ports if it is below 32768; -1 without. Clients use higher ones. */
export function servicePortOf(proto: string, one: number, other: number): number {
  if (!WITH_PORTS.includes(proto)) return -1
  const lowest = Math.min(...[one, other].filter((port) => port > 0))
  return lowest < 32_768 ? lowest : -1
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
