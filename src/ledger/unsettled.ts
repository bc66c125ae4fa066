/** The list of minutes, hours and days whose derived rows are not settled: raw points were read that the rows do not hold yet, or they must be made again. */

export const TIERS = ['minute', 'hour', 'day'] as const
export type Tier = (typeof TIERS)[number]

/** Why something is on the list, each with its number: every change of the list takes the next one. 0: not for this reason. */
export interface Causes {
  /** A done window held raw points of it. */
  readonly read: number
  /** Whatever was read: it must be made again from the database. */
  readonly must: number
}

export interface Unsettled extends Causes {
  /** Begin, UTC, ns. */
  readonly startNs: bigint
  /** Since when it has been on the list, local clock, ns. */
  readonly sinceNs: bigint
}

export interface Listed {
  readonly tier: Tier
  readonly startNs: bigint
}

/** Every change is one transaction of the state file, durable when it returns; throws a CollectorError (stage `ledger`). */
export interface UnsettledList {
  /** In ascending order. */
  all(tier: Tier): readonly Unsettled[]
  find(tier: Tier, startNs: bigint): Unsettled | undefined
  /** Puts these onto the list as `must`. */
  must(listed: readonly Listed[], nowNs: bigint): void
  /** Strikes off what is on the list up to these numbers, after its rows were acknowledged; what came later stays. `follow` goes onto the list as
   * `must` in the same transaction: the hour of a minute, other minutes that look back at it. */
  strikeOff(listed: Listed, upTo: Causes, follow: readonly Listed[], nowNs: bigint): void
}
