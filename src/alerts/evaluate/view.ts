/** What rules ask of the rows, without their thresholds: rules that look at the same traffic in the same groups share one view, and its sums. */
import { createHash } from 'node:crypto'
import type { Endpoint } from '../../rollup/endpoints.ts'
import { KINDS } from '../../source/parse/message.ts'
import type { Sum } from '../forms/form.ts'
import { createMatcher, type Patterns } from '../patterns.ts'
import type { Rule } from '../rules/rule.ts'
import { type Dim, isBothWays, isByEndpoint } from '../rules/scope.ts'
import { Groups, OVERFLOW } from './groups.ts'
import type { ItemRing } from './item-ring.ts'
import type { LastSeen, SeenGroup } from './last-seen.ts'
import type { PeerNumbers } from './peer-numbers.ts'
import {
  COUNTERS,
  DERP_BYTES,
  type EdgeAbout,
  type RowNumbers,
  RX_BYTES,
  RX_PKTS,
  TX_BYTES,
  TX_PKTS,
} from './row-numbers.ts'
import type { SumRing } from './sum-ring.ts'

export interface ViewLimits {
  readonly seriesMax: number
  /** Names of `networks` in the settings. */
  readonly networks: ReadonlySet<string>
}

/** `newFor`: what a rule has to be told of. */
export interface SeenBy {
  readonly lastSeen: LastSeen
  readonly stepMinutes: number
}

const UNKNOWN = -1
const IGNORED = -2

/** What a row counts for: its own side (`forth`: src, or the node), and the other side (`back`). */
interface Parts {
  forth: Int32Array
  back: Int32Array
}

const MEASURED: Readonly<
  Record<Exclude<Sum, 'seen'>, readonly [forth: number, and: number, back: number, and: number]>
> = {
  tx_bytes: [TX_BYTES, -1, RX_BYTES, -1],
  rx_bytes: [RX_BYTES, -1, TX_BYTES, -1],
  bytes: [TX_BYTES, RX_BYTES, TX_BYTES, RX_BYTES],
  tx_pkts: [TX_PKTS, -1, RX_PKTS, -1],
  rx_pkts: [RX_PKTS, -1, TX_PKTS, -1],
  pkts: [TX_PKTS, RX_PKTS, TX_PKTS, RX_PKTS],
  derp_bytes: [DERP_BYTES, -1, DERP_BYTES, -1],
}

/** Rules with the same id have the same view. */
export function viewId({ source, kinds, by, isRouter, where, form }: Rule): string {
  const question = { source, kinds, by, isRouter, where, isIndex: form.needs.memoryMs !== undefined }
  return createHash('sha256').update(JSON.stringify(question)).digest('hex').slice(0, 16)
}

/** What of a row is added up where both directions count together. */
export function sumOfView(rule: Rule, sum: Sum): Sum {
  if (rule.source !== 'edges' || !isBothWays(rule)) return sum
  return sum === 'tx_bytes' || sum === 'rx_bytes' ? 'bytes' : sum === 'tx_pkts' || sum === 'rx_pkts' ? 'pkts' : sum
}

export class View {
  readonly source: Rule['source']
  readonly groups: Groups
  readonly sums: SumRing[] = []
  readonly items: ItemRing[] = []
  readonly seen: SeenBy[] = []
  private readonly rule: Pick<Rule, 'by' | 'where' | 'isRouter' | 'kinds'>
  private readonly kinds: number
  private readonly isByEndpoint: boolean
  private readonly isByNetwork: boolean
  /** `newFor` by pair: in either direction the same. */
  private readonly isUnordered: boolean
  private readonly isIndex: boolean
  private readonly wants: Readonly<
    Record<'node' | 'owner' | 'src' | 'dst' | 'network', ((name: string, id?: string) => boolean) | undefined>
  >
  private readonly ports: ReadonlySet<number> | undefined
  private readonly protos: ReadonlySet<string> | undefined
  private readonly networks: ReadonlySet<string>
  private readonly numbers: RowNumbers
  private readonly peers: PeerNumbers
  private parts: Parts = { forth: new Int32Array(0), back: new Int32Array(0) }
  private peersOf: Parts = { forth: new Int32Array(0), back: new Int32Array(0) }
  private seenOf: (readonly SeenGroup[] | undefined)[] = []
  private version = ''

  constructor(rule: Rule, numbers: RowNumbers, peers: PeerNumbers, limits: ViewLimits) {
    const { source, by, where, kinds } = rule
    this.rule = rule
    this.source = source
    this.numbers = numbers
    this.peers = peers
    this.networks = limits.networks
    this.groups = new Groups(limits.seriesMax)
    this.kinds = kinds.reduce((bits, kind) => bits | (1 << KINDS.indexOf(kind)), 0)
    this.isByEndpoint = source === 'edges' && isByEndpoint(rule)
    this.isByNetwork = source === 'edges' && by.includes('network') && !this.isByEndpoint
    this.isIndex = rule.form.needs.memoryMs !== undefined
    this.isUnordered = this.isIndex && by.includes('src') && by.includes('dst')
    const matcher = (patterns: Patterns | undefined) => {
      const matches = patterns && createMatcher(patterns)
      return matches && ((name: string, id?: string) => (id === undefined ? matches(name) : matches(name, id)))
    }
    this.wants = {
      node: matcher(where.node),
      owner: matcher(where.owner),
      src: matcher(where.src),
      dst: matcher(where.dst),
      network: matcher(where.network),
    }
    this.ports = where.port && new Set(where.port)
    this.protos = where.proto && new Set(where.proto)
  }

