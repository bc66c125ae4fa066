/** One sum of a view, minute by minute, as long as records may come late or rules look back; and in longer slots beyond that. A minute that is told again
 * takes the place of what was told before, and longer slots change by the difference. */
import type { Sum } from '../forms/form.ts'
import { Column } from './column.ts'
import { PeriodSums } from './period-sums.ts'
import { SlotSums } from './slot-sums.ts'

export class SumRing {
  readonly sum: Sum
  readonly minutes: SlotSums
  readonly longer: SlotSums[] = []
  readonly periods: PeriodSums[] = []
  private scratch = new Float64Array(64)
  private readonly sizeOf: () => number

  constructor(sum: Sum, sizeOf: () => number) {
    this.sum = sum
    this.sizeOf = sizeOf
    this.minutes = new SlotSums(1, sizeOf)
  }

  /** Slots of this length, at least `keep` of them. */
  slots(stepMinutes: number, keep: number): SlotSums {
    let slots = stepMinutes === 1 ? this.minutes : this.longer.find((one) => one.stepMinutes === stepMinutes)
    if (slots === undefined) this.longer.push((slots = new SlotSums(stepMinutes, this.sizeOf)))
    slots.keep = Math.max(slots.keep, keep)
    return slots
  }

  period(per: 'day' | 'month', stepMinutes: number, keep: number): PeriodSums {
    let period = this.periods.find((one) => one.per === per)
    if (period === undefined) this.periods.push((period = new PeriodSums(per, stepMinutes, this.sizeOf)))
    period.recent.keep = Math.max(period.recent.keep, keep)
    return period
  }

  /** Of the minute that `commit` ends. */
  add(id: number, value: number): void {
    if (id >= this.scratch.length) {
      const wider = new Float64Array(2 ** Math.ceil(Math.log2(this.sizeOf() + 64)))
      wider.set(this.scratch)
      this.scratch = wider
    }
    if (this.sum === 'seen') this.scratch[id] = 1
    else this.scratch[id]! += value
  }

  /** What was added is all of this minute. Returns the groups whose number is another one than before. */
  commit(minute: number): number[] {
    const { minutes, scratch, longer, periods } = this
    const before = minutes.column(minute)
    const size = Math.min(scratch.length, this.sizeOf())
    const changed: number[] = []
    for (let id = 0; id < Math.max(size, before?.length ?? 0); id++) {
      const difference = (scratch[id] ?? 0) - (before?.at(id) ?? 0)
      if (difference === 0) continue
      changed.push(id)
      minutes.moved(minute, id, difference)
      for (const one of longer) one.add(one.slotOf(minute), id, difference)
      for (const { recent } of periods) recent.add(recent.slotOf(minute), id, difference)
    }
    minutes.put(minute, Column.of(scratch, size))
    scratch.fill(0, 0, size)
    return changed
  }

  /** What was added is of a longer time, long ago: it goes to slots of this length alone, or to periods (`stepMinutes` undefined). */
  commitOlder(minute: number, stepMinutes: number | undefined): void {
    const { scratch, longer, periods } = this
    const size = Math.min(scratch.length, this.sizeOf())
    const slots = longer.find((one) => one.stepMinutes === stepMinutes)
    for (let id = 0; id < size; id++) {
      const value = scratch[id]!
      if (value === 0) continue
      slots?.add(slots.slotOf(minute), id, value)
      if (stepMinutes === undefined) for (const period of periods) period.addOlder(minute, id, value)
    }
    scratch.fill(0, 0, size)
  }

  /** Empties all but the minutes, and adds these to longer slots again. */
  resetLonger(): void {
    for (const one of this.longer) one.forgetBefore(Number.POSITIVE_INFINITY)
    for (const one of this.periods) one.clear()
    for (const minute of this.minutes.slots()) {
      const column = this.minutes.column(minute)!
      for (let id = 0; id < column.length; id++) {
        const value = column.at(id)
        if (value === 0) continue
        for (const one of this.longer) one.add(one.slotOf(minute), id, value)
        for (const { recent } of this.periods) recent.add(recent.slotOf(minute), id, value)
      }
    }
  }

  /** Forgets what no rule looks at any more. `minute`: how far all rules were evaluated. */
  forgetBefore(minute: number): void {
    for (const slots of [this.minutes, ...this.longer]) slots.forgetBefore(slots.slotOf(minute) - slots.keep)
    for (const period of this.periods) period.forgetBefore(period.recent.slotOf(minute) - period.recent.keep)
  }

  mark(seen: Uint8Array): void {
    for (const one of [this.minutes, ...this.longer, ...this.periods]) one.mark(seen)
  }

  get bytes(): number {
    return [this.minutes, ...this.longer, ...this.periods].reduce(
      (sum, { bytes }) => sum + bytes,
      this.scratch.byteLength,
    )
  }
}
