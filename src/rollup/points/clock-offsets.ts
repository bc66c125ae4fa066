/** How far the clocks of nodes are off, as their messages show it in the last hour: `logged` less the end of the record. A good clock has least values
 * between zero and a few seconds. */
import { msOf } from '../../base/int64.ts'

export interface ClockOffsets {
  add(node: string, startNs: bigint, loggedNs: bigint): void
  /** Nodes that are off, in the hour up to the newest message. */
  off(): number
}

/** A record lasts about this long; its own end is not among what is kept of a message. */
const RECORD_MS = 5_000
const OFF_MS = 60_000
const SLOT_MS = 600_000
const SLOTS = 6
/** Nodes beyond this many are not watched. */
const NODES_MAX = 100_000

export function createClockOffsets(): ClockOffsets {
  /** By slot of `logged` time: the least offset of each node, ms. */
  let slots: { readonly number: number; readonly least: Map<string, number> }[] = []

  return {
    add(node, startNs, loggedNs) {
      const loggedMs = msOf(loggedNs)
      const number = Math.floor(loggedMs / SLOT_MS)
      let slot = slots.at(-1)?.number === number ? slots.at(-1) : slots.find((one) => one.number === number)
      if (slot === undefined) {
        const newest = slots.reduce((last, one) => (one.number > last ? one.number : last), number)
        if (number <= newest - SLOTS) return
        slot = { number, least: new Map() }
        slots = [...slots.filter((one) => one.number > newest - SLOTS), slot]
      }
      const offsetMs = loggedMs - msOf(startNs) - RECORD_MS
      const known = slot.least.get(node)
      if (known === undefined ? slot.least.size < NODES_MAX : offsetMs < known) slot.least.set(node, offsetMs)
    },
    off() {
      const least = new Map<string, number>()
      for (const slot of slots)
        for (const [node, ms] of slot.least) least.set(node, Math.min(ms, least.get(node) ?? Number.POSITIVE_INFINITY))
      let count = 0
      for (const ms of least.values()) if (ms > OFF_MS || ms < -OFF_MS) count += 1
      return count
    },
  }
}
