/** What one window in flight has so far: nothing of it counts until the window is done. */
import type { ItemsByGroup } from './distinct.ts'
import type { DistinctBy, PresentBy, Scope, SeenBy, SummedBy } from './scope.ts'
import type { Sighting } from './sightings.ts'

export interface Staged {
  readonly messages: { readonly digest: bigint; readonly startNs: bigint }[]
  readonly scopes: ReadonlyMap<Scope, StagedScope>
  of(scope: Scope): StagedScope
  late: number
  ahead: number
  readonly bytes: number
}

/** A group that is only seen: always the same object as long as it is remembered. */
export interface Seen extends Omit<Sighting, 'piece'> {
  /** False for a pair with an end that nobody knows. */
  readonly isWhole: boolean
}

export interface StagedScope {
  readonly sums: ReadonlyMap<SummedBy, ReadonlyMap<number, Float64Array>>
  readonly presence: ReadonlyMap<PresentBy, ReadonlyMap<number, ReadonlySet<number>>>
  readonly distinct: ReadonlyMap<DistinctBy, ReadonlyMap<number, ItemsByGroup>>
  /** By slot: the first piece of each group in it. */
  readonly sightings: ReadonlyMap<SeenBy, ReadonlyMap<number, ReadonlyMap<Seen, number>>>
  addSum(by: SummedBy, piece: number, id: number, value: number): void
  addPresence(by: PresentBy, slot: number, id: number): void
  addItem(by: DistinctBy, piece: number, id: number, item: string): void
  addSighting(by: SeenBy, seen: Seen, piece: number): void
}

export function createStaged(): Staged {
  const scopes = new Map<Scope, StagedScope>()
  let bytes = 0
  const messages: { digest: bigint; startNs: bigint }[] = []
  return {
    messages,
    scopes,
    of(scope) {
      const known = scopes.get(scope)
      if (known) return known
      const made = createStagedScope(scope, (more) => {
        bytes += more
      })
      scopes.set(scope, made)
      return made
    },
    late: 0,
    ahead: 0,
    get bytes() {
      return bytes + messages.length * 64
    },
  }
}

function createStagedScope(scope: Scope, onBytes: (more: number) => void): StagedScope {
  const sums = new Map<SummedBy, Map<number, Float64Array>>()
  const presence = new Map<PresentBy, Map<number, Set<number>>>()
  const distinct = new Map<DistinctBy, Map<number, ItemsByGroup>>()
  const sightings = new Map<SeenBy, Map<number, Map<Seen, number>>>()
  return {
    sums,
    presence,
    distinct,
    sightings,
    addSum(by, piece, id, value) {
      const columns = part(sums, by)
      let column = columns.get(piece)
      if (column === undefined || column.length <= id) {
        const wider = new Float64Array(roomFor(Math.max(id + 1, scope.series.size)))
        if (column) wider.set(column)
        onBytes(wider.byteLength - (column?.byteLength ?? 0))
        column = wider
        columns.set(piece, column)
      }
      column[id]! += value
    },
    addPresence(by, slot, id) {
      const slots = part(presence, by)
      const ids = slots.get(slot)
      if (ids) ids.add(id)
      else slots.set(slot, new Set([id]))
    },
    addItem(by, piece, id, item) {
      const groups = part(part(distinct, by), piece)
      const items = groups.get(id)
      if (items) items.add(item)
      else groups.set(id, new Set([item]))
    },
    addSighting(by, seen, piece) {
      const first = part(part(sightings, by), by.sightings.slotOf(piece))
      const known = first.get(seen)
      if (known === undefined || piece < known) first.set(seen, piece)
    },
  }
}

function part<K, L, V>(map: Map<K, Map<L, V>>, key: K): Map<L, V> {
  let inner = map.get(key)
  if (inner === undefined) {
    inner = new Map()
    map.set(key, inner)
  }
  return inner
}

function roomFor(count: number): number {
  let room = 64
  while (room < count) room *= 2
  return room
}
