/** One sum of a view by group: minute by minute, and in longer slots for rules that look back further. A minute that is told again takes the place of what
 * was told before, and longer slots change by the difference. Whole numbers below 2^53 are exact. */
import type { Sum } from '../forms/form.ts'

/** A number for each group, in as few bytes as the largest of them needs. */
type Column = Uint8Array | Uint32Array | Float64Array

/** Slots of one length that divides a day, by their number since 1970. */
export interface Level {
  readonly minutes: number
  /** Slots that are kept, back from the newest. */
  keep: number
  readonly columns: Map<number, Column>
}

/** Sums that are remembered for rules that ask the same. */
const REMEMBERED_MAX = 32

export class SumRing {
  readonly sum: Sum
  readonly minutes: Level = { minutes: 1, keep: 0, columns: new Map() }
  readonly longer: Level[] = []
  private scratch = new Float64Array(64)
  private readonly remembered = new Map<string, Float64Array>()
  private readonly sizeOf: () => number

  /** `sizeOf`: one above the highest number of a group. */
  constructor(sum: Sum, sizeOf: () => number) {
    this.sum = sum
    this.sizeOf = sizeOf
  }

  private get levels(): readonly Level[] {
    return [this.minutes, ...this.longer]
  }

  /** Slots of this length, at least `keep` of them. */
  level(minutes: number, keep: number): Level {
    let level = this.levels.find((one) => one.minutes === minutes)
    if (level === undefined) this.longer.push((level = { minutes, keep, columns: new Map() }))
    level.keep = Math.max(level.keep, keep)
    return level
  }

  /** Of the minute that `commit` ends. */
  add(id: number, value: number): void {
    if (id >= this.scratch.length) {
      const wider = new Float64Array(this.sizeOf() + 1024)
      wider.set(this.scratch)
      this.scratch = wider
    }
    if (this.sum === 'seen') this.scratch[id] = 1
    else this.scratch[id]! += value
  }

  /** What was added is all of this minute. Returns the groups whose number is another one than before. */
  commit(minute: number): number[] {
    const { scratch } = this
    const before = this.minutes.columns.get(minute)
    const changed: number[] = []
    let [size, most] = [0, 0]
    for (let id = 0; id < Math.max(scratch.length, before?.length ?? 0); id++) {
      const value = scratch[id] ?? 0
      if (value !== 0) size = id + 1
      if (value > most) most = value
      const difference = value - (before?.[id] ?? 0)
      if (difference === 0) continue
      changed.push(id)
      for (const level of this.longer) this.addTo(level, minute, id, difference)
    }
    const column = columnFor(most, size)
    column.set(scratch.subarray(0, size))
    this.minutes.columns.set(minute, column)
    this.remembered.clear()
    scratch.fill(0)
    return changed
  }

  /** What was added is of a longer time, long ago: it goes to slots of this length alone. */
  commitOlder(minute: number, minutes: number): void {
    for (const level of this.longer)
      if (level.minutes === minutes)
        for (const [id, value] of this.scratch.entries()) if (value !== 0) this.addTo(level, minute, id, value)
    this.discard()
  }

  /** What was added does not count. */
  discard(): void {
    this.scratch.fill(0)
  }

  private addTo({ columns, minutes }: Level, minute: number, id: number, difference: number): void {
    const slot = Math.floor(minute / minutes)
    const column = columns.get(slot)
    const sum = (column?.[id] ?? 0) + difference
    if (column !== undefined && id < column.length && sum <= mostOf(column)) column[id] = sum
    else {
      const wider = columnFor(Math.max(sum, column ? mostOf(column) : 0), Math.max(id + 1, this.sizeOf()))
      if (column) wider.set(column)
      wider[id] = sum
      columns.set(slot, wider)
    }
  }

  /** Longer slots have what the minutes have, and nothing more. */
  resetLonger(): void {
    for (const { columns } of this.longer) columns.clear()
    for (const [minute, column] of this.minutes.columns)
      for (const level of this.longer)
        for (const [id, value] of column.entries()) if (value !== 0) this.addTo(level, minute, id, value)
  }

  /** Sums over the minutes [from, to), by group; not to be changed. `levels`: which slots are added up, the longest first; the last divides the range. */
  over(levels: readonly Level[], from: number, to: number): Float64Array {
    const key = `${levels[0]?.minutes} ${from} ${to}`
    let sums = this.remembered.get(key)
    if (sums !== undefined) return sums
    sums = new Float64Array(this.sizeOf())
    for (const column of columnsOf(levels, from, to))
      for (let id = 0; id < column.length; id++) sums[id]! += column[id]!
    if (this.remembered.size >= REMEMBERED_MAX) this.remembered.clear()
    this.remembered.set(key, sums)
    return sums
  }

  overOne(levels: readonly Level[], id: number, from: number, to: number): number {
    let sum = 0
    for (const column of columnsOf(levels, from, to)) sum += column[id] ?? 0
    return sum
  }

  /** Forgets what no rule looks at any more. `minute`: how far all rules were evaluated. */
  forgetBefore(minute: number): void {
    for (const { minutes, keep, columns } of this.levels)
      for (const slot of columns.keys()) if (slot < Math.floor(minute / minutes) - keep) columns.delete(slot)
    this.remembered.clear()
  }

  /** Sets `seen` to 1 for each group that has a number anywhere. */
  mark(seen: Uint8Array): void {
    for (const { columns } of this.levels)
      for (const column of columns.values())
        for (let id = 0; id < column.length; id++) if (column[id] !== 0) seen[id] = 1
  }

  get bytes(): number {
    const columns = this.levels.flatMap((level) => [...level.columns.values()])
    return [this.scratch, ...columns, ...this.remembered.values()].reduce((sum, { byteLength }) => sum + byteLength, 0)
  }
}

function columnsOf(levels: readonly Level[], from: number, to: number): Column[] {
  const found: Column[] = []
  for (let at = from; at < to; ) {
    const { minutes, columns } = levels.find((one) => at % one.minutes === 0 && at + one.minutes <= to)!
    const column = columns.get(at / minutes)
    if (column) found.push(column)
    at += minutes
  }
  return found
}

function columnFor(most: number, size: number): Column {
  if (most < 2 ** 8) return new Uint8Array(size)
  return most < 2 ** 32 ? new Uint32Array(size) : new Float64Array(size)
}

function mostOf(column: Column): number {
  if (column instanceof Uint8Array) return 2 ** 8 - 1
  return column instanceof Uint32Array ? 2 ** 32 - 1 : Number.MAX_VALUE
}
