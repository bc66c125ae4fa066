/** When each group was seen last, for `newFor`. Seeing a group twice changes nothing, so neither do re-reads. Full means that no group more
 * is taken: to forget one would make it new again, and that would be a false alert. */

export interface Sightings {
  /** A group was seen in a piece. True: it was never seen after that piece, nor in all the memory before. */
  see(key: string, piece: number): boolean
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
export const MEMORY_SLOTS = 100

export function createSightings(options: { memoryPieces: number; max: number }): Sightings {
  const slotPieces = Math.max(1, Math.ceil(options.memoryPieces / MEMORY_SLOTS))
  const memorySlots = Math.ceil(options.memoryPieces / slotPieces)
  const last = new Map<string, number>()
  let changed = new Set<string>()
  let overflowed = 0
  return {
    see(key, piece) {
      const slot = Math.floor(piece / slotPieces)
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
    },
    forgetBefore(piece) {
      const oldest = Math.floor(piece / slotPieces) - memorySlots - 1
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
