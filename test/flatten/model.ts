/** The data model written a second time, naively: JSON.parse, strings, BigInt and a Map. Slow, obvious, and sharing no code with
 * what it is compared to. */

export interface ModelPoint {
  readonly measurement: string
  readonly tags: Readonly<Record<string, string>>
  readonly fields: Readonly<Record<string, bigint>>
  readonly timestampNs: bigint
}
export interface ModelResult {
  readonly points: readonly ModelPoint[]
  /** Entries that cannot be counted, per kind. */
  readonly quarantined: Readonly<Record<string, number>>
}
export interface ModelOptions {
  readonly ports: 'service' | 'none' | 'full'
  readonly tailnet: string
  nameOf(addressOrId: string, atNs: bigint): string | undefined
}

const INT64_MAX = 9223372036854775807n
const NUMBERS = new Map(
  Object.entries({
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
  }),
)
const ALIASES = new Map(Object.entries({ icmpv4: 'icmp', icmpv6: 'ipv6-icmp', icmp6: 'ipv6-icmp' }))

// biome-ignore lint/suspicious/noExplicitAny: JSON of unknown shape is what this reads
type Json = any

export function modelOf(json: string, options: ModelOptions): ModelResult {
  const message: Json = JSON.parse(json, (_key, value, context?: { source?: string }) =>
    typeof value === 'number' && /^\d+$/.test(context?.source ?? '') ? BigInt(context?.source ?? '') : value,
  )
  const timestampNs = nsOf(message.start)
  const loggedNs = message.logged === undefined ? timestampNs : nsOf(message.logged)
  const asOfNs = loggedNs < timestampNs ? loggedNs : timestampNs
  const nodes: Json[] = [...(message.srcNode ? [message.srcNode] : []), ...(message.dstNodes ?? [])]
  const nodeName =
    (message.srcNode?.nodeId === message.nodeId ? shortName(message.srcNode.name) : undefined) ??
    options.nameOf(message.nodeId, asOfNs) ??
    message.nodeId

  const nameOf = (address: string): string => {
    if (address === 'none') return 'none'
    for (const node of nodes) {
      const listed = (node.addresses ?? []).some((one: string) => one !== '' && tag(one) === address)
      if (listed && shortName(node.name) !== undefined) return tag(shortName(node.name)!)
    }
    return tag(options.nameOf(address, asOfNs) ?? address)
  }

  const flows = new Map<string, { tags: Record<string, string>; fields: Record<string, bigint> }>()
  const kinds = new Map<string, { sums: bigint[]; flows: bigint; peers: Set<string>; derpTx: bigint; derpRx: bigint }>()
  const quarantined: Record<string, number> = {}
  const base = { node: tag(message.nodeId), tailnet: tag(options.tailnet), node_name: tag(nodeName) }

  for (const kind of ['virtual', 'subnet', 'exit', 'physical']) {
    for (const entry of message[`${kind}Traffic`] ?? []) {
      const counters: bigint[] = [entry.txBytes ?? 0n, entry.txPkts ?? 0n, entry.rxBytes ?? 0n, entry.rxPkts ?? 0n]
      const total = kinds.get(kind) ?? { sums: [0n, 0n, 0n, 0n], flows: 0n, peers: new Set(), derpTx: 0n, derpRx: 0n }
      if (counters.some((one, i) => one > INT64_MAX || one + total.sums[i]! > INT64_MAX)) {
        quarantined[kind] = (quarantined[kind] ?? 0) + 1
        continue
      }
      kinds.set(kind, total)
      const [src, srcPort] = split(entry.src)
      const [dst, dstPort] = split(entry.dst)
      const proto = protoTag(entry.proto)
      const physical = kind === 'physical'
      const path = !physical ? 'none' : dst === '127.3.3.40' && dstPort !== undefined ? `derp-${dstPort}` : 'direct'
      const tags = {
        ...base,
        kind,
        proto,
        src: tag(options.ports === 'full' ? (entry.src ?? '') : src),
        dst: tag(options.ports === 'full' ? (entry.dst ?? '') : dst),
        port: options.ports === 'none' || physical ? 'none' : servicePort(proto, srcPort, dstPort),
        path,
        src_name: nameOf(tag(src)),
        dst_name: !physical ? nameOf(tag(dst)) : path.startsWith('derp-') ? path : tag(dst),
      }
      const key = JSON.stringify(Object.entries(tags).sort())
      const fields: Record<string, bigint> = { tx_bytes: 0n, tx_pkts: 0n, rx_bytes: 0n, rx_pkts: 0n, flows: 0n }
      const flow = flows.get(key) ?? { tags, fields }
      flows.set(key, flow)
      ;['tx_bytes', 'tx_pkts', 'rx_bytes', 'rx_pkts'].forEach((name, i) => {
        flow.fields[name]! += counters[i]!
        total.sums[i]! += counters[i]!
      })
      flow.fields['flows']! += 1n
      total.flows += 1n
      if (path.startsWith('derp-')) {
        total.derpTx += counters[0]!
        total.derpRx += counters[2]!
      }
      const far = tag(physical ? src : dst)
      if (far !== 'none') total.peers.add(far)
    }
  }

  const points: ModelPoint[] = [...flows.values()].map((flow) => ({
    measurement: 'tailnet_flow',
    ...flow,
    timestampNs,
  }))
  for (const [kind, total] of kinds) {
    const [tx_bytes, tx_pkts, rx_bytes, rx_pkts] = total.sums as [bigint, bigint, bigint, bigint]
    const fields = { tx_bytes, tx_pkts, rx_bytes, rx_pkts, flows: total.flows, peers: BigInt(total.peers.size) }
    const derp = kind === 'physical' ? { derp_tx_bytes: total.derpTx, derp_rx_bytes: total.derpRx } : {}
    points.push({ measurement: 'tailnet_node', tags: { ...base, kind }, fields: { ...fields, ...derp }, timestampNs })
  }
  return { points, quarantined }
}

