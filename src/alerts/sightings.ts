/** When each group was seen last, for `newFor`. What is new can only be told in the order of time, so sightings wait until everything before
 * them was read. Seeing a group twice changes nothing, so neither do re-reads. Full means that no group more is taken: to forget one would
 * make it new again, and that would be a false alert. */

export interface Sighting {
  readonly key: string
  /** What people call the group, in the order of the rule's `by`. */
  readonly names: readonly string[]
  readonly piece: number
}

export interface Sightings {
  /** A group was seen in a piece; once per slot is enough. */
  add(group: Omit<Sighting, 'piece'>, piece: number): void
  /** Everything before `piece` was read: takes in the sightings there, and returns those that are new: not seen in all the memory before,
   * nor after. */
  take(piece: number): Sighting[]
  /** Forgets what was seen last so long before `piece` that it does not matter any more. */
  forgetBefore(piece: number): void
  /** Which slot a piece lies in: a group needs to be told once per slot only. */
  slotOf(piece: number): number
  readonly count: number
  /** Groups that did not fit, since the start of the process. */
  readonly overflowed: number
  /** Groups whose slot changed since the last `saved`; undefined for what was forgotten. */
  changed(): Map<string, number | undefined>
  /** Places whose waiting sightings changed. */
  changedWaiting(): Map<number, readonly Sighting[] | undefined>
  saved(): void
  restore(key: string, slot: number): void
}

/** The memory is kept in this many slots, so that a pair that talks all day is written down a few times, not every minute. */
const MEMORY_SLOTS = 100

export function createSightings(options: { memoryPieces: number; max: number }): Sightings {
  const slotPieces = Math.max(1, Math.ceil(options.memoryPieces / MEMORY_SLOTS))
  const memorySlots = Math.ceil(options.memoryPieces / slotPieces)
  const last = new Map<string, number>()
  const waiting = new Map<number, Map<string, Sighting>>()
  let changed = new Set<string>()
  let changedSlots = new Set<number>()
  let overflowed = 0
  const slotOf = (piece: number) => Math.floor(piece / slotPieces)

  function see({ key, piece }: Sighting): boolean {
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
    slotOf,
    add({ key, names }, piece) {
      const slot = slotOf(piece)
      const before = last.get(key)
      // Seen in this slot or later: it would tell nothing.
      if (before !== undefined && before >= slot) return
      const groups = waiting.get(slot) ?? new Map<string, Sighting>()
      waiting.set(slot, groups)
      const known = groups.get(key)
      if (known !== undefined && known.piece <= piece) return
      groups.set(key, { key, names, piece })
      changedSlots.add(slot)
    },
    take(piece) {
      const news: Sighting[] = []
      for (const slot of [...waiting.keys()].toSorted((one, other) => one - other)) {
        if (slot * slotPieces >= piece) break
        const groups = waiting.get(slot)
        for (const sighting of [...(groups?.values() ?? [])].toSorted((one, other) => one.piece - other.piece)) {
          if (sighting.piece >= piece) continue
          groups?.delete(sighting.key)
          if (see(sighting)) news.push(sighting)
        }
        if (groups?.size === 0) waiting.delete(slot)
        changedSlots.add(slot)
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
    changedWaiting: () =>
      new Map(
        [...changedSlots].map((slot) => [
          slot,
          waiting.has(slot) ? [...(waiting.get(slot)?.values() ?? [])] : undefined,
        ]),
      ),
    saved() {
      changed = new Set()
      changedSlots = new Set()
    },
    restore(key, slot) {
      last.set(key, slot)
    },
  }
}
