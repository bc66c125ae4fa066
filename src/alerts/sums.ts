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
  /** Blocks of columns that changed since the last `saved`; undefined for those that were forgotten. */
  changed(): Iterable<[block: number, cells: Float64Array | undefined]>
  saved(): void
  restore(block: number, cells: Float64Array): void
}

/** One record that comes late must not have a column of fifty thousand groups written again: columns are saved in blocks of so many groups. */
const BLOCK = 512
/** A block's number is its piece's times this, plus its place in the column; more groups than any rule may have. */
const BLOCKS_MAX = 2 ** 16

interface Column {
  cells: Float64Array
  /** By block: 1 where it changed since the last save. */
  changed: Uint8Array
  /** Blocks that the state file may have. */
  savedBlocks: number
}

export function createSums(stepNs: bigint, series: SeriesTable): Sums {
  const columns = new Map<number, Column>()
  const cache = new Map<string, Float64Array>()
  /** PrefixCache that changed, and blocks of forgotten ones. */
  let changed = new Set<number>()
  let gone: number[] = []
  // What is added goes to the same few pieces: the last one is at hand, noted as changed and not in the cache.
  let last = Number.NaN
  let lastColumn = columnOf(0)

  function open(piece: number, id: number): Column {
    let column = columns.get(piece)
    if (column === undefined) {
      column = columnOf(Math.max(id + 1, series.size))
      columns.set(piece, column)
    } else if (column.cells.length <= id) widen(column, Math.max(id + 1, series.size))
    changed.add(piece)
    cache.clear()
    last = piece
    lastColumn = column
    return column
  }

  function close(): void {
    last = Number.NaN
  }

  return {
    series,
    stepNs,
    add(piece, id, value) {
      const column = piece === last && id < lastColumn.cells.length ? lastColumn : open(piece, id)
      column.cells[id]! += value
      column.changed[Math.floor(id / BLOCK)] = 1
    },
    over(from, to) {
      const key = `${from} ${to}`
      const known = cache.get(key)
      if (known) return known
      close()
      const sums = new Float64Array(series.size)
      for (let piece = from; piece < to; piece++) {
        const column = columns.get(piece)?.cells
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
      for (let piece = from; piece < to; piece++) sum += columns.get(piece)?.cells[id] ?? 0
      return sum
    },
    forgetBefore(piece) {
      for (const [key, { savedBlocks }] of columns) {
        if (key >= piece) continue
        columns.delete(key)
        changed.delete(key)
        for (let block = 0; block < savedBlocks; block++) gone.push(key * BLOCKS_MAX + block)
      }
      close()
      cache.clear()
    },
    isIdle(id) {
      for (const column of columns.values()) if ((column.cells[id] ?? 0) !== 0) return false
      return true
    },
    get bytes() {
      let bytes = 0
      for (const { cells } of columns.values()) bytes += cells.byteLength
      return bytes
    },
    *changed() {
      for (const block of gone) yield [block, undefined]
      for (const piece of changed) {
        const column = columns.get(piece)
        if (column === undefined) continue
        for (const [block, isChanged] of column.changed.entries()) {
          if (isChanged === 0) continue
          yield [piece * BLOCKS_MAX + block, column.cells.subarray(block * BLOCK, (block + 1) * BLOCK)]
        }
      }
    },
    saved() {
      for (const piece of changed) {
        const column = columns.get(piece)
        if (column === undefined) continue
        column.savedBlocks = column.changed.length
        column.changed.fill(0)
      }
      changed = new Set()
      gone = []
      close()
    },
    restore(number, cells) {
      const piece = Math.floor(number / BLOCKS_MAX)
      const start = (number % BLOCKS_MAX) * BLOCK
      const column = columns.get(piece) ?? columnOf(start + cells.length)
      columns.set(piece, column)
      if (column.cells.length < start + cells.length) widen(column, start + cells.length)
      column.cells.set(cells, start)
      column.savedBlocks = column.changed.length
    },
  }
}

function columnOf(count: number): Column {
  const component = roomFor(count)
  return { cells: new Float64Array(component), changed: new Uint8Array(Math.ceil(component / BLOCK)), savedBlocks: 0 }
}

function widen(column: Column, count: number): void {
  const { cells, changed } = column
  const wider = columnOf(count)
  wider.cells.set(cells)
  wider.changed.set(changed)
  column.cells = wider.cells
  column.changed = wider.changed
}

function roomFor(count: number): number {
  let component = 64
  while (component < count) component *= 2
  return component
}
