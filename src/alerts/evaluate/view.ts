/** What rules ask of the rows, without their thresholds: rules that look at the same traffic in the same groups share one view, and its sums. */
import { createHash } from 'node:crypto'
import type { Sum } from '../forms/form.ts'
import type { Rule } from '../rules/rule.ts'
import { isBothWays } from '../rules/scope.ts'
import { Groups, OVERFLOW } from './groups.ts'
import type { ItemRing } from './item-ring.ts'
import type { LastSeen, SeenGroup } from './last-seen.ts'
import type { PeerNumbers } from './peer-numbers.ts'
import { COUNTERS, DERP_BYTES, type RowNumbers, RX_BYTES, RX_PKTS, TX_BYTES, TX_PKTS } from './row-numbers.ts'
import { createSides, endpointKey, type Sides } from './sides.ts'
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
  private readonly by: Rule['by']
  private readonly isIndex: boolean
  private readonly sides: Sides
  private readonly numbers: RowNumbers
  private readonly peers: PeerNumbers
  private parts: Parts = { forth: new Int32Array(0), back: new Int32Array(0) }
  private peersOf: Parts = { forth: new Int32Array(0), back: new Int32Array(0) }
  private seenOf: (readonly SeenGroup[] | undefined)[] = []
  private version = ''

  constructor(rule: Rule, numbers: RowNumbers, peers: PeerNumbers, limits: ViewLimits) {
    this.by = rule.by
    this.source = rule.source
    this.numbers = numbers
    this.peers = peers
    this.groups = new Groups(limits.seriesMax)
    this.isIndex = rule.form.needs.memoryMs !== undefined
    this.sides = createSides(rule, { networks: limits.networks, isUnordered: this.isIndex })
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
      if (this.by.includes('node')) this.groups.dismiss(ids)
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
      const side = this.sides.ofNode(this.numbers.nodeAbout(tuple))
      if (side) parts.forth[tuple] = this.groupOf(side.isWanted, side.values)
      return
    }
    const about = this.numbers.edgeAbout(tuple)
    for (const { isBack, values, isWanted, peer } of this.sides.ofEdge(about)) {
      ;(isBack ? parts.back : parts.forth)[tuple] = this.groupOf(isWanted, values)
      if (this.items.some(({ of }) => of === 'peer'))
        (isBack ? peersOf.back : peersOf.forth)[tuple] =
          peer.id === 'none' ? -1 : this.peers.numberOf(endpointKey(peer))
    }
  }

  private groupsSeen(tuple: number): SeenGroup[] {
    const sides = this.sides.ofEdge(this.numbers.edgeAbout(tuple)).filter(({ isWanted }) => isWanted)
    return sides.map(({ values }) => ({
      key: JSON.stringify(values.map(([value]) => value)),
      names: values.map(([, name]) => name),
    }))
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
