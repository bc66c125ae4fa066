/** The times of records: start, end and `logged` of a node's record in a slot, outages in which a node cannot upload, and records that are
 * uploaded twice. All of it is a pure function of seed, node and slot, so no time depends on what was computed before.
 *
 * A slot is 5.25 s: a record of 5 s, and a short time until the next packet opens the next record. Times inside a slot are ns after
 * the start of the slot. */
import type { DemoNode } from './nodes.ts'
import { limitOf, mix } from './random.ts'

export const SLOT_SECONDS = 5.25
export const SLOT_NS = 5_250_000_000n
export const SLOT = Number(SLOT_NS)
/** Without an outage, a record is logged at least a second and at most this many slots after the start of its slot. */
export const LAG_SLOTS = 8
/** Slots of one block, about an hour. At most one outage and one second upload of a node begin in a block. */
export const BLOCK = 686
/** An outage ends at most this many blocks after the block in which it began. */
export const OUTAGE_BLOCKS = 5
/** A second upload comes at most this many slots after the slot of its record. */
export const COPY_SLOTS = 70

const MINUTE = 60e9
/** 80 slots are exactly seven minutes. */
const SLOTS_PER_ROUND = 80
/** Maximum number of slots whose records a client keeps while it cannot upload. */
const HELD_MAX = 40
const OUTAGE_SLOTS_MAX = 2700

/** Filled in by `timesOf`: ns after the start of the slot. */
export interface Times {
  start: number
  end: number
  logged: number
  /** From the start of one part of a split record to the start of the next. */
  apart: number
}

/** From slot `from` on the node cannot upload, from `asleep` on it sleeps; in slot `wake` it wakes up and uploads the records that it kept. */
export interface Outage {
  readonly node: number
  readonly from: number
  readonly asleep: number
  readonly wake: number
}

/** The response to an upload was lost: the records of slots `from` to `to` are uploaded a second time, `delayNs` later. */
export interface Copy {
  readonly node: number
  readonly from: number
  readonly to: number
  readonly delayNs: number
}

export function slotOf(ns: bigint): number {
  return Number(ns / SLOT_NS)
}

export function slotNs(slot: number): bigint {
  return BigInt(slot) * SLOT_NS
}

/** `disorder` false: no outages, no second uploads, no split records, and no clusters of records on whole minutes. */
export function createTimes(seed: number, nodes: readonly DemoNode[], { disorder = true } = {}) {
  function timesOf(node: number, slot: number, out: Times): void {
    const { phaseNs, clockStepNs, old } = nodes[node]!
    const h = mix(seed, node, slot, 11)
    const h2 = mix(seed, node, slot, 12)
    const h3 = mix(seed, node, slot, 13)
    const start = phaseNs + (h % 200_000_000)
    const length = old ? 2e9 + (h2 % 3_000_000_000) : 5e9 + (h2 % 40_000_000)
    let logged = start + length + 400_000_000 + (h3 % 3_000_000_000)
    if (h % 50 === 0) logged += h2 * 4
    // Clocks have different resolutions, and some times are round.
    const step = h2 % 64 === 0 ? 10 ** (h3 % 10) : clockStepNs
    const second = (slot % 4) * 250_000_000
    out.start = start - ((second + start) % step)
    out.end = start + length
    out.end -= (second + out.end) % step
    const minute = ((slot % SLOTS_PER_ROUND) * SLOT + logged) % MINUTE
    if (disorder && h3 % 4 === 0 && minute > MINUTE - 1e9) logged += MINUTE - minute
    else if (h3 % 64 === 0) logged -= (second + logged) % 10 ** (h % 9)
    out.logged = logged
    out.apart = 1000 + (h3 % 900_000)
    out.apart -= out.apart % clockStepNs
  }

  /** Number of parts into which a record is split. */
  function partsOf(node: number, slot: number): number {
    return disorder && mix(seed, node, slot, 14) < SPLIT ? 2 : 1
  }

  const outagesBegun = remember((block): readonly Outage[] => {
    const found: Outage[] = []
    if (!disorder || block < 0) return found
    for (let node = 0; node < nodes.length; node++) {
      const { role } = nodes[node]!
      const h = mix(seed, node, block, 15)
      if (h >= (role === 'laptop' || role === 'phone' ? OUTAGE_PERSONAL : OUTAGE_MACHINE)) continue
      const h2 = mix(seed, node, block, 16)
      const h3 = mix(seed, node, block, 17)
      const from = block * BLOCK + (h2 % BLOCK)
      const held = 1 + (h3 % HELD_MAX)
      // Mostly minutes, sometimes hours.
      const length = 24 + Math.floor((OUTAGE_SLOTS_MAX - 24) * (mix(seed, node, block, 18) / 2 ** 32) ** 4)
      found.push({ node, from, asleep: from + held, wake: from + Math.max(held, length) })
    }
    return found
  })

  /** The outages that may still last in a block, by node, oldest first. */
  const outagesIn = remember((block): ReadonlyMap<number, readonly Outage[]> => {
    const perNode = new Map<number, Outage[]>()
    for (let b = block - OUTAGE_BLOCKS; b <= block; b++) {
      for (const outage of outagesBegun(b)) {
        const list = perNode.get(outage.node)
        if (list === undefined) perNode.set(outage.node, [outage])
        else list.push(outage)
      }
    }
    return perNode
  })

  /** The outage that a slot is in. Of two that overlap, the one that began first. */
  function outageAt(node: number, slot: number): Outage | undefined {
    const list = outagesIn(Math.floor(slot / BLOCK)).get(node)
    return list?.find((outage) => slot >= outage.from && slot < outage.wake)
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

  return { timesOf, partsOf, outagesBegun, outageAt, copiesBegun }
}
export type TimesOfNodes = ReturnType<typeof createTimes>

const SPLIT = limitOf(1 / 500)
const OUTAGE_PERSONAL = limitOf(0.3)
const OUTAGE_MACHINE = limitOf(0.03)
const COPY = limitOf(0.5)

/** Caches the newest results of a pure function. */
function remember<T>(make: (key: number) => T): (key: number) => T {
  const kept = new Map<number, T>()
  return (key) => {
    let value = kept.get(key)
    if (value === undefined) {
      value = make(key)
      kept.set(key, value)
      if (kept.size > 16) kept.delete(kept.keys().next().value!)
    }
    return value
  }
}
