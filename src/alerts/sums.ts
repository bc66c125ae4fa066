/** Sums per group and piece of time: one column of numbers for each piece (`stepNs` long, by the start of the messages), one number in it
 * for each group. Whole numbers below 2^53 are exact. */
import type { SeriesTable } from './series.ts'

export interface Sums {
  readonly series: SeriesTable
  readonly stepNs: bigint
  add(piece: number, id: number, value: number): void
  /** Sums over the pieces [from, to), by group. Valid until the next call of `add` or `forgetBefore`. */
  over(from: number, to: number): Float64Array
  /** The same for one group. */
  overOne(id: number, from: number, to: number): number
  /** Forgets pieces before `piece`. */
  forgetBefore(piece: number): void
  /** True when the group has nothing in any piece. */
  isIdle(id: number): boolean
  readonly bytes: number
  /** Columns changed since the last `saved`; undefined for those that were forgotten. */
  changed(): Map<number, Float64Array | undefined>
  saved(): void
  restore(piece: number, column: Float64Array): void
}

export function createSums(stepNs: bigint, series: SeriesTable): Sums {
  const columns = new Map<number, Float64Array>()
  const cache = new Map<string, Float64Array>()
  let changed = new Set<number>()
  // What is added goes to the same few pieces: the last one is at hand, noted as changed and not in the cache.
  let last = Number.NaN
  let lastColumn = new Float64Array(0)

  function open(piece: number, id: number): Float64Array {
    let column = columns.get(piece)
    if (column === undefined || column.length <= id) {
      const grown = new Float64Array(roomFor(Math.max(id + 1, series.size)))
      if (column) grown.set(column)
      column = grown
      columns.set(piece, column)
    }
    changed.add(piece)
    cache.clear()
    last = piece
    lastColumn = column as Float64Array<ArrayBuffer>
    return column
  }

  function close(): void {
    last = Number.NaN
  }

  return {
    series,
    stepNs,
    add(piece, id, value) {
      const column = piece === last && id < lastColumn.length ? lastColumn : open(piece, id)
      column[id]! += value
    },
    over(from, to) {
      const key = `${from} ${to}`
      const known = cache.get(key)
      if (known) return known
      close()
      const sums = new Float64Array(series.size)
      for (let piece = from; piece < to; piece++) {
        const column = columns.get(piece)
        if (column === undefined) continue
        const length = Math.min(column.length, sums.length)
        for (let id = 0; id < length; id++) sums[id]! += column[id]!
      }
      // A step asks for a handful of windows, each by many rules.
      if (cache.size >= 16) cache.clear()
      cache.set(key, sums)
      return sums
    },
    overOne(id, from, to) {
      let sum = 0
      for (let piece = from; piece < to; piece++) sum += columns.get(piece)?.[id] ?? 0
      return sum
    },
    forgetBefore(piece) {
      for (const key of columns.keys()) {
        if (key >= piece) continue
        columns.delete(key)
        changed.add(key)
      }
      close()
      cache.clear()
    },
    isIdle(id) {
      for (const column of columns.values()) if ((column[id] ?? 0) !== 0) return false
      return true
    },
    get bytes() {
      let bytes = 0
      for (const column of columns.values()) bytes += column.byteLength
      return bytes
    },
    changed: () => new Map([...changed].map((piece) => [piece, columns.get(piece)])),
    saved() {
      changed = new Set()
      close()
    },
    restore(piece, column) {
      columns.set(piece, column)
    },
  }
}

function roomFor(count: number): number {
  let room = 16
  while (room < count) room *= 2
  return room
}
