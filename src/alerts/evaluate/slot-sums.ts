/** Sums by group over slots of time: a minute, or a longer one that divides a day. A slot has the number of its begin, counted in slots since 1970. */
import { Column } from './column.ts'

/** A sum over the last slots, which follows the time slot by slot. */
interface Window {
  to: number
  sums: Float64Array
}

export interface SumsOfTime {
  /** Sums over the slots [from, to), by group. Valid until the next change. `lane`: callers that follow the time each have one. */
  over(from: number, to: number, lane: number): Float64Array
  overOne(id: number, from: number, to: number): number
}

export class SlotSums implements SumsOfTime {
  readonly stepMinutes: number
  /** Slots that are kept, back from the newest. */
  keep = 0
  private readonly columns = new Map<number, Column>()
  private readonly windows = new Map<string, Window>()
  private readonly sizeOf: () => number

  /** `sizeOf`: one above the highest number of a group. */
  constructor(stepMinutes: number, sizeOf: () => number) {
    this.stepMinutes = stepMinutes
    this.sizeOf = sizeOf
  }

  slotOf(minute: number): number {
    return Math.floor(minute / this.stepMinutes)
  }

  column(slot: number): Column | undefined {
    return this.columns.get(slot)
  }

  slots(): Iterable<number> {
    return this.columns.keys()
  }

  /** Puts a column in place of another one. What differs must have been passed to `moved`. */
  put(slot: number, column: Column): void {
    this.columns.set(slot, column)
  }

  add(slot: number, id: number, difference: number): void {
    let column = this.columns.get(slot)
    if (column === undefined) this.columns.set(slot, (column = new Column(this.sizeOf())))
    column.add(id, difference)
    this.moved(slot, id, difference)
  }

  /** A group's number in a slot has changed by this. */
  moved(slot: number, id: number, difference: number): void {
    for (const [key, window] of this.windows) {
      if (slot >= window.to || slot < window.to - Number.parseInt(key, 10)) continue
      if (id >= window.sums.length) window.sums = wider(window.sums, this.sizeOf())
      window.sums[id]! += difference
    }
  }

  over(from: number, to: number, lane: number): Float64Array {
    const count = to - from
    const key = `${count} ${lane}`
    let window = this.windows.get(key)
    if (window === undefined || to < window.to || to - window.to > count || hasLarge(window.sums)) {
      window = { to, sums: new Float64Array(this.sizeOf()) }
      for (let slot = from; slot < to; slot++) this.columns.get(slot)?.addTo(window.sums, 1)
      this.windows.set(key, window)
      return window.sums
    }
    if (window.sums.length < this.sizeOf()) window.sums = wider(window.sums, this.sizeOf())
    while (window.to < to) {
      this.columns.get(window.to - count)?.addTo(window.sums, -1)
      this.columns.get(window.to)?.addTo(window.sums, 1)
      window.to += 1
    }
    return window.sums
  }

  overOne(id: number, from: number, to: number): number {
    let sum = 0
    for (let slot = from; slot < to; slot++) sum += this.columns.get(slot)?.at(id) ?? 0
    return sum
  }

  /** Forgets slots before this one. */
  forgetBefore(slot: number): void {
    for (const key of this.columns.keys()) if (key < slot) this.columns.delete(key)
    for (const [key, { to }] of this.windows) if (to - Number.parseInt(key, 10) < slot) this.windows.delete(key)
  }

  /** Adds to `seen` 1 for each group that has a number in any slot. */
  mark(seen: Uint8Array): void {
    for (const column of this.columns.values())
      for (let id = 0; id < column.length; id++) if (column.at(id) !== 0) seen[id] = 1
  }

  get bytes(): number {
    let bytes = 0
    for (const column of this.columns.values()) bytes += column.bytes
    for (const { sums } of this.windows.values()) bytes += sums.byteLength
    return bytes
  }
}

/** Beyond 2^53 differences are not exact, so such a window is summed anew. */
function hasLarge(sums: Float64Array): boolean {
  for (let id = 0; id < sums.length; id++) if (sums[id]! > Number.MAX_SAFE_INTEGER) return true
  return false
}

function wider(sums: Float64Array, size: number): Float64Array {
  const more = new Float64Array(Math.max(size, sums.length))
  more.set(sums)
  return more
}
