/** The groups of a table, each with a small number: nodes, pairs, ports, whatever a rule groups by. At most `max` of them; what does not
 * fit is one group more, the overflow, which is counted and never judged. */

/** The values of a rule's `by`, in its order. */
export type GroupValues = readonly string[]

/** The number of the overflow. */
export const OVERFLOW = 0

export interface SeriesTable {
  /** The number of the group, a new one where needed; one that does not fit is counted. */
  idOf(values: GroupValues): number
  /** The same, not counted. */
  groupOf(values: GroupValues): number
  find(key: string): number | undefined
  keyOf(id: number): string
  valuesOf(id: number): GroupValues
  /** One above the highest number in use. */
  readonly size: number
  /** Groups known, the overflow not among them. */
  readonly count: number
  /** More than half full. */
  readonly isTight: boolean
  /** How often a group did not fit, since the start of the process. */
  readonly overflowed: number
  /** Counts one that is known not to fit. */
  overflow(): void
  /** Frees the number for another group. */
  free(id: number): void
  ids(): Iterable<number>
  /** Changes whenever numbers may mean other groups: caches compare it. */
  readonly version: number
  /** For the state file: numbers given or freed since the last `saved` (a freed one has no key). */
  changed(): ReadonlyMap<number, string | undefined>
  saved(): void
  restore(id: number, key: string): void
}

export function keyOfValues(values: GroupValues): string {
  return JSON.stringify(values)
}

export function createSeriesTable(max: number): SeriesTable {
  const byKey = new Map<string, number>()
  const keys: (string | undefined)[] = [undefined]
  const values: (GroupValues | undefined)[] = [[]]
  const freed: number[] = []
  let fresh = new Map<number, string | undefined>()
  let overflowed = 0
  let version = 0

  function put(id: number, key: string, group: GroupValues): void {
    byKey.set(key, id)
    keys[id] = key
    values[id] = group
  }

  function groupOf(group: GroupValues): number {
    const key = keyOfValues(group)
    const known = byKey.get(key)
    if (known !== undefined) return known
    if (byKey.size >= max) return OVERFLOW
    const id = freed.pop() ?? keys.length
    put(id, key, [...group])
    fresh.set(id, key)
    return id
  }

  return {
    idOf(group) {
      const id = groupOf(group)
      if (id === OVERFLOW) overflowed += 1
      return id
    },
    groupOf,
    find: (key) => byKey.get(key),
    keyOf: (id) => keys[id] ?? '',
    valuesOf: (id) => values[id] ?? [],
    get size() {
      return keys.length
    },
    get count() {
      return byKey.size
    },
    get isTight() {
      return byKey.size * 2 > max
    },
    get overflowed() {
      return overflowed
    },
    overflow() {
      overflowed += 1
    },
    free(id) {
      const key = keys[id]
      if (key === undefined) return
      byKey.delete(key)
      keys[id] = undefined
      values[id] = undefined
      freed.push(id)
      fresh.set(id, undefined)
      version += 1
    },
    ids: () => byKey.values(),
    get version() {
      return version
    },
    changed: () => fresh,
    saved() {
      fresh = new Map()
    },
    restore(id, key) {
      while (keys.length <= id) {
        freed.push(keys.length)
        keys.push(undefined)
        values.push(undefined)
      }
      const free = freed.indexOf(id)
      if (free >= 0) freed.splice(free, 1)
      put(id, key, JSON.parse(key) as GroupValues)
    },
  }
}
