/** The last-seen index of `newFor`: when each group was seen last. What is new can only be told in the order of time, so what was seen waits until everything
 * before it is final. Seeing a group twice changes nothing, so neither does a minute that is told again. When it is full no group more is taken: to
 * forget one would make it new again, and that would be a false alert. */

/** Always the same object for a group, as long as it is remembered. */
export interface SeenGroup {
  readonly key: string
  /** What people call the group, in the order of the rule's `by`. */
  readonly names: readonly string[]
}

interface Seen extends SeenGroup {
  readonly piece: number
}

export interface LastSeen {
  /** A group was seen in an interval; once per slot is enough. */
  add(group: SeenGroup, piece: number): void
  /** Everything before `piece` is final: takes in what was seen there, and returns what is new: not seen in all the memory before, nor after. */
  take(piece: number): Seen[]
  /** Forgets what was seen last so long before `piece` that it does not matter any more. */
  forgetBefore(piece: number): void
  readonly count: number
  /** Groups that did not fit, since the start of the process. */
  readonly overflowed: number
  /** Groups whose slot changed since the last `saved`; undefined for what was forgotten. */
  changed(): Map<string, number | undefined>
  saved(): void
  restore(key: string, slot: number): void
}

/** The memory is kept in this many slots, so that a pair that talks all day is written down a few times, not every minute. */
const MEMORY_SLOTS = 100

export function createLastSeen(options: { memoryPieces: number; max: number }): LastSeen {
  const slotPieces = Math.max(1, Math.ceil(options.memoryPieces / MEMORY_SLOTS))
  const memorySlots = Math.ceil(options.memoryPieces / slotPieces)
  const last = new Map<string, number>()
  const waiting = new Map<number, Map<string, Seen>>()
  let changed = new Set<string>()
  let overflowed = 0
  const slotOf = (piece: number) => Math.floor(piece / slotPieces)

  function see({ key, piece }: Seen): boolean {
    const slot = slotOf(piece)
    const before = last.get(key)
    if (before === undefined && last.size >= options.max) {
      overflowed += 1
      return false
    }
    if (before === undefined || slot > before) {
      last.set(key, slot)
      changed.add(key)
    }
    // A slot has two ends: only with one slot between is it certain that so much time has passed.
    return before === undefined || slot - before > memorySlots + 1
  }

  return {
    add({ key, names }, piece) {
      const slot = slotOf(piece)
      const before = last.get(key)
      // Seen in this slot or later: it would tell nothing.
      if (before !== undefined && before >= slot) return
      const groups = waiting.getOrInsertComputed(slot, () => new Map<string, Seen>())
      const known = groups.get(key)
      if (known === undefined || known.piece > piece) groups.set(key, { key, names, piece })
    },
    take(piece) {
      const news: Seen[] = []
      for (const slot of [...waiting.keys()].toSorted((one, other) => one - other)) {
        if (slot * slotPieces >= piece) break
        const groups = waiting.get(slot)
        for (const seen of [...(groups?.values() ?? [])].toSorted((one, other) => one.piece - other.piece)) {
          if (seen.piece >= piece) continue
          groups?.delete(seen.key)
          if (see(seen)) news.push(seen)
        }
        if (groups?.size === 0) waiting.delete(slot)
      }
      return news
    },
    forgetBefore(piece) {
      const oldest = slotOf(piece) - memorySlots - 1
      for (const [key, slot] of last) {
        if (slot >= oldest) continue
        last.delete(key)
        changed.add(key)
      }
    },
    get count() {
      return last.size
    },
    get overflowed() {
      return overflowed
    },
    changed: () => new Map([...changed].map((key) => [key, last.get(key)])),
    saved() {
      changed = new Set()
    },
    restore(key, slot) {
      last.set(key, slot)
    },
  }
}
