/** The ledger: which windows are done. It stores facts, not a position. A fact can be removed, and then the window is read again; it is never made up.
 * All times are `logged` time in ns; intervals are closed, and two that share an end are contiguous. */

import type { UnsettledList } from './unsettled.ts'

export interface Interval {
  readonly fromNs: bigint
  readonly toNs: bigint
}

/** What a window was when it was last acknowledged. `digest` does not depend on order, nor on re-delivered copies. */
export interface DoneRecord {
  /** Which pass the last reading stood for: 1 before any late pass is due, 2 and more from the age of the late passes on, even when it was
   * the first reading; 0: outside the passes (backfill). */
  readonly pass: number
  readonly digest: string
  readonly messages: number
  readonly entries: number
  readonly points: number
  /** When its content was acknowledged: local clock, but strictly increasing from window to window, ns. A late pass that finds nothing new
   * writes nothing, so it leaves this as it was. */
  readonly atNs: bigint
}
export interface DoneWindow extends Interval, DoneRecord {}

export const GAP_REASONS = [
  'timeout',
  'gateway',
  'truncated',
  'too_large',
  'not_json',
  'crash',
  'unavailable',
  'imbalance',
  'db_limit',
  'beyond_retention',
] as const
export type GapReason = (typeof GAP_REASONS)[number]

/** A window that could not be read, or, with `db_limit`, not be written as a whole. `open`: tried again at `nextNs`. `lost`: beyond the retention of
 * the API; kept permanently. */
export interface Gap extends Interval {
  readonly reason: GapReason
  readonly state: 'open' | 'lost'
  readonly attempts: number
  /** Local clock, ns. */
  readonly sinceNs: bigint
  /** When to try again; local clock, ns. */
  readonly nextNs: bigint
}

/** A window that is being read, identified by this object: two may begin at the same time, or be of the same range. */
export interface Attempt extends Interval {}

/** Every call is one SQLite transaction, durable when it returns; throws a CollectorError (stage `ledger`). */
export interface Ledger {
  /** Names this ledger in the database (tag `writer` of `tailflux_window`): random, made with the state file. */
  readonly writer: string
  /** Whose derived rows are not settled. */
  readonly unsettled: UnsettledList
  /** Where reading began; undefined on a first installation. */
  originNs(): bigint | undefined
  /** What expires unread from here on is a loss. Before it lies history from before the first start, which is read as far as the API still has
   * it. Undefined: from the origin on. */
  promisedNs(): bigint | undefined
  /** Sets or moves the origin (an earlier origin requests more history). `promisedNs` stays as it is when it is not given. */
  setOrigin(ns: bigint, promisedNs?: bigint): void
  /** The origin is a guess, corrected when the database can be queried: an earlier ledger may have ended before it. */
  isOriginGuessed(): boolean
  setOriginGuessed(isGuessed: boolean): void
  /** What was logged up to here was written by version 0.1.0. Its points have other tags, so they stay as they are: read again, they would be there twice.
   * Undefined without any. */
  oldPointsToNs(): bigint | undefined
  /** The operator deleted the points of version 0.1.0: what they held may be read again. */
  forgetOldPoints(): void
  /** Done or lost intervals, which need no reading in pass 1; merged, ascending. */
  settled(): readonly Interval[]
  /** End of the first contiguous settled interval from the origin; the origin when nothing is settled; undefined without origin. */
  watermarkNs(): bigint | undefined
  /** Parts of [fromNs, toNs] that are not settled, ascending. */
  missing(fromNs: bigint, toNs: bigint): readonly Interval[]
  /** The receipt of a window. Also closes open gaps, and forgets the crashed attempts that it covers; keeps the record for late passes.
   * `attempt`, if given, ends in the same transaction, which saves one wait for the disk per window. `minutes`: the begins of all
   * minutes of `start` of which the window held points; their rows are not settled now. */
  done(window: Interval, record: DoneRecord, attempt?: Attempt, minutes?: readonly bigint[]): void
  /** Forgets that a range is done (recovery, or a database restored from a backup). Lost gaps stay. */
  forget(range: Interval): void
  /** Written before the request, so that after a crash during the window the next process finds it. */
  beginAttempt(window: Interval): Attempt
  /** The attempt ended in this process, done or failed. Idempotent. */
  endAttempt(attempt: Attempt): void
  /** Attempts that an earlier process began and never ended, not yet covered by done windows: read these in smaller windows. */
  crashed(): readonly Interval[]
  gaps(): readonly Gap[]
  /** Opens a gap, or counts another failed attempt of an open one (same interval). */
  openGap(interval: Interval, reason: GapReason, nowNs: bigint, nextNs: bigint): void
  /** Opens a gap that grows together with the open ones of the same reason that it touches, so that a day of windows that fail one after
   * another stays a few rows. `nextNs` counts for all open gaps of this reason. */
  growGap(interval: Interval, reason: GapReason, nowNs: bigint, nextNs: bigint): void
  /** Records as lost what is not done inside the interval; it counts as settled from now on. */
  loseGap(interval: Interval, reason: GapReason, nowNs: bigint): void
  /** Done windows whose last pass is below `pass` and that ended at or before `endedBeforeNs`, oldest first. */
  duePasses(pass: number, endedBeforeNs: bigint, limit: number): readonly DoneWindow[]
  /** Merges away records of windows that ended before `endedBeforeNs` (no pass is due for them any more) and were acknowledged before
   * `ackedBeforeNs` (until then it is compared with what the database holds). */
  compact(endedBeforeNs: bigint, ackedBeforeNs: bigint): void
  /** The newest done windows, newest first. */
  recent(limit: number): readonly DoneWindow[]
}
