/** Which different items (peers, ports) the groups of a view had in each slot of time. Items are numbers: ports are themselves, peers have one as long as a
 * slot has them. */

/** Pairs of a group and an item, in their order, each once. */
export interface Pack {
  readonly ids: Int32Array
  readonly items: Uint16Array | Int32Array
}

export class ItemRing {
  readonly of: 'peer' | 'port'
  readonly stepMinutes: number
  keep = 0
  /** Items that did not fit. */
  overflowed = 0
  private readonly itemsMax: number
  private kept = 0
  private readonly minutes = new Map<number, Pack>()
  /** Slots longer than a minute, made of their minutes when they are asked for. */
  private readonly longer = new Map<number, Pack>()
  private pairs = new Float64Array(256)
  private count = 0
  private met = new Int32Array(1024)
  private round = 0
  /** What was asked for last. */
  private most: { readonly from: number; readonly to: number; readonly sums: Float64Array } | undefined

  constructor(of: 'peer' | 'port', stepMinutes: number, itemsMax: number) {
    this.of = of
    this.stepMinutes = stepMinutes
    this.itemsMax = itemsMax
  }

  /** Of the minute that `commit` ends. */
  add(id: number, item: number): void {
    if (this.count === this.pairs.length) {
      const wider = new Float64Array(this.count * 2)
      wider.set(this.pairs)
      this.pairs = wider
    }
    this.pairs[this.count++] = id * 2 ** 32 + item
  }

  /** What was added is all of this minute. Returns the groups whose items are others than before. */
  commit(minute: number): number[] {
    const before = this.minutes.get(minute)
    const pack = this.packed(this.pairs.subarray(0, this.count), before?.ids.length ?? 0)
    this.count = 0
    this.kept += pack.ids.length - (before?.ids.length ?? 0)
    this.minutes.set(minute, pack)
    this.most = undefined
    this.longer.delete(this.slotOf(minute))
    return differing(before, pack)
  }

  /** What was added does not count. */
  discard(): void {
    this.count = 0
  }

  private packed(pairs: Float64Array, replaced: number): Pack {
    pairs.sort()
    let count = 0
    for (let i = 0; i < pairs.length; i++) if (i === 0 || pairs[i] !== pairs[i - 1]) pairs[count++] = pairs[i]!
    const room = Math.max(0, this.itemsMax - this.kept + replaced)
    if (count > room) {
      this.overflowed += count - room
      count = room
    }
    const ids = new Int32Array(count)
    const wide = new Int32Array(count)
    let most = 0
    for (let i = 0; i < count; i++) {
      ids[i] = Math.floor(pairs[i]! / 2 ** 32)
      wide[i] = pairs[i]! % 2 ** 32
      if (wide[i]! > most) most = wide[i]!
    }
    return { ids, items: most < 2 ** 16 ? Uint16Array.from(wide) : wide }
  }

  slotOf(minute: number): number {
    return Math.floor(minute / this.stepMinutes)
  }

  private slot(slot: number): Pack | undefined {
    if (this.stepMinutes === 1) return this.minutes.get(slot)
    let pack = this.longer.get(slot)
    if (pack !== undefined) return pack
    const parts: Pack[] = []
    for (let minute = slot * this.stepMinutes; minute < (slot + 1) * this.stepMinutes; minute++) {
      const part = this.minutes.get(minute)
      if (part !== undefined) parts.push(part)
    }
    if (parts.length === 0) return undefined
    const pairs = new Float64Array(parts.reduce((sum, { ids }) => sum + ids.length, 0))
    let at = 0
    for (const { ids, items } of parts) for (let i = 0; i < ids.length; i++) pairs[at++] = ids[i]! * 2 ** 32 + items[i]!
    pack = this.packed(pairs, this.itemsMax)
    this.longer.set(slot, pack)
    return pack
  }

