/** What rules ask of the rows, without their thresholds: rules that look at the same traffic in the same groups share one view, and its sums. */
import { createHash } from 'node:crypto'
import type { Sum } from '../forms/form.ts'
import type { Rule } from '../rules/rule.ts'
import { isBothWays } from '../rules/scope.ts'
import { Groups, keyOfValues, OVERFLOW } from './groups.ts'
import type { ItemRing, PeerNumbers } from './item-ring.ts'
import type { LastSeen, SeenGroup } from './last-seen.ts'
import { COUNTERS, DERP_BYTES, type RowNumbers, RX_BYTES, RX_PKTS, TX_BYTES, TX_PKTS } from './row-numbers.ts'
import { createSides, endpointKey, type Side, type Sides } from './sides.ts'
import type { SumRing } from './sum-ring.ts'

export interface ViewLimits {
  readonly seriesMax: number
  /** Names of `networks` in the settings. */
  readonly networks: ReadonlySet<string>
}

/** Rows of the minute that is being taken. */
export type Rows = Readonly<Record<Rule['source'], RowNumbers>>

/** `newFor`: what a rule has to be told of. */
export interface SeenBy {
  readonly lastSeen: LastSeen
  readonly stepMinutes: number
}

const UNKNOWN = -1
const IGNORED = -2
/** A group with its texts and its place in a map, roughly. */
const GROUP_BYTES = 160

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
  private readonly rows: RowNumbers
  private readonly peers: PeerNumbers
  /** What each row counts for: a group for each of its sides; with items by peer, the far end of each side too. */
  private parts = new Int32Array(0)
  private seenOf: (readonly SeenGroup[] | undefined)[] = []
  private version = ''

  constructor(rule: Rule, rows: Rows, peers: PeerNumbers, limits: ViewLimits) {
    this.by = rule.by
    this.source = rule.source
    this.rows = rows[rule.source]
    this.peers = peers
    this.groups = new Groups(limits.seriesMax)
    this.isIndex = rule.form.needs.memoryMs !== undefined
    this.sides = createSides(rule, { networks: limits.networks, isUnordered: this.isIndex })
  }

  /** Numbers per row in `parts`. */
  private get width(): number {
    if (this.source === 'nodes') return 1
    return this.items.some(({ of }) => of === 'peer') ? 4 : 2
  }

  /** Takes the rows of a minute (its number). What they are of is said by the `commit` of each ring. */
  take(minute: number): void {
    this.forgetIfChanged()
    if (this.isIndex) return this.takeSeen(minute)
    const { rows, width } = this
    for (let row = 0; row < rows.count; row++) {
      const tuple = rows.tuples[row]!
      const at = tuple * width
      if ((this.parts[at] ?? UNKNOWN) === UNKNOWN) this.resolve(tuple, at)
      for (let side = 0; side < width && side < 2; side++) {
        const id = this.parts[at + side]!
        if (id === OVERFLOW) this.groups.overflowed += 1
        else if (id !== IGNORED) this.add(id, row, side)
        if (id <= OVERFLOW) continue
        for (const ring of this.items) {
          const item = ring.of === 'port' ? rows.portOf(tuple) : this.parts[at + 2 + side]!
          if (item >= 0) ring.add(id, item)
        }
      }
    }
  }

  private add(id: number, row: number, side: number): void {
    const { counters } = this.rows
    const at = row * COUNTERS
    for (const ring of this.sums) {
      if (ring.sum === 'seen') {
        ring.add(id, 1)
        continue
      }
      const measured = MEASURED[ring.sum]
      const [one, other] = [measured[side * 2]!, measured[side * 2 + 1]!]
      const value = counters[at + one]! + (other < 0 ? 0 : counters[at + other]!)
      if (value > 0) ring.add(id, value)
    }
  }

  private takeSeen(minute: number): void {
    for (let row = 0; row < this.rows.count; row++) {
      const tuple = this.rows.tuples[row]!
      const groups = (this.seenOf[tuple] ??= this.groupsSeen(tuple))
      for (const group of groups)
        for (const { lastSeen, stepMinutes } of this.seen) lastSeen.add(group, Math.floor(minute / stepMinutes))
    }
  }

  private groupsSeen(tuple: number): SeenGroup[] {
    return this.sidesOf(tuple).flatMap(({ isWanted, values }) => {
      const key = keyOfValues(values.map(([value]) => value))
      return isWanted ? [{ key, names: values.map(([, name]) => name) }] : []
    })
  }

  /** Which group a side counts for; IGNORED where the patterns do not match. */
  private groupOf({ isWanted, values }: Side): number {
    const ids = values.map(([value]) => value)
    const names = values.map(([, name]) => name)
    if (isWanted) return this.groups.idOf(ids, names)
    if (this.by.includes('node')) this.groups.dismiss(ids)
    return IGNORED
  }

  private resolve(tuple: number, at: number): void {
    if (at + this.width > this.parts.length) {
      const wider = new Int32Array(Math.ceil((at + 4096) * 1.25)).fill(UNKNOWN)
      wider.set(this.parts)
      this.parts = wider
    }
    this.parts.fill(IGNORED, at, at + this.width)
    for (const side of this.sidesOf(tuple)) {
      const place = at + (side.isBack ? 1 : 0)
      this.parts[place] = this.groupOf(side)
      if (this.width > 2 && side.peer.id !== 'none') this.parts[place + 2] = this.peers.numberOf(endpointKey(side.peer))
    }
  }

  private sidesOf(tuple: number): readonly Side[] {
    const about = this.rows.about(tuple)
    if (this.source === 'edges') return this.sides.ofEdge(about)
    return [this.sides.ofNode({ ...about, node: about.src })].filter((side) => side !== undefined)
  }

  private forgetIfChanged(): void {
    const version = `${this.groups.version} ${this.rows.version} ${this.peers.version}`
    if (version === this.version) return
    this.version = version
    this.parts.fill(UNKNOWN)
    this.seenOf = []
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
    const seen = this.seen.reduce((sum, { lastSeen }) => sum + lastSeen.count, 0)
    return rings + this.parts.byteLength + (seen + this.groups.size) * GROUP_BYTES
  }
}
