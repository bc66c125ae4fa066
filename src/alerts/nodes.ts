/** Reporting nodes as small numbers. A node with another name is another number: patterns look at what it was called when it reported. */
import { hashText, spreadHash } from '../base/hash.ts'

export interface Nodes {
  numberOf(id: string, name: string): number
  idOf(number: number): string
  nameOf(number: number): string
  readonly count: number
  /** So many are known that it is time to `forget`. */
  readonly isFull: boolean
  /** Numbers given before mean nothing any more. */
  forget(): void
}

/** More than any tailnet has: ids that nobody vouches for must not fill the memory. */
const NODES_MAX = 200_000
const SLOTS_MIN = 256

export function createNodes(nodesMax = NODES_MAX): Nodes {
  let ids: string[] = []
  let names: string[] = []
  let hashes = new Int32Array(SLOTS_MIN)
  /** Number + 1 by place, 0 where it is free. At most half are taken. The texts of a message are new strings, which a Map looks up at several
   * times the cost. */
  let slots = new Int32Array(SLOTS_MIN)

  function spread(): void {
    slots = new Int32Array(slots.length * 2)
    const wider = new Int32Array(slots.length)
    wider.set(hashes)
    hashes = wider
    for (let number = 0; number < ids.length; number++) {
      let slot = hashes[number]! & (slots.length - 1)
      while (slots[slot] !== 0) slot = (slot + 1) & (slots.length - 1)
      slots[slot] = number + 1
    }
  }

  return {
    numberOf(id, name) {
      const hash = spreadHash(hashText(id))
      const mask = slots.length - 1
      let slot = hash & mask
      for (let number = slots[slot]! - 1; number >= 0; number = slots[slot]! - 1) {
        if (hashes[number] === hash && ids[number] === id && names[number] === name) return number
        slot = (slot + 1) & mask
      }
      const number = ids.push(id) - 1
      names.push(name)
      hashes[number] = hash
      slots[slot] = number + 1
      if (ids.length * 2 > slots.length) spread()
      return number
    },
    idOf: (number) => ids[number]!,
    nameOf: (number) => names[number]!,
    get count() {
      return ids.length
    },
    get isFull() {
      return ids.length >= nodesMax
    },
    forget() {
      ids = []
      names = []
      slots.fill(0)
    },
  }
}