  /** Takes the rows that are in `numbers`. What they are of is said by the `commit` of each ring. `minute`: its number. */
  take(minute: number): void {
    this.forgetIfChanged()
    const { tuples, count, counters } = this.source === 'nodes' ? this.numbers.nodes : this.numbers.edges
    if (this.isIndex) return this.takeSeen(tuples, count, minute)
    for (let row = 0; row < count; row++) {
      const tuple = tuples[row]!
      let forth = this.parts.forth[tuple] ?? UNKNOWN
      if (forth === UNKNOWN) {
        this.resolve(tuple)
        forth = this.parts.forth[tuple]!
      }
      const back = this.parts.back[tuple]!
      if (forth !== IGNORED) this.add(tuple, row, forth, counters, false)
      if (back !== IGNORED) this.add(tuple, row, back, counters, true)
    }
  }

  private add(tuple: number, row: number, id: number, counters: Float64Array, isBack: boolean): void {
    if (id === OVERFLOW) {
      this.groups.overflowed += 1
      return
    }
    const at = row * COUNTERS
    for (const ring of this.sums) {
      if (ring.sum === 'seen') {
        ring.add(id, 1)
        continue
      }
      const [forth, andForth, back, andBack] = MEASURED[ring.sum]
      const [one, other] = isBack ? [back, andBack] : [forth, andForth]
      const value = counters[at + one]! + (other < 0 ? 0 : counters[at + other]!)
      if (value > 0) ring.add(id, value)
    }
    for (const ring of this.items) {
      const item =
        ring.of === 'port' ? this.numbers.portOf(tuple) : (isBack ? this.peersOf.back : this.peersOf.forth)[tuple]!
      if (item >= 0) ring.add(id, item)
    }
  }

  private takeSeen(tuples: Int32Array, count: number, minute: number): void {
    for (let row = 0; row < count; row++) {
      const tuple = tuples[row]!
      let groups = this.seenOf[tuple]
      if (groups === undefined) {
        groups = this.groupsSeen(tuple)
        this.seenOf[tuple] = groups
      }
      for (const group of groups)
        for (const { lastSeen, stepMinutes } of this.seen) lastSeen.add(group, Math.floor(minute / stepMinutes))
    }
  }

  /** Which group the values are; IGNORED where the patterns do not match. */
  private groupOf(isWanted: boolean, values: readonly (readonly [value: string, name: string])[]): number {
    const ids = values.map(([value]) => value)
    if (!isWanted) {
      if (this.rule.by.includes('node')) this.groups.dismiss(ids)
      return IGNORED
    }
    return this.groups.idOf(
      ids,
      values.map(([, name]) => name),
    )
  }

  private resolve(tuple: number): void {
    this.grow(tuple)
    const { parts, peersOf } = this
    parts.forth[tuple] = IGNORED
    parts.back[tuple] = IGNORED
    if (this.source === 'nodes') {
      const { node, role, kind } = this.numbers.nodeAbout(tuple)
      const isOfKind = (this.kinds & (1 << kind)) !== 0
      if (!isOfKind || (this.rule.isRouter && role !== 'router' && role !== 'exit')) return
      const values = this.rule.by.map(
        (dim) =>
          (dim === 'node' ? [node.id, node.name] : dim === 'owner' ? [node.owner, node.owner] : same(KINDS[kind]!)) as [
            string,
            string,
          ],
      )
      parts.forth[tuple] = this.groupOf(this.wantsNode(node), values)
      return
    }
    const about = this.numbers.edgeAbout(tuple)
    for (const { isBack, values, isWanted, peer } of this.sidesOf(about)) {
      ;(isBack ? parts.back : parts.forth)[tuple] = this.groupOf(isWanted, values)
      if (this.items.some(({ of }) => of === 'peer'))
        (isBack ? peersOf.back : peersOf.forth)[tuple] = peer.id === 'none' ? -1 : this.peers.numberOf(keyOf(peer))
    }
  }

  private groupsSeen(tuple: number): SeenGroup[] {
    const sides = this.sidesOf(this.numbers.edgeAbout(tuple)).filter(({ isWanted }) => isWanted)
    return sides.map(({ values }) => ({
      key: JSON.stringify(values.map(([value]) => value)),
      names: values.map(([, name]) => name),
    }))
  }

