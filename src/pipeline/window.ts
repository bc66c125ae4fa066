/** One window from plan to result. */
import type { CollectorError } from '../base/errors.ts'
import type { DoneWindow, Interval } from '../ledger/ledger.ts'

/** Why a window is read; the planner has their order. */
export type Queue = 'live' | 'probe' | 'backlog' | 'gap' | 'late' | 'backfill'

export interface PlannedWindow extends Interval {
  readonly queue: Queue
  /** 1 for the first reading, 2 and more for the late passes. */
  readonly pass: number
  /** For late passes: what the window was when it was last read. */
  readonly previous?: DoneWindow
}

/** What became of it. */
export interface WindowResult {
  /** End of what is done: before the window's end when that was too close to the API's present. Undefined: nothing is done yet. */
  readonly doneToNs: bigint | undefined
  /** The pass that it counts as. */
  readonly pass: number
  /** When it was acknowledged, by the service's own strictly increasing clock. */
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
  /** Its content was written, not merely found to be as it was. */
  readonly isWritten: boolean
  /** A limit of the database kept lines out, one error per batch. Then nothing is done; up to `doneToNs` everything that fits was stored. */
  readonly limits: readonly CollectorError[]
  /** When the first of its requests to the database was sent, ms of monotonic time; infinite when nothing was written. */
  readonly sentMs: number
  readonly durationMs: number
}
