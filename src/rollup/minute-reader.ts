/** Who reads final minutes: alerts and the status page. Minutes are told after their rows were written; nothing else passes between them and the rollup. */
import type { Handle } from '../observers/observers.ts'
import type { EdgeRow, NodeRow } from './rows/row.ts'

/** A minute whose rows were made. Told again when it was made again: it then replaces what was told before. Valid only during the call. */
export interface FinalMinute {
  /** Its begin, ns. */
  readonly startNs: bigint
  /** Each edge once, before the series budget: nothing is summed under `other`. */
  eachEdge(visit: (edge: EdgeRow) => void): void
  eachNode(visit: (node: NodeRow) => void): void
  /** Some of it is in a named gap, was read before the origin, or could not be made: its sums may be too small. */
  readonly hasGap: boolean
}

export interface MinuteReader {
  minute(minute: FinalMinute): void
  /** Every minute before this one (its begin, ns) was told, or has no rows; what comes later about them is a correction. Never goes back. Told after each
   * step of the rollup, also when it is unchanged; a tailnet without traffic advances too. */
  finalTo(ns: bigint): void
}

/** A reader that is restarted when it fails: what is told while it is off it reads from the database when it starts. */
export function readerOf(handle: Handle<MinuteReader>): MinuteReader {
  return {
    minute: (minute) => void handle.use((one) => one.minute(minute)),
    finalTo: (ns) => void handle.use((one) => one.finalTo(ns)),
  }
}

/** A minute of which nothing is known. */
export function unknownMinute(startNs: bigint): FinalMinute {
  return { startNs, eachEdge: () => undefined, eachNode: () => undefined, hasGap: true }
}