/** Whole seconds through Date, the fraction as text. */
function nsOf(time: string): bigint {
  const [, whole, fraction, zone] = /^(.*?)(?:\.(\d+))?(Z|[+-]\d\d:\d\d)$/.exec(time)!
  return BigInt(Date.parse(whole! + zone!)) * 1_000_000n + BigInt((fraction ?? '').padEnd(9, '0').slice(0, 9))
}

function shortName(fqdn: string | undefined): string | undefined {
  return fqdn?.split('.')[0] || undefined
}

function split(text: string | undefined | null): [string, number | undefined] {
  const whole = text ?? ''
  const match =
    /^\[(?<v6>[^\]]+)\](?::(?<port>\d{1,5}))?$/s.exec(whole) ?? /^(?!\[)(?<v4>[^:]+):(?<port>\d{1,5})$/s.exec(whole)
  const groups = match?.groups
  const port = groups?.['port'] === undefined ? undefined : Number(groups['port'])
  if (groups === undefined || (port !== undefined && port > 65535)) return [whole, undefined]
  return [groups['v6'] ?? groups['v4']!, port]
}

function protoTag(proto: Json): string {
  if (proto === undefined || proto === null) return 'none'
  const text = String(proto).toLowerCase()
  const number = /^\d{1,15}$/.test(text) ? String(Number(text)) : text
  return ALIASES.get(text) ?? NUMBERS.get(number) ?? tag(number)
}

function servicePort(proto: string, one: number | undefined, other: number | undefined): string {
  if (!['tcp', 'udp', 'sctp', 'dccp'].includes(proto)) return 'none'
  const real = [one, other].filter((port) => port !== undefined && port > 0) as number[]
  if (real.length === 0 || Math.min(...real) >= 32768) return 'none'
  return String(Math.min(...real))
}

function tag(text: string): string {
  let value = ''
  for (const character of text) {
    const code = character.codePointAt(0)!
    const control =
      code < 0x20 || (code >= 0x7f && code <= 0x9f) || code === 0x2028 || code === 0x2029 || character === '\\'
    const next = control ? '_' : code >= 0xd800 && code <= 0xdfff ? '\ufffd' : character
    if (Buffer.byteLength(value + next) > 256) break
    value += next
  }
  return value === '' ? 'none' : value
}
