/** One window from plan to result. */
import type { CollectorError } from '../base/errors.ts'
import type { DoneWindow, Interval } from '../ledger/ledger.ts'

/** Why a window is read; for their order see planner.ts. */
export type Queue = 'live' | 'probe' | 'backlog' | 'gap' | 'late' | 'backfill'

export interface PlannedWindow extends Interval {
  readonly queue: Queue
  /** 1 for the first reading, 2 and more for the late passes. */
  readonly pass: number
  /** For late passes: what the ledger has of the window from the last reading. */
  readonly previous?: DoneWindow
}

/** The result of a window. */
export interface WindowResult {
  /** End of what is done: before the window's end when that was too close to the API's clock. Undefined: nothing is done yet. */
  readonly doneToNs: bigint | undefined
  /** The pass that it counts as. */
  readonly pass: number
  /** When it was acknowledged, by the service's own clock, which always increases. */
  readonly ackedNs: bigint
  readonly serverNs: bigint | undefined
  readonly bytes: number
  readonly messages: number
  readonly entries: number
  readonly points: number
  readonly quarantined: number
  readonly written: number
  readonly rejected: number
  readonly expired: number
  /** Late passes: the answer differed from the last time. */
  readonly changed: boolean
  /** Its content was written; false when a late pass found it unchanged. */
  readonly isWritten: boolean
  /** Lines were refused because of a limit of the database, one error per batch. Then nothing is done; up to `doneToNs` all other lines were
   * stored. */
  readonly limits: readonly CollectorError[]
  /** When the first of its requests to the database was sent, ms of monotonic time; infinite when nothing was written. */
  readonly sentMs: number
  readonly durationMs: number
}