  /** What an edge counts for: one group, or one for each end that is a node. */
  private sidesOf(about: EdgeAbout) {
    const { src, dst, port, proto, kind } = about
    const { wants, ports, protos } = this
    const isTraffic =
      (this.kinds & (1 << kind)) !== 0 &&
      (protos?.has(proto) ?? true) &&
      (ports?.has(port) ?? true) &&
      (wants.src?.(src.name) ?? true) &&
      (wants.dst?.(dst.name) ?? true)
    if (!isTraffic) return []
    if (this.isByEndpoint) {
      return [
        ...(src.isNode ? [this.side(about, src, dst, false, this.wantsNode(src))] : []),
        // Its own traffic with itself has one side.
        ...(dst.isNode && dst.id !== src.id ? [this.side(about, dst, src, true, this.wantsNode(dst))] : []),
      ].filter(({ peer }) => this.isOfNetwork(peer))
    }
    if (this.isByNetwork) {
      return [
        ...(this.isNetwork(dst) ? [this.side(about, src, dst, false, true)] : []),
        ...(this.isNetwork(src) ? [this.side(about, dst, src, true, true)] : []),
      ].filter(({ peer }) => this.isOfNetwork(peer))
    }
    if (wants.network !== undefined && !this.isOfNetwork(src) && !this.isOfNetwork(dst)) return []
    if (this.isUnordered) {
      if (src.id === 'none' || dst.id === 'none') return []
      const [one, other] = keyOf(src) < keyOf(dst) ? [src, dst] : [dst, src]
      return [this.side({ ...about, src: one, dst: other }, one, other, false, true)]
    }
    return [this.side(about, src, dst, false, true)]
  }

  private side(about: EdgeAbout, own: Endpoint, peer: Endpoint, isBack: boolean, isWanted: boolean) {
    const values = this.rule.by.map((dim) => valueIn(dim, about, own, peer))
    return { isBack, values, isWanted, peer }
  }

  private isNetwork({ isNode, name }: Endpoint): boolean {
    return !isNode && this.networks.has(name)
  }

  /** The endpoint is what the rule says about networks. */
  private isOfNetwork(peer: Endpoint): boolean {
    const needs = this.wants.network !== undefined || this.rule.by.includes('network')
    return !needs || (this.isNetwork(peer) && (this.wants.network?.(peer.name) ?? true))
  }

  private wantsNode({ id, name, owner }: Endpoint): boolean {
    return (this.wants.node?.(name, id) ?? true) && (this.wants.owner?.(owner) ?? true)
  }

  private forgetIfChanged(): void {
    const version = `${this.groups.version} ${this.numbers.version} ${this.peers.version}`
    if (version === this.version) return
    this.version = version
    this.parts.forth.fill(UNKNOWN)
    this.seenOf = []
  }

  private grow(tuple: number): void {
    const { parts, peersOf, source, items } = this
    if (tuple < parts.forth.length) return
    const size = 2 ** Math.ceil(Math.log2(tuple + 1024))
    const wider = (old: Int32Array) => {
      const more = new Int32Array(size).fill(UNKNOWN)
      more.set(old)
      return more
    }
    const hasPeers = source === 'edges' && items.some(({ of }) => of === 'peer')
    this.parts = { forth: wider(parts.forth), back: wider(parts.back) }
    if (hasPeers) this.peersOf = { forth: wider(peersOf.forth), back: wider(peersOf.back) }
  }

  /** Frees groups that nothing is known of. `isUsed`: an alert is about it. */
  freeIdle(isUsed: (id: number) => boolean): void {
    const { groups } = this
    const seen = new Uint8Array(groups.size)
    for (const ring of [...this.sums, ...this.items]) ring.mark(seen)
    const idle = [...groups.ids()].filter((id) => seen[id] === 0 && !isUsed(id))
    if (groups.isWorthFreeing(idle.length)) groups.free(idle)
  }

  get bytes(): number {
    const rings = [...this.sums, ...this.items].reduce((sum, { bytes }) => sum + bytes, 0)
    const seen = this.seen.reduce((sum, { lastSeen }) => sum + lastSeen.count * GROUP_BYTES, 0)
    const { forth, back } = this.parts
    return rings + seen + forth.byteLength + back.byteLength + this.groups.size * GROUP_BYTES
  }
}

/** A group with its texts and its place in a map, roughly. */
const GROUP_BYTES = 160

/** What an endpoint is told apart by: nodes by id, whatever they are called. */
function keyOf({ id, name, isNode }: Endpoint): string {
  return isNode ? id : name
}

function same(text: string): readonly [string, string] {
  return [text, text]
}

function valueIn(dim: Dim, about: EdgeAbout, own: Endpoint, peer: Endpoint): readonly [value: string, name: string] {
  switch (dim) {
    case 'node':
      return [own.id, own.name]
    case 'owner':
      return same(own.owner)
    case 'network':
      return same(peer.name)
    case 'src':
      return [keyOf(about.src), about.src.name]
    case 'dst':
      return [keyOf(about.dst), about.dst.name]
    case 'port':
      return same(about.port < 0 ? 'none' : String(about.port))
    case 'proto':
      return same(about.proto)
    case 'kind':
      return same(KINDS[about.kind]!)
  }
}
