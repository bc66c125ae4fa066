/** The last-seen index of `newFor`: when each group was seen last. What is new can only be told in the order of time, so what was seen waits until everything
 * before it is final. Seeing a group twice changes nothing, so neither does a minute that is told again. When it is full no group more is taken: to
 * forget one would make it new again, and that would be a false alert. */
import { getOrInsert } from '../../base/maps.ts'

/** Always the same object for a group, as long as it is remembered. */
export interface SeenGroup {
  readonly key: string
  /** What people call the group, in the order of the rule's `by`. */
  readonly names: readonly string[]
}

interface Seen extends SeenGroup {
  readonly piece: number
}

/** The memory is kept in this many slots, so that a pair that talks all day is written down a few times, not every minute. */
const MEMORY_SLOTS = 100

/** `piece`: a step of the rule, by its number since 1970. */
export class LastSeen {
  /** Groups that did not fit, since the start of the process. */
  overflowed = 0
  /** Groups whose slot changed since the last save. */
  private changes = new Set<string>()
  private readonly last = new Map<string, number>()
  private readonly waiting = new Map<number, Map<string, Seen>>()
  private readonly slotPieces: number
  private readonly memorySlots: number
  private readonly max: number

  constructor(memoryPieces: number, max: number) {
    this.max = max
    this.slotPieces = Math.max(1, Math.ceil(memoryPieces / MEMORY_SLOTS))
    this.memorySlots = Math.ceil(memoryPieces / this.slotPieces)
  }

  private slotOf(piece: number): number {
    return Math.floor(piece / this.slotPieces)
  }

  private see({ key, piece }: Seen): boolean {
    const slot = this.slotOf(piece)
    const before = this.last.get(key)
    if (before === undefined && this.last.size >= this.max) {
      this.overflowed += 1
      return false
    }
    if (before === undefined || slot > before) {
      this.last.set(key, slot)
      this.changes.add(key)
    }
    // A slot has two ends: only with one slot between is it certain that so much time has passed.
    return before === undefined || slot - before > this.memorySlots + 1
  }

  /** A group was seen; once per slot is enough. */
  add({ key, names }: SeenGroup, piece: number): void {
    const slot = this.slotOf(piece)
    // Seen in this slot or later: it would tell nothing.
    if ((this.last.get(key) ?? -1) >= slot) return
    const groups = getOrInsert(this.waiting, slot, () => new Map<string, Seen>())
    const known = groups.get(key)
    if (known === undefined || known.piece > piece) groups.set(key, { key, names, piece })
  }

  /** Everything before `piece` is final: takes in what was seen there, and returns what is new: not seen in all the memory before, nor after. */
  take(piece: number): Seen[] {
    const ready = [...this.waiting.values()].flatMap((groups) =>
      [...groups.values()].filter((one) => one.piece < piece),
    )
    for (const { key, piece } of ready) this.waiting.get(this.slotOf(piece))?.delete(key)
    for (const [slot, groups] of this.waiting) if (groups.size === 0) this.waiting.delete(slot)
    return ready.toSorted((one, other) => one.piece - other.piece).filter((seen) => this.see(seen))
  }

  /** Forgets what was seen last so long before `piece` that it does not matter any more. */
  forgetBefore(piece: number): void {
    const oldest = this.slotOf(piece) - this.memorySlots - 1
    for (const [key, slot] of this.last) if (slot < oldest && this.last.delete(key)) this.changes.add(key)
  }

  get count(): number {
    return this.last.size
  }

  /** Slots that changed since the last `saved`; undefined for what was forgotten. */
  changed(): Map<string, number | undefined> {
    return new Map([...this.changes].map((key) => [key, this.last.get(key)]))
  }

  saved(): void {
    this.changes = new Set()
  }

  restore(key: string, slot: number): void {
    this.last.set(key, slot)
  }
}
