/** Delivery rates for the status page: sums over the last minute of the local monotonic clock. */

const SLOT_MS = 5_000
const SLOTS = 12

export interface Rates {
  add(nowMs: number, amounts: { messages: number; entries: number; points: number; bytes: number }): void
  /** Per second, over the last minute (or since the start, when that is shorter). */
  perSecond(nowMs: number): { messages: number; entries: number; points: number; bytes: number }
}

export function createRates(startMs: number): Rates {
  const slots = new Map<number, { messages: number; entries: number; points: number; bytes: number }>()
  function trim(nowMs: number): void {
    const oldest = Math.floor(nowMs / SLOT_MS) - SLOTS
    for (const slot of slots.keys()) if (slot <= oldest) slots.delete(slot)
  }
  return {
    add(nowMs, amounts) {
      trim(nowMs)
      const slot = Math.floor(nowMs / SLOT_MS)
      const sum = slots.get(slot) ?? { messages: 0, entries: 0, points: 0, bytes: 0 }
      sum.messages += amounts.messages
      sum.entries += amounts.entries
      sum.points += amounts.points
      sum.bytes += amounts.bytes
      slots.set(slot, sum)
    },
    perSecond(nowMs) {
      trim(nowMs)
      const seconds = Math.max(1, Math.min((nowMs - startMs) / 1000, (SLOT_MS * SLOTS) / 1000))
      const total = { messages: 0, entries: 0, points: 0, bytes: 0 }
      for (const sum of slots.values()) {
        total.messages += sum.messages
        total.entries += sum.entries
        total.points += sum.points
        total.bytes += sum.bytes
      }
      return {
        messages: total.messages / seconds,
        entries: total.entries / seconds,
        points: total.points / seconds,
        bytes: total.bytes / seconds,
      }
    },
  }
}
