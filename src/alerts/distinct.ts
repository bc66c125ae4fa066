/** Which different items (peers, ports) a group had in each piece of time. Sets, so reading a message twice changes nothing. */
import { OVERFLOW } from './series.ts'

/** Items of one piece, by group. */
export type ItemsByGroup = Map<number, Set<string>>

export interface Distinct {
  readonly stepNs: bigint
  readonly of: 'dst' | 'port'
  /** Adds items to a piece; returns the groups that got new ones. */
  add(piece: number, items: ItemsByGroup): Iterable<number>
  /** Groups with items in the pieces [from, to), and how many different ones. */
  over(from: number, to: number): Map<number, number>
  overOne(id: number, from: number, to: number): number
  forgetBefore(piece: number): void
  isIdle(id: number): boolean
  /** Items that did not fit, since the start of the process. */
  readonly overflowed: number
  readonly items: number
  changed(): Map<number, ItemsByGroup | undefined>
  saved(): void
  restore(piece: number, items: ItemsByGroup): void
}

export function createDistinct(options: { stepNs: bigint; of: 'dst' | 'port'; itemsMax: number }): Distinct {
  const pieces = new Map<number, ItemsByGroup>()
  let changed = new Set<number>()
  let count = 0
  let overflowed = 0

  function overOne(id: number, from: number, to: number): number {
    let only: Set<string> | undefined
    let all: Set<string> | undefined
    for (let piece = from; piece < to; piece++) {
      const items = pieces.get(piece)?.get(id)
      if (items === undefined) continue
      if (only === undefined) only = items
      else {
        all ??= new Set(only)
        for (const item of items) all.add(item)
      }
    }
    return (all ?? only)?.size ?? 0
  }

  return {
    stepNs: options.stepNs,
    of: options.of,
    add(piece, items) {
      const news: number[] = []
      let mine = pieces.get(piece)
      if (mine === undefined) {
        mine = new Map()
        pieces.set(piece, mine)
      }
      for (const [id, set] of items) {
        if (id === OVERFLOW) {
          overflowed += set.size
          continue
        }
        const known = mine.get(id) ?? new Set()
        mine.set(id, known)
        const before = known.size
        for (const item of set) {
          if (count >= options.itemsMax && !known.has(item)) {
            overflowed += 1
            continue
          }
          const size = known.size
          known.add(item)
          count += known.size - size
        }
        if (known.size > before) news.push(id)
      }
      if (news.length > 0) changed.add(piece)
      return news
    },
    over(from, to) {
      const ids = new Set<number>()
      for (let piece = from; piece < to; piece++) for (const id of pieces.get(piece)?.keys() ?? []) ids.add(id)
      return new Map([...ids].map((id) => [id, overOne(id, from, to)]))
    },
    overOne,
    forgetBefore(piece) {
      for (const [key, groups] of pieces) {
        if (key >= piece) continue
        for (const set of groups.values()) count -= set.size
        pieces.delete(key)
        changed.add(key)
      }
    },
    isIdle(id) {
      for (const groups of pieces.values()) if (groups.has(id)) return false
      return true
    },
    get overflowed() {
      return overflowed
    },
    get items() {
      return count
    },
    changed: () => new Map([...changed].map((piece) => [piece, pieces.get(piece)])),
    saved() {
      changed = new Set()
    },
    restore(piece, items) {
      pieces.set(piece, items)
      for (const set of items.values()) count += set.size
    },
  }
}