  /** For each group at least as many as it had different ones in the slots [from, to). */
  atMost(from: number, to: number, size: number): Float64Array {
    const { most } = this
    // Rules that differ in their thresholds ask for the same.
    if (most?.from === from && most.to === to && most.sums.length === size) return most.sums
    const sums = new Float64Array(size)
    this.most = { from, to, sums }
    for (let slot = from; slot < to; slot++) {
      const ids = this.slot(slot)?.ids ?? []
      for (let i = 0; i < ids.length; i++) sums[ids[i]!]! += 1
    }
    return sums
  }

  atMostOne(id: number, from: number, to: number): number {
    let sum = 0
    for (let slot = from; slot < to; slot++) {
      const pack = this.slot(slot)
      if (pack) sum += firstOf(pack, id + 1) - firstOf(pack, id)
    }
    return sum
  }

  /** How many different ones a group had in the slots [from, to), counted up to `max`. */
  overOne(id: number, from: number, to: number, max: number): number {
    this.round += 1
    let different = 0
    for (let slot = from; slot < to && different < max; slot++) {
      const pack = this.slot(slot)
      if (pack === undefined) continue
      const end = firstOf(pack, id + 1)
      for (let i = firstOf(pack, id); i < end && different < max; i++) {
        const item = pack.items[i]!
        if (item >= this.met.length) {
          const wider = new Int32Array(2 ** Math.ceil(Math.log2(item + 1)))
          wider.set(this.met)
          this.met = wider
        }
        if (this.met[item] === this.round) continue
        this.met[item] = this.round
        different += 1
      }
    }
    return different
  }

  /** `minute`: how far all rules were evaluated; `horizonMinute`: older minutes do not change any more. */
  forgetBefore(minute: number, horizonMinute: number): void {
    const oldest = this.slotOf(minute) - this.keep
    for (const [key, { ids }] of this.minutes) {
      const slot = this.slotOf(key)
      const isFrozen = this.stepMinutes > 1 && slot < this.slotOf(horizonMinute)
      if (slot >= oldest && !isFrozen) continue
      if (slot >= oldest) this.slot(slot)
      this.kept -= ids.length
      this.minutes.delete(key)
    }
    for (const slot of this.longer.keys()) if (slot < oldest) this.longer.delete(slot)
  }

  mark(seen: Uint8Array): void {
    for (const { ids } of [...this.minutes.values(), ...this.longer.values()])
      for (let i = 0; i < ids.length; i++) seen[ids[i]!] = 1
  }

  /** Adds to `seen` 1 for each item that is in use. */
  markItems(seen: Uint8Array): void {
    for (const { items } of [...this.minutes.values(), ...this.longer.values()])
      for (let i = 0; i < items.length; i++) seen[items[i]!] = 1
  }

  get bytes(): number {
    let bytes = this.pairs.byteLength + this.met.byteLength
    for (const { ids, items } of [...this.minutes.values(), ...this.longer.values()])
      bytes += ids.byteLength + items.byteLength
    return bytes
  }
}

/** The first place of the group in the pack, or of the next one. */
function firstOf({ ids }: Pack, id: number): number {
  let [low, high] = [0, ids.length]
  while (low < high) {
    const middle = (low + high) >>> 1
    if (ids[middle]! < id) low = middle + 1
    else high = middle
  }
  return low
}

/** Groups with other items in one than in the other. */
function differing(before: Pack | undefined, after: Pack): number[] {
  const differ = new Set<number>()
  const old = before ?? { ids: new Int32Array(0), items: new Uint16Array(0) }
  let [i, j] = [0, 0]
  while (i < old.ids.length || j < after.ids.length) {
    const one = i < old.ids.length ? old.ids[i]! * 2 ** 32 + old.items[i]! : Number.POSITIVE_INFINITY
    const other = j < after.ids.length ? after.ids[j]! * 2 ** 32 + after.items[j]! : Number.POSITIVE_INFINITY
    if (one < other) differ.add(old.ids[i]!)
    if (other < one) differ.add(after.ids[j]!)
    if (one <= other) i += 1
    if (other <= one) j += 1
  }
  return [...differ]
}
