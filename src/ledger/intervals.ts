/** Arithmetic of closed intervals over `logged` time. Two intervals that share an end are contiguous: windows share their
 * boundaries, and the API includes both boundaries, so nothing is between them. Lists are ascending and disjoint unless stated otherwise. */
import { compare } from '../base/order.ts'
import type { Interval } from './ledger.ts'

/** The union of intervals in any order, overlapping or touching ones joined. */
export function merge(intervals: readonly Interval[]): Interval[] {
  const sorted = intervals.toSorted(byStart)
  const merged: { fromNs: bigint; toNs: bigint }[] = []
  for (const { fromNs, toNs } of sorted) {
    const last = merged.at(-1)
    if (last === undefined || fromNs > last.toNs) merged.push({ fromNs, toNs })
    else if (toNs > last.toNs) last.toNs = toNs
  }
  return merged
}

export function byStart(one: Interval, other: Interval): number {
  return compare(one.fromNs, other.fromNs)
}

/** `intervals` without `holes` (holes in any order). The results share their boundaries with the holes; results of length zero are left out. */
export function subtract(intervals: readonly Interval[], holes: readonly Interval[]): Interval[] {
  const gone = merge(holes)
  const left: Interval[] = []
  for (const { fromNs, toNs } of intervals) {
    let startNs = fromNs
    for (const hole of gone) {
      if (hole.toNs <= startNs) continue
      if (hole.fromNs >= toNs) break
      if (hole.fromNs > startNs) left.push({ fromNs: startNs, toNs: hole.fromNs })
      startNs = hole.toNs
    }
    if (startNs < toNs) left.push({ fromNs: startNs, toNs })
  }
  return left
}

/** True when the two share more than an end, or when one is a point that lies in the other. */
export function intersects(one: Interval, other: Interval): boolean {
  if (one.fromNs === one.toNs || other.fromNs === other.toNs)
    return one.fromNs <= other.toNs && other.fromNs <= one.toNs
  return one.fromNs < other.toNs && other.fromNs < one.toNs
}
