/** Sums by key over a number of minutes: a minute that is reported again replaces what it said before. Exact, as long as numbers stay below 2^53. */

export interface Sum {
  tx: number
  rx: number
}

export interface WindowSums {
  /** What a minute says, in place of what it said before. */
  set(minute: number, sums: ReadonlyMap<string, Sum>): void
  /** Forgets all minutes before this one. */
  forgetBefore(minute: number): void
  entries(): Iterable<readonly [key: string, sum: Readonly<Sum>]>
  /** What is summed without its keys, because there are too many: the smallest ones. */
  readonly others: Readonly<Sum>
}

/** Beyond it the smaller half loses its keys. 1,000 nodes make 14,000 pairs in an hour. */
const KEYS_MAX = 50_000
/** Of one minute; beyond it the smallest are summed. */
const MINUTE_KEYS_MAX = 20_000

interface Entry extends Sum {
  readonly key: string
  /** Minutes that have it. */
  minutes: number
  hasKey: boolean
}

/** What each entry has of the minute. */
interface Minute {
  readonly entries: readonly Entry[]
  readonly tx: Float64Array
  readonly rx: Float64Array
}

export function createWindowSums(keysMax = KEYS_MAX, minuteKeysMax = MINUTE_KEYS_MAX): WindowSums {
  const entries = new Map<string, Entry>()
  const minutes = new Map<number, Minute>()
  const others: Entry = { key: '', tx: 0, rx: 0, minutes: 0, hasKey: false }

  function entryOf(key: string): Entry {
    const known = entries.get(key)
    if (known !== undefined) return known
    if (entries.size >= keysMax) forgetSmaller()
    const made = { key, tx: 0, rx: 0, minutes: 0, hasKey: true }
    entries.set(key, made)
    return made
  }

  function forgetSmaller(): void {
    for (const entry of [...entries.values()].toSorted(largestFirst).slice(keysMax / 2)) {
      entries.delete(entry.key)
      entry.hasKey = false
      others.tx += entry.tx
      others.rx += entry.rx
    }
    for (const [minute, parts] of minutes) minutes.set(minute, withoutForgotten(parts))
  }

  /** Nothing holds an entry that lost its key: there may be a million of them. */
  function withoutForgotten({ entries: all, tx, rx }: Minute): Minute {
    const kept = all.filter(({ hasKey }) => hasKey)
    if (kept.length === all.length) return { entries: all, tx, rx }
    const rest = {
      entries: [...kept, others],
      tx: new Float64Array(kept.length + 1),
      rx: new Float64Array(kept.length + 1),
    }
    let next = 0
    for (const [index, { hasKey }] of all.entries()) {
      const at = hasKey ? next++ : kept.length
      rest.tx[at]! += tx[index]!
      rest.rx[at]! += rx[index]!
    }
    return rest
  }

  /** Adds a minute to the sums, or takes it away. */
  function count({ entries: all, tx, rx }: Minute, sign: 1 | -1): void {
    for (const [index, entry] of all.entries()) {
      const sum = entry.hasKey ? entry : others
      sum.tx += sign * tx[index]!
      sum.rx += sign * rx[index]!
      entry.minutes += sign
      if (entry.minutes === 0 && entry.hasKey) entries.delete(entry.key)
    }
  }

  function remove(minute: number): void {
    const old = minutes.get(minute)
    if (old === undefined) return
    minutes.delete(minute)
    count(old, -1)
  }

  return {
    others,
    entries: () => entries,
    set(minute, sums) {
      remove(minute)
      if (sums.size === 0) return
      const sorted = [...sums]
      if (sums.size > minuteKeysMax) sorted.sort(([, one], [, other]) => largestFirst(one, other))
      const parts = {
        entries: sorted.map(([key], index) => (index < minuteKeysMax ? entryOf(key) : others)),
        tx: Float64Array.from(sorted, ([, { tx }]) => tx),
        rx: Float64Array.from(sorted, ([, { rx }]) => rx),
      }
      count(parts, 1)
      minutes.set(minute, withoutForgotten(parts))
    },
    forgetBefore(minute) {
      for (const one of minutes.keys()) if (one < minute) remove(one)
    },
  }
}

export function largestFirst(one: Sum, other: Sum): number {
  return other.tx + other.rx - one.tx - one.rx
}

/** Adds to the sum of a key. */
export function addTo(sums: Map<string, Sum>, key: string, tx: number, rx: number): void {
  const sum = sums.get(key)
  if (sum === undefined) sums.set(key, { tx, rx })
  else {
    sum.tx += tx
    sum.rx += rx
  }
}
