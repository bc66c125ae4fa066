/** Finds, in what a simulated tailnet really did, a group that crosses a threshold once in the evening, and a threshold that it just does not
 * cross. The machine of states here is written naively and shares no code with the one that is tested. */

/** Minutes since the epoch; a step is the end of a minute. */
export interface Evening {
  /** Everything from here on is read. */
  readonly origin: number
  /** From here on the clock goes on poll by poll; what was before is caught up at once. */
  readonly live: number
  /** The last step that is judged. */
  readonly last: number
  /** The end of the day, and of the month (UTC). */
  readonly midnight: number
}

type Settings = Readonly<Record<string, unknown>>

export interface ToldCase {
  /** Settings of both rules, and what they differ in: a threshold that is crossed, and one that just is not. */
  readonly common: Settings
  readonly fires: Settings
  readonly below: Settings
  /** Whom it is about. */
  readonly group: string
  /** The largest number (the smallest where that is what fires) that the group had, in the unit of the threshold. */
  readonly value: number
  /** The same for the second rule: another number only where time goes on adding. */
  readonly belowValue: number
  /** Steps at which it begins to fire, and is over. */
  readonly firesAt: number
  readonly endsAt: number
}

export interface Spell {
  readonly from: number
  readonly to: number
}

/** All steps that a rule with this length of step is judged at. */
export function stepsOf({ origin, last }: Evening, step = 1): number[] {
  const first = origin - (origin % step) + step
  return Array.from({ length: Math.floor((last - first) / step) + 1 }, (_, index) => first + index * step)
}

/** When a rule fires. `holds`: its condition at a step; `isFiring`, because a rule may let go later than it takes hold. */
export function spellsOf(
  evening: Evening,
  holds: (at: number, isFiring: boolean) => boolean,
  { step = 1, forMinutes = 0 } = {},
): Spell[] {
  const found: Spell[] = []
  let since: number | undefined
  let from: number | undefined
  for (const at of stepsOf(evening, step)) {
    if (!holds(at, from !== undefined)) {
      if (from !== undefined) found.push({ from, to: at })
      since = undefined
      from = undefined
      continue
    }
    since ??= at
    if (at - since >= forMinutes) from ??= at
  }
  if (from !== undefined) found.push({ from, to: Number.POSITIVE_INFINITY })
  return found
}

/** The largest number over all steps. */
export function most(evening: Evening, value: (at: number) => number, step = 1): number {
  return stepsOf(evening, step).reduce((largest, at) => (value(at) > largest ? value(at) : largest), 0)
}

export interface Candidate {
  readonly value: number
  readonly belowValue?: number
  readonly fires: Settings
  readonly below: Settings
  /** When each of the two rules fires. */
  readonly firing: readonly Spell[]
  readonly notFiring: readonly Spell[]
}

/** The first group that fires once, in the evening, and is over before its end, while the second rule never fires. */
export function choose(
  { live, last }: Evening,
  groups: Iterable<string>,
  common: (group: string) => Settings,
  candidate: (group: string) => Candidate | undefined,
): ToldCase | undefined {
  for (const group of groups) {
    const one = candidate(group)
    const [spell, ...others] = one?.firing ?? []
    if (one === undefined || spell === undefined || others.length > 0 || one.notFiring.length > 0) continue
    if (spell.from <= live || spell.to > last) continue
    const { value, belowValue = value, fires, below } = one
    return { common: common(group), fires, below, group, value, belowValue, firesAt: spell.from, endsAt: spell.to }
  }
  return undefined
}

/** A threshold that the largest number exceeds, one that it does not, and how the settings write them. Undefined: there are none. */
export type Thresholds = (largest: number) =>
  | {
      readonly numbers: readonly [number, number]
      readonly write: (threshold: number) => Settings
    }
  | undefined

export const bytes =
  (key: string): Thresholds =>
  (largest) => ({ numbers: [largest - 1, largest], write: (threshold) => ({ [key]: `${threshold}B` }) })
export const count =
  (key: string): Thresholds =>
  (largest) => ({ numbers: [largest - 1, largest], write: (threshold) => ({ [key]: threshold }) })
/** Whole bits per second. */
export const rate: Thresholds = (largest) => ({
  numbers: [Math.ceil(largest) - 1, Math.ceil(largest)],
  write: (threshold) => ({ above: `${threshold}bps` }),
})
/** Shares and factors, with so many digits after the point. */
export const decimal =
  (key: string, digits: number): Thresholds =>
  (largest) => {
    const over = Math.ceil(largest * 10 ** digits)
    return {
      numbers: [(over - 1) / 10 ** digits, over / 10 ** digits],
      write: (threshold) => ({ [key]: threshold }),
    }
  }

/** Forms that fire above a threshold. */
export function above(
  evening: Evening,
  groups: Iterable<string>,
  common: (group: string) => Settings,
  numberOf: (group: string) => (at: number) => number,
  thresholds: Thresholds,
  step = 1,
): ToldCase | undefined {
  return choose(evening, groups, common, (group) => {
    const value = numberOf(group)
    const largest = most(evening, value, step)
    if (largest <= 1) return undefined
    const some = thresholds(largest)
    if (some === undefined) return undefined
    const [under, over] = some.numbers
    return {
      value: largest,
      fires: some.write(under),
      below: some.write(over),
      firing: spellsOf(evening, (at) => value(at) > under, { step }),
      notFiring: spellsOf(evening, (at) => value(at) > over, { step }),
    }
  })
}
