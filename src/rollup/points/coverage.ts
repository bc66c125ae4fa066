/** What this process has read itself, in `logged` time, and which minutes of `start` it therefore holds completely. */
import { max } from '../../base/bigint.ts'
import { MINUTE, SECOND } from '../../base/clock.ts'
import { intersects, merge, subtract } from '../../ledger/intervals.ts'
import type { Interval } from '../../ledger/ledger.ts'

/** A record may start this long after it was logged (source/clock-bounds.ts). */
const AHEAD_NS = 60n * MINUTE
/** A minute is final when everything logged up to this long after its end is done. */
const SETTLING_NS = 30n * SECOND

export interface Coverage {
  /** A window was read and is done. */
  add(range: Interval): void
  /** It was not read here, or it has to be read again. */
  remove(range: Interval): void
  /** True when some of it was read here already. */
  touches(range: Interval): boolean
  /** Everything that may belong to the minute was read by this process, without a break, as far as anything is done. `done`: what is done, of whoever read it. */
  holds(minuteNs: bigint, done: readonly Interval[]): boolean
}

export function createCoverage(): Coverage {
  let own: readonly Interval[] = []
  return {
    add({ fromNs, toNs }) {
      own = merge([...own, { fromNs, toNs }])
    },
    touches: (range) => own.some((one) => intersects(one, range)),
    remove(range) {
      own = subtract(own, [range])
    },
    holds(minuteNs, done) {
      const fromNs = minuteNs - AHEAD_NS
      const needed = { fromNs, toNs: endOfSettling(minuteNs) }
      const later = done.filter(({ toNs }) => toNs > fromNs).map((one) => ({ ...one, fromNs: max(one.fromNs, fromNs) }))
      return subtract([needed, ...later], own).length === 0
    },
  }
}

/** Up to here everything must be done before the rows of the minute are made, ns of `logged` time. */
function endOfSettling(minuteNs: bigint): bigint {
  return minuteNs + MINUTE + SETTLING_NS
}

/** The first minute (its begin, ns) of which something is in a gap that begins then, ns of `logged` time. */
export function firstTouched(fromNs: bigint): bigint {
  const firstNs = fromNs - MINUTE - SETTLING_NS
  return firstNs - (firstNs % MINUTE)
}

/** Every minute before this one (its begin, ns) is final, as far as reading goes without a break from the origin. Open gaps are passed over. */
export function finalTo(originNs: bigint, settled: readonly Interval[], gaps: readonly Interval[]): bigint {
  const reach = merge([...settled, ...gaps]).find(({ fromNs, toNs }) => fromNs <= originNs && originNs <= toNs)
  const toNs = (reach?.toNs ?? originNs) - SETTLING_NS
  return toNs - (toNs % MINUTE)
}

/** Everything that was logged in the range was read or is in a named gap. `history`: so was what was logged before the origin, or else nobody waits for it:
 * a backfill alone reads it. */
export function isPassed(
  { fromNs, toNs }: Interval,
  ledger: {
    readonly originNs: () => bigint | undefined
    readonly settled: () => readonly Interval[]
    readonly gaps: () => readonly Interval[]
  },
  history: 'read' | 'any',
): boolean {
  const from = history === 'read' ? fromNs : max(fromNs, ledger.originNs() ?? 0n)
  return subtract([{ fromNs: from, toNs }], [...ledger.settled(), ...ledger.gaps()]).length === 0
}

/** The minute is final: everything that is expected of it is done, or in a named gap. `hasGap`: something of it is in a gap. */
export function finality(
  minuteNs: bigint,
  settled: readonly Interval[],
  gaps: readonly Interval[],
): { readonly isFinal: boolean; readonly hasGap: boolean } {
  const needed = [{ fromNs: minuteNs, toNs: endOfSettling(minuteNs) }]
  const missing = subtract(needed, settled)
  const isFinal = missing.length === 0 || subtract(missing, gaps).length === 0
  const hasGap = gaps.some(({ fromNs, toNs }) => fromNs < needed[0]!.toNs && toNs > minuteNs)
  return { isFinal, hasGap }
}
