/** Which groups were seen when, in slots of time: `below` and `silentFor` judge groups that are not there, so they must know who was. */

export interface Presence {
  /** Marks a group as seen in a slot; true when that is news. */
  mark(slot: number, id: number): boolean
  /** Seen in a slot of [from, to). */
  wasIn(id: number, from: number, to: number): boolean
  forgetBefore(slot: number): void
  isIdle(id: number): boolean
  /** Places changed since the last `saved`; undefined for those that were forgotten. */
  changed(): Map<number, Uint8Array | undefined>
  saved(): void
  restore(slot: number, seen: Uint8Array): void
  readonly bytes: number
}

export function createPresence(): Presence {
  const slots = new Map<number, Uint8Array>()
  let changed = new Set<number>()
  return {
    mark(slot, id) {
      let seen = slots.get(slot)
      if (seen === undefined || seen.length <= id) {
        const grown = new Uint8Array(Math.max(64, 2 ** Math.ceil(Math.log2(id + 1))))
        if (seen) grown.set(seen)
        seen = grown
        slots.set(slot, seen)
      }
      if (seen[id] === 1) return false
      seen[id] = 1
      changed.add(slot)
      return true
    },
    wasIn(id, from, to) {
      for (let slot = from; slot < to; slot++) if (slots.get(slot)?.[id] === 1) return true
      return false
    },
    forgetBefore(slot) {
      for (const key of slots.keys()) {
        if (key >= slot) continue
        slots.delete(key)
        changed.add(key)
      }
    },
    isIdle(id) {
      for (const seen of slots.values()) if (seen[id] === 1) return false
      return true
    },
    changed: () => new Map([...changed].map((slot) => [slot, slots.get(slot)])),
    saved() {
      changed = new Set()
    },
    restore(slot, seen) {
      slots.set(slot, seen)
    },
    get bytes() {
      let bytes = 0
      for (const seen of slots.values()) bytes += seen.byteLength
      return bytes
    },
  }
}
