/** Which time this component has seen, and how far it may judge. All times are `logged` time, as in the ledger.
 *
 * Seen is what the observer was told as done. It is nearly what the ledger calls done, but not quite: alerts may have been off for a while, and a
 * crash may lie between the ledger's receipt and our own. What the ledger has and we have not is unread for us. */
import { intersects, merge, subtract } from '../ledger/intervals.ts'
import type { Interval, Ledger } from '../ledger/ledger.ts'

export interface Coverage {
  /** The begin of everything: what lies before was never seen. */
  readonly sinceNs: bigint | undefined
  begin(sinceNs: bigint): void
  /** False when all of it was seen before. */
  add(interval: Interval): boolean
  /** How far everything is settled: read, lost, or a gap that nobody can read for now. Windows in flight are not. Undefined before `begin`. */
  watermarkNs(inFlight: readonly Interval[]): bigint | undefined
  /** How much of [fromNs, toNs] was never seen, ns. */
  unreadNs(fromNs: bigint, toNs: bigint): bigint
  /** What the ledger has as done in [fromNs, toNs] and was never seen. */
  missed(fromNs: bigint, toNs: bigint): readonly Interval[]
  forgetBefore(ns: bigint): void
  readonly seen: readonly Interval[]
  restore(seen: readonly Interval[], sinceNs: bigint | undefined): void
}

export function createCoverage(ledger: Pick<Ledger, 'settled' | 'gaps'>): Coverage {
  let seen: Interval[] = []
  let since: bigint | undefined

  function unread(fromNs: bigint, toNs: bigint): Interval[] {
    return fromNs < toNs ? subtract([{ fromNs, toNs }], seen) : []
  }

  return {
    get sinceNs() {
      return since
    },
    begin(sinceNs) {
      since ??= sinceNs
    },
    add(interval) {
      if (unread(interval.fromNs, interval.toNs).length === 0) return false
      // Almost always the newest window touches the newest interval.
      const last = seen.at(-1)
      if (last && interval.fromNs >= last.fromNs && interval.fromNs <= last.toNs) {
        if (interval.toNs > last.toNs) seen[seen.length - 1] = { fromNs: last.fromNs, toNs: interval.toNs }
      } else seen = merge([...seen, { fromNs: interval.fromNs, toNs: interval.toNs }])
      return true
    },
    watermarkNs(inFlight) {
      if (since === undefined) return undefined
      const fromNs = since
      const open = ledger.gaps().filter((gap) => gap.state === 'open')
      // A window in flight may be in the ledger already while we have not heard of it. What was seen before does not wait for a re-read.
      const unheard = subtract(
        inFlight.filter((one) => one.fromNs < one.toNs),
        seen,
      )
      const passable = subtract(merge([...ledger.settled(), ...open]), unheard)
      return passable.find((one) => one.fromNs <= fromNs && fromNs <= one.toNs)?.toNs ?? fromNs
    },
    unreadNs: (fromNs, toNs) => unread(fromNs, toNs).reduce((sum, one) => sum + one.toNs - one.fromNs, 0n),
    missed(fromNs, toNs) {
      const lost = ledger.gaps().filter((gap) => gap.state === 'lost')
      const done = subtract(ledger.settled(), lost)
      return unread(fromNs, toNs).flatMap((piece) =>
        done
          .filter((one) => intersects(one, piece))
          .map((one) => ({
            fromNs: one.fromNs > piece.fromNs ? one.fromNs : piece.fromNs,
            toNs: one.toNs < piece.toNs ? one.toNs : piece.toNs,
          })),
      )
    },
    forgetBefore(ns) {
      seen = seen.filter((one) => one.toNs >= ns)
    },
    get seen() {
      return seen
    },
    restore(intervals, sinceNs) {
      seen = merge(intervals)
      since = sinceNs
    },
  }
}
