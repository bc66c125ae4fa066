/** What of a window in flight does not fit into its log: added up by group already, but nothing of it counts until the window is done. So the memory
 * of a window is bounded by the groups that rules watch, however much there is in it. */
import type { DistinctBy, SeenBy, SourceClockBy, SummedBy } from './scope.ts'
import type { Seen, Target } from './target.ts'

/** A place in a set or a Map, roughly. */
const PLACE_BYTES = 40

export class Spill implements Target {
  bytes = 0
  private readonly sums = new Map<SummedBy, Map<number, Float64Array>>()
  private readonly slots = new Map<SourceClockBy, Map<number, Set<number>>>()
  private readonly items = new Map<DistinctBy, Map<number, Map<number, Set<number>>>>()
  private readonly sightings = new Map<SeenBy, Map<number, Map<Seen, number>>>()

  sum(by: SummedBy, piece: number, id: number, value: number): void {
    const columns = inner(this.sums, by)
    let column = columns.get(piece)
    if (column === undefined || column.length <= id) {
      const wider = new Float64Array(roomFor(Math.max(id + 1, by.sums.series.size)))
      if (column) wider.set(column)
      this.bytes += wider.byteLength - (column?.byteLength ?? 0)
      column = wider
      columns.set(piece, column)
    }
    column[id]! += value
  }

  present(by: SourceClockBy, slot: number, id: number): void {
    this.put(inner(this.slots, by), slot, id)
  }

  item(by: DistinctBy, piece: number, id: number, item: number): void {
    this.put(inner(inner(this.items, by), piece), id, item)
  }

  sighting(by: SeenBy, seen: Seen, piece: number): void {
    const first = inner(inner(this.sightings, by), by.sightings.slotOf(piece))
    const known = first.get(seen)
    if (known === undefined) this.bytes += PLACE_BYTES
    if (known === undefined || piece < known) first.set(seen, piece)
  }

  /** The window is done. */
  pourInto(target: Target): void {
    for (const [by, columns] of this.sums)
      for (const [piece, column] of columns)
        for (let id = 0; id < column.length; id++) if (column[id] !== 0) target.sum(by, piece, id, column[id]!)
    for (const [by, slots] of this.slots)
      for (const [slot, ids] of slots) for (const id of ids) target.present(by, slot, id)
    for (const [by, pieces] of this.items)
      for (const [piece, groups] of pieces)
        for (const [id, items] of groups) for (const item of items) target.item(by, piece, id, item)
    for (const [by, slots] of this.sightings)
      for (const first of slots.values()) for (const [seen, piece] of first) target.sighting(by, seen, piece)
  }

  private put(sets: Map<number, Set<number>>, key: number, value: number): void {
    const set = sets.get(key)
    const before = set?.size ?? 0
    if (set) set.add(value)
    else sets.set(key, new Set([value]))
    if (set === undefined || set.size > before) this.bytes += PLACE_BYTES
  }
}

function inner<K, L, V>(map: Map<K, Map<L, V>>, key: K): Map<L, V> {
  let one = map.get(key)
  if (one === undefined) {
    one = new Map()
    map.set(key, one)
  }
  return one
}

function roomFor(count: number): number {
  let component = 64
  while (component < count) component *= 2
  return component
}
