/** When the records of a node begin and end: each with the first packet after the one before, and for five seconds. */
import type { DemoNode } from './nodes.ts'
import { SLOT } from './slots.ts'
import type { Span } from './times.ts'
import type { PacketTimes, Traffic } from './traffic.ts'

/** The timer of a client: it runs this long from the first packet on. Clients older than 1.92 count all the time in steps of this length. */
const TIMER = 5e9
/** Every so many slots, about a minute, a node begins anew: a record that is open ends then. So records do not depend on all that was before. */
export const RUN_SLOTS = 12
const RUN = RUN_SLOTS * SLOT

/** How far the records of a node are known. Times are ns after the start of slot `begin`. */
export interface Cursor {
  readonly node: number
  readonly begin: number
  /** Spans that begin in an earlier slot are not visited. */
  readonly first: number
  /** The next slot to look at. */
  slot: number
  /** A record begins with the next packet from here on. */
  open: number
  /** Where the run ends. */
  cut: number
  isFirst: boolean
}

export function createSpans(nodes: readonly DemoNode[], traffic: Pick<Traffic, 'packetTimes'>) {
  /** Begins with the run that has the first packet of slot `first`. */
  function createCursor(node: number, first: number): Cursor {
    const shift = node % RUN_SLOTS
    const begin = Math.floor((first - 1 - shift) / RUN_SLOTS) * RUN_SLOTS + shift
    return { node, begin, slot: begin, first, open: nodes[node]!.phaseNs, cut: 0, isFirst: true }
  }

  /** Visits the spans of a node's records that begin up to slot `last`, inclusive, in order. The next call goes on from there. */
  function visitSpans(cursor: Cursor, last: number, visit: (span: Span) => void): void {
    const { node, begin, first } = cursor
    const { phaseNs, old, reports } = nodes[node]!
    if (!reports) return
    for (; cursor.slot <= last; cursor.slot++) {
      const { slot } = cursor
      const at = (slot - begin) * SLOT
      if (slot < 0 || at + SLOT <= cursor.open) continue
      const packets = traffic.packetTimes(node, slot)
      for (;;) {
        const from = firstFrom(packets, cursor.open - at)
        if (from === Infinity) break
        const time = at + from
        if (time >= cursor.cut) {
          cursor.cut = phaseNs + (Math.floor((time - phaseNs) / RUN) + 1) * RUN
          cursor.isFirst = true
        }
        cursor.open = Math.min(old ? nextTick(time, cursor.cut) : time + TIMER, cursor.cut)
        if (slot >= first) visit({ slot, from, to: cursor.open - at, isFirst: cursor.isFirst })
        cursor.isFirst = false
      }
    }
  }

  return { createCursor, visitSpans }
}

/** The first packet that is not before `from`; Infinity without. */
function firstFrom({ begin, end, times }: PacketTimes, from: number): number {
  let first = Infinity
  for (let i = begin; i < end; i++) {
    const time = times[i]!
    if (time < first && time >= from) first = time
  }
  return first
}

/** The next step of the old clients' timer, which begins with the run that ends at `cut`. */
function nextTick(time: number, cut: number): number {
  const begin = cut - RUN
  return begin + (Math.floor((time - begin) / TIMER) + 1) * TIMER
}
