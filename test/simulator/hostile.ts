/** Nodes and traffic that a service must survive: hostile texts, counters beyond 2^53, port scans. Each function adds one of them to the
 * tailnet of src/demo. */

import type { Entries } from '../../src/demo/entries.ts'
import type { DemoAddress, DemoNode } from '../../src/demo/nodes.ts'
import { limitOf, mix } from '../../src/demo/random.ts'
import { KIND_PHYSICAL, KIND_SUBNET, KIND_VIRTUAL } from '../../src/demo/services.ts'
import { SLOT } from '../../src/demo/slots.ts'
import type { Span, TimesOfNodes } from '../../src/demo/times.ts'
import type { Traffic } from '../../src/demo/traffic.ts'
import type { ScanOptions } from './options.ts'

/** Used as device names: texts that would break out of a line, a tag, a column or a page. */
export const HOSTILE_NAMES: readonly string[] = [
  'web,kind=exit',
  'rack 2 unit 7',
  'cache=3',
  'say "db" or \'db\'',
  'two\nlines',
  'tab\tand\rreturn',
  'back\\slash',
  'trailing\\',
  'größe-žluť-ñ',
  '机器-七',
  '🦊-box',
  'nul\u0000byte',
  'line\u2028separator\u2029',
  'next\u0085line',
  'lone\ud800surrogate',
  'x'.repeat(10_000),
  '',
  "'; drop table lines; --",
  '<script>alert(1)</script>',
  '#comment',
  'none',
  '\u202eright-to-left',
  // 256 bytes end in the middle of the emoji.
  `${'a'.repeat(255)}🦊`,
  '\\,\\ \\=',
  '{{field}} %s $(id)',
]

/** Endpoints of a connection that are no addresses. Points keep them as text. */
const HOSTILE_ADDRESSES: readonly string[] = [
  'not-an-address',
  '100.99.888.77',
  '=weird, tag chars\\\n',
  '100.xx.yy.zz',
  'fd7a:115c:a1e0::dead:beef',
]

const HOSTILE_PROTOS: readonly (number | string)[] = ['tcp', 'UDP', 'my proto,=\\', 'icmpv4', 200, 253]

const HOSTILE_SHARE = limitOf(0.03)
const BIG_SHARE = limitOf(0.02)
/** Clients split a record that has more entries. */
const ENTRIES_MAX = 1060

/** An endpoint that is not an address. Messages have it as it is, without a port. */
export function textAddress(text: string): DemoAddress {
  return { text, open: JSON.stringify(text).slice(1, -1) }
}
const HOSTILE_ENDPOINTS = HOSTILE_ADDRESSES.map(textAddress)

/** Every fourth node gets a hostile name, and a hostile user or tag. */
export function hostileNode(node: DemoNode): DemoNode {
  if (node.index % 4 !== 1) return node
  return {
    ...node,
    hostname: HOSTILE_NAMES[(node.index >> 2) % HOSTILE_NAMES.length]!,
    user: node.user && `user,"=${node.index}"\n\\@example.com`,
    tags: node.tags && [`tag:${node.job}`, 'tag:a b,c="d"\\'],
  }
}

/** Some records have entries with a hostile address and protocol. */
export function hostileTraffic(traffic: Traffic, seed: number, nodes: readonly DemoNode[]): Traffic {
  return withEntries(traffic, (entries, index, { slot }) => {
    const h = mix(seed, index, slot, 44)
    if (h >= HOSTILE_SHARE) return
    const src = nodes[index]!.v4
    const endpoint = HOSTILE_ENDPOINTS[h % HOSTILE_ENDPOINTS.length]!
    const kind = h % 3 === 0 ? KIND_SUBNET : KIND_VIRTUAL
    const counts = { txPkts: 1 + (h % 9), txBytes: 60 + (h % 999), rxPkts: 0, rxBytes: 0 }
    const proto = HOSTILE_PROTOS[(h >>> 3) % HOSTILE_PROTOS.length]!
    entries[kind].push({ proto, src, srcPort: 40_000, dst: endpoint, dstPort: -1, ...counts, other: -1 })
    entries[kind].push({ proto: 6, src: endpoint, srcPort: -1, dst: undefined, dstPort: 0, ...counts, other: -1 })
  })
}

