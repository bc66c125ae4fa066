/** What the pipeline reports about itself; observe/ turns it into metrics. Labels come from closed lists only. */
import type { Code } from '../base/errors.ts'
import type { GapReason } from '../ledger/ledger.ts'

/** How a round of the poll loop ended. */
export const TICK_RESULTS = ['caught_up', 'db_down', 'api_waiting', 'state_failed', 'paused', 'stopped'] as const
export type TickResult = (typeof TICK_RESULTS)[number]

export interface PipelineMetrics {
  /** A window was acknowledged and entered in the ledger. */
  windowDone(
    pass: number,
    amounts: { messages: number; entries: number; points: number; bytes: number; durationMs: number },
  ): void
  windowFailed(code: Code): void
  /** A window was too much and will be read in smaller windows. */
  windowSplit(): void
  quarantined(reason: string, count: number): void
  /** A late pass found messages that the passes before had not seen; `ageSeconds` is the window's age. */
  late(pass: number, messages: number, ageSeconds: number): void
  /** Open gaps: number and length in all. */
  gapsOpen(count: number, seconds: number): void
  gapLost(reason: GapReason, seconds: number): void
  /** `watermarkSeconds`: since the epoch. `retentionUsed`: share of the API's retention that the lag has eaten, from 0. */
  position(watermarkSeconds: number, lagSeconds: number, retentionUsed: number): void
  tick(result: TickResult): void
  /** The code that puts a component on hold, undefined when none does. */
  hold(component: 'source' | 'sink', code: Code | undefined): void
  dbUp(up: boolean): void
  apiUp(up: boolean): void
  stateWriteFailed(): void
  stateRecovered(): void
  devicesKnown(count: number): void
  /** Batches under way to the database. */
  inFlight(count: number): void
}
