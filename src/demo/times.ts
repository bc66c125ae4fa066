/** The times that a record gets: what the node's clock says, when the API logs it, whether it is split or uploaded twice. All of it is a pure function
 * of seed, node and the moment at which the record began. */
import type { DemoNode } from './nodes.ts'
import { BLOCK, remember } from './presence.ts'
import { limitOf, mix } from './random.ts'
import { SLOT } from './slots.ts'

/** Without an outage, a record is logged at most this many slots after the start of its slot. */
export const LAG_SLOTS = 8
/** A second upload comes at most this many slots after the slot of its record. */
export const COPY_SLOTS = 70

const MINUTE = 60e9
/** 80 slots are exactly seven minutes. */
const SLOTS_PER_ROUND = 80
/** How long after its end a record is logged. */
const UPLOAD_MIN = 400e6
/** How long after waking up a node uploads. */
const WAKE_UPLOAD = 2.5e9

/** What a record spans: from its first packet to the end of its timer, by true time, ns after the start of `slot`, in which it begins. */
export interface Span {
  readonly slot: number
  readonly from: number
  readonly to: number
  /** The first one after the node's timer ran. */
  readonly isFirst: boolean
}

/** Filled in by `timesOf`: ns after the start of the slot. `start` and `end` are by the node's clock. */
export interface Times {
  start: number
  end: number
  logged: number
  /** From the start of one part of a split record to the start of the next. */
  apart: number
}

/** The response to an upload was lost: the records of slots `from` to `to` are uploaded a second time, `delayNs` later. */
export interface Copy {
  readonly node: number
  readonly from: number
  readonly to: number
  readonly delayNs: number
}

/** `disorder` false: no second uploads, no split records, no clusters of records on whole minutes, and all clocks are right. */
export function createTimes(seed: number, nodes: readonly DemoNode[], { disorder = true } = {}) {
  function timesOf(node: number, { slot, from, to, isFirst }: Span, out: Times): void {
    const { clockNs, clockStepNs, old } = nodes[node]!
    const offset = disorder ? clockNs : 0
    const h = mix(seed, node, slot, 11)
    const h2 = mix(seed, node, slot, 12)
    const h3 = mix(seed, node, slot, 13)
    let logged = to + UPLOAD_MIN + (h3 % 3_000_000_000)
    if (h % 50 === 0) logged += h2 * 4
    // Clocks have different resolutions, and some times are round. Two records never get the same start.
    const step = h2 % 64 === 0 && !isFirst && !old ? 10 ** (h3 % 10) : clockStepNs
    const second = (slot % 4) * 250_000_000
    out.start = from + offset
    out.start -= modulo(second + out.start, step)
    out.end = to + offset
    out.end -= modulo(second + out.end, step)
    const minute = ((slot % SLOTS_PER_ROUND) * SLOT + logged) % MINUTE
    if (disorder && h3 % 4 === 0 && minute > MINUTE - 1e9) logged += MINUTE - minute
    else if (h3 % 64 === 0) logged -= (second + logged) % 10 ** (h % 9)
    out.logged = logged
    out.apart = 1000 + (h3 % 900_000)
    out.apart -= out.apart % clockStepNs
  }

  /** Number of parts into which a record is split. */
  function partsOf(node: number, { slot }: Span): number {
    return disorder && mix(seed, node, slot, 14) < SPLIT ? 2 : 1
  }

  /** When the first record that a node kept is logged after it woke up: ns after the start of the slot. */
  function uploadAfterWaking(node: number): number {
    return nodes[node]!.phaseNs + WAKE_UPLOAD
  }

  const copiesBegun = remember((block): readonly Copy[] => {
    const found: Copy[] = []
    if (!disorder || block < 0) return found
    for (let node = 0; node < nodes.length; node++) {
      if (mix(seed, node, block, 19) >= COPY) continue
      const h = mix(seed, node, block, 20)
      const h2 = mix(seed, node, block, 21)
      const from = block * BLOCK + (h % BLOCK)
      const delayNs = 30e9 + (h2 % 5 === 0 ? (h2 % 27_000) * 10e6 : (h2 % 30_000) * 1e6)
      found.push({ node, from, to: from + (h2 % 3), delayNs: delayNs + (h % 1_000_000) })
    }
    return found
  })

  return { timesOf, partsOf, uploadAfterWaking, copiesBegun }
}
export type TimesOfNodes = ReturnType<typeof createTimes>

const SPLIT = limitOf(1 / 500)
const COPY = limitOf(0.5)

/** Never below 0. */
function modulo(value: number, step: number): number {
  return ((value % step) + step) % step
}
