/** A window is done: what it had counts from now on. */
import { MINUTE } from '../base/clock.ts'
import type { DistinctBy, SeenBy, SourceClockBy, SummedBy } from './scope.ts'
import type { Seen, Target } from './target.ts'

/** What was added to a piece of time that had been judged already. `fromNs` is its begin. */
export interface Added {
  readonly part: SummedBy | SourceClockBy | DistinctBy
  readonly fromNs: bigint
  readonly ids: Iterable<number>
}

export class Stores implements Target {
  private readonly judgedMinutes: number
  private readonly late = new Map<Added['part'], Map<number, Set<number>>>()

  /** `judgedNs`: the newest step that any rule was judged at. */
  constructor(judgedNs: bigint) {
    this.judgedMinutes = Number(judgedNs / MINUTE)
  }

  sum(by: SummedBy, piece: number, id: number, value: number): void {
    by.sums.add(piece, id, value)
    if ((piece + 1) * by.stepMinutes <= this.judgedMinutes && id > 0) this.note(by, piece * by.stepMinutes, id)
  }

  present(by: SourceClockBy, slot: number, id: number): void {
    const isNews = by.presence.mark(slot, id)
    // A slot counts for what is judged at its end or later.
    if (isNews && (slot + 1) * by.slotMinutes <= this.judgedMinutes) this.note(by, slot * by.slotMinutes, id)
  }

  item(by: DistinctBy, piece: number, id: number, item: number): void {
    const isNews = by.distinct.add(piece, id, item)
    if (isNews && (piece + 1) * by.stepMinutes <= this.judgedMinutes) this.note(by, piece * by.stepMinutes, id)
  }

  sighting(by: SeenBy, seen: Seen, piece: number): void {
    by.sightings.add(seen, piece)
  }

  private note(part: Added['part'], fromMinute: number, id: number): void {
    let minutes = this.late.get(part)
    if (minutes === undefined) {
      minutes = new Map()
      this.late.set(part, minutes)
    }
    const ids = minutes.get(fromMinute)
    if (ids) ids.add(id)
    else minutes.set(fromMinute, new Set([id]))
  }

  *added(): Iterable<Added> {
    for (const [part, minutes] of this.late)
      for (const [minute, ids] of minutes) yield { part, fromNs: BigInt(minute) * MINUTE, ids }
  }
}
