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
  const flows = new Map<string, { tags: Record<string, string>; fields: Record<string, bigint> }>()
  const kinds = new Map<string, bigint[]>()
  const quarantined: Record<string, number> = {}
  const base = { node: tag(message.nodeId), tailnet: tag(options.tailnet) }

  for (const kind of ['virtual', 'subnet', 'exit', 'physical']) {
    for (const entry of message[`${kind}Traffic`] ?? []) {
      const counters: bigint[] = [entry.txBytes ?? 0n, entry.txPkts ?? 0n, entry.rxBytes ?? 0n, entry.rxPkts ?? 0n]
      const total = kinds.get(kind) ?? [0n, 0n, 0n, 0n]
      if (counters.some((one, i) => one > INT64_MAX || one + total[i]! > INT64_MAX)) {
        quarantined[kind] = (quarantined[kind] ?? 0) + 1
        continue
      }
      kinds.set(kind, total)
      const [src, srcPort] = split(entry.src)
      const [dst, dstPort] = split(entry.dst)
      const proto = protoTag(entry.proto)
      const physical = kind === 'physical'
      const path = !physical ? 'none' : dst === '127.3.3.40' && dstPort !== undefined ? `derp-${dstPort}` : 'direct'
      const service = physical ? undefined : servicePort(proto, srcPort, dstPort)
      const portTag = (port: number | undefined) =>
        port !== undefined && (options.ports === 'full' || (options.ports === 'service' && port === service))
          ? String(port)
          : 'none'
      const tags = {
        ...base,
        kind,
        proto,
        src: tag(src),
        dst: tag(dst),
        src_port: portTag(srcPort),
        dst_port: portTag(dstPort),
        path,
      }
      const key = JSON.stringify(Object.entries(tags).sort())
      const fields: Record<string, bigint> = { tx_bytes: 0n, tx_pkts: 0n, rx_bytes: 0n, rx_pkts: 0n, flows: 0n }
      const flow = flows.get(key) ?? { tags, fields }
      flows.set(key, flow)
      ;['tx_bytes', 'tx_pkts', 'rx_bytes', 'rx_pkts'].forEach((name, i) => {
        flow.fields[name]! += counters[i]!
        total[i]! += counters[i]!
      })
      flow.fields['flows']! += 1n
    }
  }

  const points: ModelPoint[] = [...flows.values()].map((flow) => ({
    measurement: 'tailnet_flow',
    ...flow,
    timestampNs,
  }))
  return { points, quarantined }
}

/** Whole seconds through Date, the fraction as text. */
function nsOf(time: string): bigint {
  const [, whole, fraction, zone] = /^(.*?)(?:\.(\d+))?(Z|[+-]\d\d:\d\d)$/.exec(time)!
  return BigInt(Date.parse(whole! + zone!)) * 1_000_000n + BigInt((fraction ?? '').padEnd(9, '0').slice(0, 9))
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

function servicePort(proto: string, one: number | undefined, other: number | undefined): number | undefined {
  if (!['tcp', 'udp', 'sctp', 'dccp'].includes(proto)) return undefined
  const real = [one, other].filter((port) => port !== undefined && port > 0) as number[]
  return real.length === 0 || Math.min(...real) >= 32768 ? undefined : Math.min(...real)
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
