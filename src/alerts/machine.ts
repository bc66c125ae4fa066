/** The states of one alert: inactive, pending while the condition has not held for long enough, firing, and inactive again, resolved.
 * Pure: what an alert is after a step follows from what it was before, the step's time and its verdict. */

/** What an alert is at a step. */
export type State = 'inactive' | 'pending' | 'firing'

/** `clear`: the condition does not hold (of a firing alert: the value is back beyond `recover`). `hold`: nobody can tell, because part of the
 * time could not be read; what fires keeps firing, what rests keeps resting. */
export type Verdict = 'breach' | 'clear' | 'hold'

/** What an alert was from `atNs` on, until the next mark. Times are ends of steps, 0 where there is none. */
export interface Mark {
  readonly atNs: bigint
  readonly state: State
  /** Since when the condition holds. */
  readonly activeNs: bigint
  /** When it last began to fire. */
  readonly firedNs: bigint
  /** The number at that step. */
  readonly firedValue: number
  /** When that ended; 0 while it fires. */
  readonly resolvedNs: bigint
}

export const NEVER: Mark = { atNs: 0n, state: 'inactive', activeNs: 0n, firedNs: 0n, firedValue: 0, resolvedNs: 0n }

/** The same mark when nothing changed. */
export function next(before: Mark, atNs: bigint, verdict: Verdict, forNs: bigint, value: number): Mark {
  // Nobody knows whether the condition held all the time: `for` begins anew.
  if (verdict === 'hold' && before.state === 'pending') return { ...before, atNs, state: 'inactive', activeNs: 0n }
  if (verdict === 'hold') return before
  if (before.state === 'firing') {
    return verdict === 'breach' ? before : { ...before, atNs, state: 'inactive', activeNs: 0n, resolvedNs: atNs }
  }
  if (verdict === 'clear') {
    return before.state === 'inactive' ? before : { ...before, atNs, state: 'inactive', activeNs: 0n }
  }
  const activeNs = before.state === 'pending' ? before.activeNs : atNs
  if (atNs - activeNs >= forNs)
    return { atNs, state: 'firing', activeNs, firedNs: atNs, firedValue: value, resolvedNs: 0n }
  return before.state === 'pending' ? before : { ...before, atNs, state: 'pending', activeNs }
}

/** Whether with this mark an alert begins to fire, or ends. */
export function turnOf(mark: Mark, before: Mark): 'firing' | 'resolved' | undefined {
  if (mark.state === 'firing' && before.state !== 'firing') return 'firing'
  return mark.state === 'inactive' && before.state === 'firing' ? 'resolved' : undefined
}

/** An alert's marks, oldest first; at least one. Old ones go, the newest of them stays as the base. */
export type Marks = readonly [Mark, ...Mark[]]

/** What the alert was just before `ns`. */
export function markBefore(marks: Marks, ns: bigint): Mark {
  return marks.findLast((mark) => mark.atNs < ns) ?? NEVER
}

/** The marks before `ns` alone. */
export function cutAt(marks: Marks, ns: bigint): Marks {
  const [first = NEVER, ...rest] = marks.filter((mark) => mark.atNs < ns)
  return [first, ...rest]
}

export function withMark(marks: Marks, mark: Mark): Marks {
  return marks.at(-1) === mark ? marks : [...marks, mark]
}

export function pruned(marks: Marks, beforeNs: bigint): Marks {
  const base = marks.findLastIndex((mark) => mark.atNs < beforeNs)
  if (base <= 0) return marks
  const [first = NEVER, ...rest] = marks.slice(base)
  return [first, ...rest]
}
