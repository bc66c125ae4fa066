/** The groups of a view, each with a small number: nodes, pairs, ports, whatever a rule groups by. At most `max` of them; what does not fit is one group
 * more, the overflow, which is counted and never evaluated. */

/** The values of a rule's `by`, in its order: ids of nodes, names of other endpoints. */
export type GroupValues = readonly string[]

export interface Group {
  readonly values: GroupValues
  /** What people call it, in the same order. */
  names: readonly string[]
  /** The rule's patterns do not match it any more: it was renamed, or has another owner. */
  isDismissed: boolean
}

/** The number of the overflow. */
export const OVERFLOW = 0

export function keyOfValues(values: GroupValues): string {
  return JSON.stringify(values)
}

export class Groups {
  private readonly max: number
  private readonly byKey = new Map<string, number>()
  private readonly groups: (Group | undefined)[] = [undefined]
  private readonly freed: number[] = []
  /** How often a group did not fit, since the start of the process. */
  overflowed = 0
  /** Changes when numbers may mean other groups. */
  version = 0

  constructor(max: number) {
    this.max = max
  }

  /** The number of the group, a new one where needed. Its names are these from now on. */
  idOf(values: GroupValues, names: readonly string[]): number {
    const key = keyOfValues(values)
    const known = this.byKey.get(key)
    if (known !== undefined) {
      const group = this.groups[known]!
      group.names = names
      group.isDismissed = false
      return known
    }
    if (this.byKey.size >= this.max) return OVERFLOW
    const id = this.freed.pop() ?? this.groups.length
    this.byKey.set(key, id)
    this.groups[id] = { values, names, isDismissed: false }
    return id
  }

  dismiss(values: GroupValues): void {
    const id = this.byKey.get(keyOfValues(values))
    if (id !== undefined) this.groups[id]!.isDismissed = true
  }

  get(id: number): Group | undefined {
    return this.groups[id]
  }

  /** One above the highest number in use. */
  get size(): number {
    return this.groups.length
  }

  get count(): number {
    return this.byKey.size
  }

  ids(): Iterable<number> {
    return this.byKey.values()
  }

  /** Frees the numbers of groups that nothing is known of. */
  free(ids: readonly number[]): void {
    for (const id of ids) {
      const group = this.groups[id]
      if (group === undefined) continue
      this.byKey.delete(keyOfValues(group.values))
      this.groups[id] = undefined
      this.freed.push(id)
    }
    if (ids.length > 0) this.version += 1
  }

  /** Idle groups are freed when they are many, or when it gets tight: who remembers groups by number forgets all of them then. */
  isWorthFreeing(idle: number): boolean {
    return idle > 0 && (idle * 8 > this.count || this.count * 2 > this.max)
  }
}