/** Some records have counters beyond 2^53. */
export function bigCounters(traffic: Traffic, seed: number): Traffic {
  return withEntries(traffic, (entries, index, { slot }) => {
    if (mix(seed, index, slot, 41) >= BIG_SHARE) return
    const entry = entries[KIND_VIRTUAL][0] ?? entries[KIND_PHYSICAL][0]
    if (entry === undefined) return
    // 2^53 + 1 is the smallest whole number that a double cannot hold.
    entry.txBytes = (1n << 53n) + 1n + BigInt(mix(seed, index, slot, 42)) * 3n
    entry.rxBytes = (1n << 60n) + BigInt(mix(seed, index, slot, 43))
  })
}

/** The last nodes scan ports, once in every slot. Tuples repeat only after all ports of all targets. */
export function scanTraffic(traffic: Traffic, scan: ScanOptions, nodes: readonly DemoNode[]): Traffic {
  const { tuples } = scan
  const scanning = withEntries(traffic, (entries, index, span) => {
    const slot = scanIn(span, index, scan, nodes)
    if (slot === undefined) return
    for (let i = 0; i < tuples; i++) {
      const n = slot * tuples + i
      const target = nodes[(index + 1 + (Math.floor(n / 65_535) % (nodes.length - 1))) % nodes.length]!
      entries[KIND_VIRTUAL].push({
        proto: 6,
        src: nodes[index]!.v4,
        srcPort: 1024 + ((n * 7 + (n >>> 13)) % 64_000),
        dst: target.v4,
        dstPort: 1 + (n % 65_535),
        txPkts: 1,
        txBytes: 60,
        rxPkts: i % 16 === 0 ? 1 : 0,
        rxBytes: i % 16 === 0 ? 40 : 0,
        other: target.index,
      })
    }
  })
  return {
    ...scanning,
    packetTimes(index, slot) {
      const others = traffic.packetTimes(index, slot)
      if (tuples === 0 || !isScanner(index, scan, nodes)) return others
      const times = Float64Array.of(nodes[index]!.phaseNs, ...others.times.subarray(others.begin, others.end))
      return { begin: 0, end: times.length, times }
    },
  }
}

/** Records with a scan are split. */
export function scanTimes(times: TimesOfNodes, scan: ScanOptions, nodes: readonly DemoNode[]): TimesOfNodes {
  const parts = Math.max(1, Math.ceil(scan.tuples / ENTRIES_MAX))
  return {
    ...times,
    partsOf: (index, span) => (scanIn(span, index, scan, nodes) === undefined ? times.partsOf(index, span) : parts),
  }
}

function isScanner(index: number, scan: ScanOptions, nodes: readonly DemoNode[]): boolean {
  return index >= nodes.length - scan.nodes
}

/** The slot whose scan a record has. A scan comes when the node's timer runs, so no record ends just after it. */
function scanIn(
  { slot, from, to }: Pick<Span, 'slot' | 'from' | 'to'>,
  index: number,
  scan: ScanOptions,
  nodes: readonly DemoNode[],
): number | undefined {
  if (!isScanner(index, scan, nodes)) return undefined
  const { phaseNs } = nodes[index]!
  if (from <= phaseNs && phaseNs < to) return slot
  return phaseNs + SLOT < to ? slot + 1 : undefined
}

function withEntries(
  traffic: Traffic,
  add: (entries: Entries, index: number, span: Pick<Span, 'slot' | 'from' | 'to'>) => void,
): Traffic {
  return {
    ...traffic,
    entriesOf(index, span) {
      const entries = traffic.entriesOf(index, span)
      add(entries, index, span)
      return entries
    },
  }
}
