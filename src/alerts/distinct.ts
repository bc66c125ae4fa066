/** Which different items (peers, ports) a group had in each piece of time. Sets, so reading a message twice changes nothing. Items are numbers: ports
 * are themselves, peers have one as long as a piece has them. */
import { DistinctPiece } from './distinct-piece.ts'
import { createSeriesTable } from './series.ts'

export interface Distinct {
  readonly stepNs: bigint
  readonly of: 'dst' | 'port'
  /** The number of a peer. */
  itemOf(text: string): number
  textOf(item: number): string
  /** Changes whenever numbers may mean other peers: caches compare it. */
  readonly version: number
  /** False when the piece had it, or there is no room. */
  add(piece: number, id: number, item: number): boolean
  /** Counts an item of a group that did not fit. */
  overflow(): void
  /** Calls `each` for groups with more than `threshold` different items in the pieces [from, to). */
  above(threshold: number, from: number, to: number, each: (id: number, count: number) => void): void
  overOne(id: number, from: number, to: number): number
  /** At least as many as `overOne`, and told faster. */
  atMost(id: number, from: number, to: number): number
  forgetBefore(piece: number): void
  /** Frees the numbers of peers that no piece has any more. Not while a window in flight may have them in hand. */
  freeItems(): void
  isIdle(id: number): boolean
  /** Items that did not fit, since the start of the process. */
  readonly overflowed: number
  readonly items: number
  readonly bytes: number
  /** Parts of pieces that came since the last `saved`: what `piece` has from its row `savedRows` on; undefined for those that were forgotten. */
  changed(): Iterable<[part: number, piece: DistinctPiece | undefined]>
  saved(): void
  restore(part: number, rows: Iterable<readonly [id: number, item: number]>): void
}

/** A part's number is its piece's times this, plus how many parts the piece had before; more than there are saves in the longest piece. */
const PARTS_MAX = 2 ** 16
/** A peer's text with its place. */
const ITEM_BYTES = 200

export function createDistinct(options: { stepNs: bigint; of: 'dst' | 'port'; itemsMax: number }): Distinct {
  const pieces = new Map<number, DistinctPiece>()
  const peers = createSeriesTable(Number.POSITIVE_INFINITY)
  let changed = new Set<number>()
  let gone: number[] = []
  let count = 0
  let overflowed = 0
  /** By item: the number of the last count that met it. */
  let met = new Int32Array(1024)
  let round = 0

  function overOne(id: number, from: number, to: number): number {
    round += 1
    let different = 0
    for (let piece = from; piece < to; piece++) {
      pieces.get(piece)?.each(id, (item) => {
        while (item >= met.length) met = wider(met)
        if (met[item] === round) return
        met[item] = round
        different += 1
      })
    }
    return different
  }

  function atMost(id: number, from: number, to: number): number {
    let sum = 0
    for (let piece = from; piece < to; piece++) sum += pieces.get(piece)?.countOf(id) ?? 0
    return sum
  }

  function add(piece: number, id: number, item: number): boolean {
    let mine = pieces.get(piece)
    if (mine === undefined) {
      mine = new DistinctPiece()
      pieces.set(piece, mine)
    }
    if (count >= options.itemsMax && !mine.has(id, item)) {
      overflowed += 1
      return false
    }
    if (!mine.add(id, item)) return false
    count += 1
    return true
  }

  return {
    stepNs: options.stepNs,
    of: options.of,
    itemOf: (text) => peers.idOf([text]),
    textOf: (item) => (options.of === 'port' ? String(item) : (peers.valuesOf(item)[0] ?? '')),
    get version() {
      return peers.version
    },
    add(piece, id, item) {
      const isNews = add(piece, id, item)
      if (isNews) changed.add(piece)
      return isNews
    },
    overflow() {
      overflowed += 1
    },
    above(threshold, from, to, each) {
      const some: DistinctPiece[] = []
      for (let piece = from; piece < to; piece++) some.push(...[pieces.get(piece)].filter((one) => one !== undefined))
      const groups = some.reduce((most, one) => Math.max(most, one.groups), 0)
      for (let id = 1; id < groups; id++) {
        // Hardly any group is above when the same item in two pieces counts twice.
        let most = 0
        for (let i = 0; i < some.length; i++) most += some[i]!.countOf(id)
        if (most <= threshold) continue
        const exactly = overOne(id, from, to)
        if (exactly > threshold) each(id, exactly)
      }
    },
    overOne,
    atMost,
    forgetBefore(piece) {
      for (const [key, one] of pieces) {
        if (key >= piece) continue
        count -= one.count
        pieces.delete(key)
        changed.delete(key)
        for (let part = 0; part < one.savedParts; part++) gone.push(key * PARTS_MAX + part)
      }
    },
    freeItems() {
      if (options.of === 'port') return
      const used = new Uint8Array(peers.size)
      for (const piece of pieces.values()) {
        piece.eachRow(0, (_, item) => {
          used[item] = 1
        })
      }
      const idle = [...peers.ids()].filter((item) => used[item] === 0)
      // Whoever remembers peers by numbers forgets all of them when one is freed.
      if (idle.length * 2 > peers.count) for (const item of idle) peers.free(item)
    },
    isIdle(id) {
      for (const piece of pieces.values()) if (piece.countOf(id) > 0) return false
      return true
    },
    get overflowed() {
      return overflowed
    },
    get items() {
      return count
    },
    get bytes() {
      return [...pieces.values()].reduce((sum, { bytes }) => sum + bytes, peers.count * ITEM_BYTES + met.byteLength)
    },
    *changed() {
      for (const part of gone) yield [part, undefined]
      for (const piece of changed) {
        const one = pieces.get(piece)
        if (one) yield [piece * PARTS_MAX + one.savedParts, one]
      }
    },
    saved() {
      for (const piece of changed) {
        const one = pieces.get(piece)
        if (one === undefined) continue
        one.savedRows = one.count
        one.savedParts += 1
      }
      changed = new Set()
      gone = []
      peers.saved()
    },
    restore(part, rows) {
      const piece = Math.floor(part / PARTS_MAX)
      for (const [id, item] of rows) add(piece, id, item)
      const one = pieces.get(piece)
      if (one === undefined) return
      one.savedRows = one.count
      one.savedParts = Math.max(one.savedParts, (part % PARTS_MAX) + 1)
    },
  }
}

function wider(array: Int32Array<ArrayBuffer>): Int32Array<ArrayBuffer> {
  const grown = new Int32Array(array.length * 2)
  grown.set(array)
  return grown
}
