/** Where numbers go that have found their group: what rules read (stores.ts), or what a window in flight keeps for later (spill.ts). */
import type { DistinctBy, SeenBy, SourceClockBy, SummedBy } from './scope.ts'
import type { Sighting } from './sightings.ts'

export interface Target {
  sum(by: SummedBy, piece: number, id: number, value: number): void
  present(by: SourceClockBy, slot: number, id: number): void
  /** `item`: a number of `by.distinct`. */
  item(by: DistinctBy, piece: number, id: number, item: number): void
  sighting(by: SeenBy, seen: Seen, piece: number): void
}

/** A group that is only seen: always the same object as long as it is remembered. */
export type Seen = Omit<Sighting, 'piece'>
