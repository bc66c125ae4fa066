/** Which different items (peers, ports) the groups of a view had in each minute. Items are numbers: ports are themselves, peers have one as long as a minute
 * has them. */
import { getOrInsert } from '../../base/maps.ts'

/** Pairs of a group and an item, `group * 2^32 + item`, in their order, each once. */
type Pack = Float64Array

const GROUP = 2 ** 32
const NONE: Pack = new Float64Array(0)

export class ItemRing {
  readonly of: 'peer' | 'port'
  readonly stepMinutes: number
  /** Minutes that are kept, back from the newest. */
  keep = 0
  /** Items that did not fit. */
  overflowed = 0
  private readonly itemsMax: number
  private kept = 0
  /** By minute. Minutes of a step that do not change any more are one, at the first of them. */
  private readonly packs = new Map<number, Pack>()
  private pairs: number[] = []

  constructor(of: 'peer' | 'port', stepMinutes: number, itemsMax: number) {
    this.of = of
    this.stepMinutes = stepMinutes
    this.itemsMax = itemsMax
  }

  /** Of the minute that `commit` ends. */
  add(id: number, item: number): void {
    this.pairs.push(id * GROUP + item)
  }

  /** What was added is all of this minute. Returns the groups whose items are others than before. */
  commit(minute: number): number[] {
    const before = this.drop(minute)
    this.put(minute, Float64Array.from(this.pairs))
    this.discard()
    return differing(before, this.packs.get(minute)!)
  }

  /** What was added does not count. */
  discard(): void {
    this.pairs = []
  }

  private drop(minute: number): Pack {
    const pack = this.packs.get(minute) ?? NONE
    this.kept -= pack.length
    this.packs.delete(minute)
    return pack
  }

  private put(minute: number, pairs: Float64Array): void {
    pairs.sort()
    const once = pairs.filter((pair, i) => i === 0 || pair !== pairs[i - 1])
    const pack = once.slice(0, Math.max(0, this.itemsMax - this.kept))
    this.overflowed += once.length - pack.length
    this.kept += pack.length
    this.packs.set(minute, pack)
  }

  /** For each group at least as many as it had different ones in the minutes [from, to). */
  atMost(from: number, to: number, size: number): Float64Array {
    const sums = new Float64Array(size)
    for (let minute = from; minute < to; minute++) {
      const pack = this.packs.get(minute) ?? NONE
      for (let i = 0; i < pack.length; i++) sums[Math.floor(pack[i]! / GROUP)]! += 1
    }
    return sums
  }

  /** How many different ones a group had in the minutes [from, to), counted up to `max`. */
  overOne(id: number, from: number, to: number, max: number): number {
    const different = new Set<number>()
    for (let minute = from; minute < to && different.size < max; minute++) {
      const pack = this.packs.get(minute) ?? NONE
      for (let i = firstOf(pack, id); i < pack.length && pack[i]! < (id + 1) * GROUP; i++) different.add(pack[i]!)
    }
    return Math.min(different.size, max)
  }

  /** `minute`: how far all rules were evaluated; `horizonMinute`: older minutes do not change any more. */
  forgetBefore(minute: number, horizonMinute: number): void {
    const { stepMinutes } = this
    for (const key of this.packs.keys()) if (key < minute - this.keep) this.drop(key)
    const frozen = [...this.packs.keys()].filter((key) => key < horizonMinute - (horizonMinute % stepMinutes))
    for (const [step, minutes] of Map.groupBy(frozen, (key) => Math.floor(key / stepMinutes))) {
      if (minutes.length === 1) continue
      const packs = minutes.map((key) => this.drop(key))
      const all = new Float64Array(packs.reduce((sum, { length }) => sum + length, 0))
      let at = 0
      for (const pack of packs) {
        all.set(pack, at)
        at += pack.length
      }
      this.put(step * stepMinutes, all)
    }
  }

  mark(seen: Uint8Array): void {
    for (const pack of this.packs.values()) for (const pair of pack) seen[Math.floor(pair / GROUP)] = 1
  }

  /** Sets `seen` to 1 for each item that is in use. */
  markItems(seen: Uint8Array): void {
    for (const pack of this.packs.values()) for (const pair of pack) seen[pair % GROUP] = 1
  }

  get bytes(): number {
    return this.kept * Float64Array.BYTES_PER_ELEMENT
  }
}

/** The first place of the group in the pack, or of the next one. */
function firstOf(pack: Pack, id: number): number {
  let [low, high] = [0, pack.length]
  while (low < high) {
    const middle = (low + high) >>> 1
    if (pack[middle]! < id * GROUP) low = middle + 1
    else high = middle
  }
  return low
}

/** Groups with other items in one than in the other. */
function differing(one: Pack, other: Pack): number[] {
  const differ = new Set<number>()
  for (let i = 0, j = 0; i < one.length || j < other.length; ) {
    const [left, right] = [one[i] ?? Number.POSITIVE_INFINITY, other[j] ?? Number.POSITIVE_INFINITY]
    if (left !== right) differ.add(Math.floor(Math.min(left, right) / GROUP))
    if (left <= right) i += 1
    if (right <= left) j += 1
  }
  return [...differ]
}

/** Peers as small numbers. */
export class PeerNumbers {
  private readonly byKey = new Map<string, number>()
  private freed: number[] = []
  /** Changes when numbers mean other peers. */
  version = 0
  private countMax = 2 ** 16

  numberOf(key: string): number {
    return getOrInsert(this.byKey, key, () => this.freed.pop() ?? this.byKey.size)
  }

  /** Frees the numbers that are not in use, when there are many. `mark` sets those that are to 1. */
  tidy(mark: (seen: Uint8Array) => void): void {
    if (this.byKey.size < this.countMax) return
    const seen = new Uint8Array(this.byKey.size + this.freed.length)
    mark(seen)
    for (const [key, number] of this.byKey) if (seen[number] === 0) this.byKey.delete(key) && this.freed.push(number)
    this.version += 1
    this.countMax = Math.max(2 ** 16, this.byKey.size * 2)
  }

  get bytes(): number {
    return this.byKey.size * PEER_BYTES
  }
}

/** A peer with its place in a map, roughly. */
const PEER_BYTES = 100
