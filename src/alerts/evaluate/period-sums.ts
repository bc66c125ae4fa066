/** Sums by group since the UTC day or month began: slots as long as what comes late may change them, and for each period the sum of what is older. */
import { MINUTE } from '../../base/clock.ts'
import { periodStart } from '../rules/rule.ts'
import { Column } from './column.ts'
import { SlotSums, type SumsOfTime } from './slot-sums.ts'

export class PeriodSums implements SumsOfTime {
  readonly per: 'day' | 'month'
  readonly recent: SlotSums
  /** By the first minute of the period. */
  private readonly older = new Map<number, Column>()
  private readonly sizeOf: () => number

  constructor(per: 'day' | 'month', stepMinutes: number, sizeOf: () => number) {
    this.per = per
    this.recent = new SlotSums(stepMinutes, sizeOf)
    this.sizeOf = sizeOf
  }

  /** The first slot of the period in which the slot before `to` lies. */
  firstSlot(to: number): number {
    return this.recent.slotOf(this.beginOf(to * this.recent.stepMinutes))
  }

  /** The first minute of the period of the minute before this one. */
  private beginOf(minute: number): number {
    return Number(periodStart(BigInt(minute) * MINUTE, this.per) / MINUTE)
  }

  /** Time that is so long ago that it has no slot. */
  addOlder(minute: number, id: number, value: number): void {
    const begin = this.beginOf(minute + 1)
    let column = this.older.get(begin)
    if (column === undefined) this.older.set(begin, (column = new Column(this.sizeOf())))
    column.add(id, value)
  }

  over(from: number, to: number): Float64Array {
    const sums = new Float64Array(this.sizeOf())
    for (const slot of this.recent.slots()) if (slot >= from && slot < to) this.recent.column(slot)?.addTo(sums, 1)
    this.older.get(this.beginOf(to * this.recent.stepMinutes))?.addTo(sums, 1)
    return sums
  }

  overOne(id: number, from: number, to: number): number {
    const begin = this.beginOf(to * this.recent.stepMinutes)
    const own = this.recent.slotOf(begin) === from ? (this.older.get(begin)?.at(id) ?? 0) : 0
    return own + this.recent.overOne(id, from, to)
  }

  /** Slots before this one become part of the sums of their periods. */
  forgetBefore(slot: number): void {
    const { stepMinutes } = this.recent
    for (const key of this.recent.slots()) {
      if (key >= slot) continue
      const column = this.recent.column(key)!
      for (let id = 0; id < column.length; id++)
        if (column.at(id) !== 0) this.addOlder(key * stepMinutes, id, column.at(id))
    }
    this.recent.forgetBefore(slot)
    const oldest = this.beginOf(slot * stepMinutes)
    for (const begin of this.older.keys()) if (begin < oldest) this.older.delete(begin)
  }

  clear(): void {
    this.recent.forgetBefore(Number.POSITIVE_INFINITY)
    this.older.clear()
  }

  mark(seen: Uint8Array): void {
    this.recent.mark(seen)
    for (const column of this.older.values())
      for (let id = 0; id < column.length; id++) if (column.at(id) !== 0) seen[id] = 1
  }

  get bytes(): number {
    return [...this.older.values()].reduce((sum, { bytes }) => sum + bytes, this.recent.bytes)
  }
}
