/** Which minutes are known completely: read without a gap, and their rows told. Of a minute that was never told the ledger says whether it is quiet or was
 * not read. */
import { MINUTE, SECOND } from '../../base/clock.ts'
import { intersects, merge, subtract } from '../../ledger/intervals.ts'
import type { Interval, Ledger } from '../../ledger/ledger.ts'
import type { UnsettledList } from '../../ledger/unsettled.ts'

/** What is logged up to this long after a minute belongs to it. */
const SETTLING_NS = 30n * SECOND

export function createCompleteness(ledger: {
  readonly settled: Ledger['settled']
  readonly gaps: Ledger['gaps']
  readonly unsettled: Pick<UnsettledList, 'find' | 'all'>
}) {
  let incomplete: Interval[] = []
  /** What was told of these did not count: they stay incomplete. */
  let ignored: Interval[] = []
  let sinceNs: bigint | undefined
  let knownToNs = 0n

  /** Whole minutes of a range, of which something was not read. */
  function unread(fromNs: bigint, toNs: bigint): Interval[] {
    if (fromNs >= toNs) return []
    const read = subtract(ledger.settled(), ledger.gaps())
    const missing = subtract([{ fromNs, toNs: toNs + SETTLING_NS }], read)
    return subtract(
      missing.map((one) => {
        const first = one.fromNs - SETTLING_NS
        const begin = first - (first % MINUTE)
        return { fromNs: begin, toNs: one.toNs + ((MINUTE - (one.toNs % MINUTE)) % MINUTE) }
      }),
      [
        { fromNs: 0n, toNs: fromNs },
        { fromNs: toNs, toNs: toNs + 2n * MINUTE },
      ],
    )
  }

  return {
    /** Rows of everything from here to `toNs` are there. From `judgedNs` on nothing was told before: `hasRows` says which of the minutes that are still to be
     * made have rows nevertheless. */
    begin(fromNs: bigint, toNs: bigint, judgedNs: bigint, hasRows: (startNs: bigint) => boolean): void {
      sinceNs = fromNs
      knownToNs = toNs
      const unmade = ledger.unsettled
        .all('minute')
        .filter(({ startNs }) => startNs >= judgedNs && startNs < toNs && !hasRows(startNs))
        .map(({ startNs }) => ({ fromNs: startNs, toNs: startNs + MINUTE }))
      incomplete = merge([...unread(fromNs, toNs), ...unmade])
    },
    /** Every minute before this one was told, or has no rows. */
    advance(toNs: bigint): void {
      if (toNs <= knownToNs) return
      incomplete = merge([...incomplete, ...unread(knownToNs, toNs)])
      knownToNs = toNs
    },
    /** A minute was told. True when it is complete now, and was not. */
    told(startNs: bigint, hasGap: boolean): boolean {
      const minute = { fromNs: startNs, toNs: startNs + MINUTE }
      const was = incomplete.some((one) => intersects(one, minute))
      if (hasGap) incomplete = merge([...incomplete, minute])
      else if (was) incomplete = subtract(incomplete, [minute])
      return was && !hasGap
    },
    /** A minute was told so late that it does not count: what it lacks now it will lack. */
    ignored(startNs: bigint): void {
      const minute = { fromNs: startNs, toNs: startNs + MINUTE }
      if (incomplete.some((one) => intersects(one, minute))) ignored = merge([...ignored, minute])
    },
    /** Looks again at what was not read. Returns the begin of what is complete now; undefined when nothing is. */
    recheck(): bigint | undefined {
      if (incomplete.length === 0) return undefined
      const filled = subtract(incomplete, ignored).flatMap((one) => subtract([one], unread(one.fromNs, one.toNs)))
      let firstNs: bigint | undefined
      for (const { fromNs, toNs } of filled) {
        for (let startNs = fromNs; startNs < toNs; startNs += MINUTE) {
          // Its rows are yet to be made.
          if (ledger.unsettled.find('minute', startNs) !== undefined) continue
          incomplete = subtract(incomplete, [{ fromNs: startNs, toNs: startNs + MINUTE }])
          if (firstNs === undefined || startNs < firstNs) firstNs = startNs
        }
      }
      return firstNs
    },
    isComplete(fromNs: bigint, toNs: bigint): boolean {
      if (sinceNs === undefined || fromNs < sinceNs) return false
      return !incomplete.some((one) => intersects(one, { fromNs, toNs }))
    },
    /** How much of a range was not read, ns. */
    unreadNs: (fromNs: bigint, toNs: bigint): bigint =>
      subtract([{ fromNs, toNs }], subtract(ledger.settled(), ledger.gaps())).reduce(
        (sum, one) => sum + one.toNs - one.fromNs,
        0n,
      ),
  }
}

export type Completeness = ReturnType<typeof createCompleteness>
