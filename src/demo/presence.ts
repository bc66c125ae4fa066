/** Which nodes are there in which slot: outages in which a node cannot upload and then sleeps, and runners, which come and go. All of it is a pure
 * function of seed, node and slot. */
import type { DemoNode } from './nodes.ts'
import { limitOf, mix } from './random.ts'

/** Slots of one block, about an hour. At most one outage and one second upload of a node begin in a block. */
export const BLOCK = 686
/** An outage ends at most this many blocks after the block in which it began. */
export const OUTAGE_BLOCKS = 5

/** Maximum number of slots whose records a client keeps while it cannot upload. */
const HELD_MAX = 40
const OUTAGE_SLOTS_MAX = 2700
/** Four hours: a runner is there for one shift, and gone for the next. */
const SHIFT_SLOTS = 4 * BLOCK

/** From slot `from` on the node cannot upload, from `asleep` on it sleeps: nobody has traffic with it. In slot `wake` it wakes up and uploads the
 * records that it kept. */
export interface Outage {
  readonly node: number
  readonly from: number
  readonly asleep: number
  readonly wake: number
}

export interface Presence {
  /** Outages that begin in a block. */
  outagesBegun(block: number): readonly Outage[]
  /** The outage that a slot is in. Of two that overlap, the one that began first. */
  outageAt(node: number, slot: number): Outage | undefined
  /** The node exists, and does not sleep. */
  isAwake(node: number, slot: number): boolean
  /** False for a runner that is gone. */
  exists(node: number, slot: number): boolean
}

/** `disorder` false: no outages. */
export function createPresence(seed: number, nodes: readonly DemoNode[], { disorder = true } = {}): Presence {
  const runners = nodes.map(({ role }) => role === 'runner')

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

  function outageAt(node: number, slot: number): Outage | undefined {
    if (!disorder) return undefined
    const list = outagesIn(Math.floor(slot / BLOCK)).get(node)
    return list?.find((outage) => slot >= outage.from && slot < outage.wake)
  }

  const exists = (node: number, slot: number) =>
    !runners[node] || (Math.floor(slot / SHIFT_SLOTS) + nodes[node]!.index) % 2 === 0

  return {
    outagesBegun,
    outageAt,
    exists,
    isAwake(node, slot) {
      if (!exists(node, slot)) return false
      const outage = outageAt(node, slot)
      return outage === undefined || slot < outage.asleep
    },
  }
}

const OUTAGE_PERSONAL = limitOf(0.3)
const OUTAGE_MACHINE = limitOf(0.03)

/** Caches the newest results of a pure function. */
export function remember<T>(make: (key: number) => T): (key: number) => T {
  const kept = new Map<number, T>()
  let lastKey = Number.NaN
  let last: T | undefined
  return (key) => {
    if (key === lastKey) return last as T
    let value = kept.get(key)
    if (value === undefined) {
      value = make(key)
      kept.set(key, value)
      if (kept.size > 16) kept.delete(kept.keys().next().value!)
    }
    lastKey = key
    last = value
    return value
  }
}
