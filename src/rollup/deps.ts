/** What the parts of the rollup share. */
import type { Logger } from 'pino'
import type { Clock } from '../base/clock.ts'
import type { Directory } from '../directory/directory.ts'
import type { Interval } from '../ledger/ledger.ts'
import type { UnsettledList } from '../ledger/unsettled.ts'
import type { BudgetLimits } from './make/budget.ts'
import type { RollupMetrics } from './metrics.ts'
import type { RowStore } from './rows/row-store.ts'
import type { RowWriter } from './rows/row-writer.ts'

export interface RollupOptions {
  /** The tag `tailnet` of what lies in this minute (its begin, ns). */
  readonly tailnetAt: (minuteNs: bigint) => string
  /** How long minutes are kept, ms; undefined: as long as the database keeps them. */
  readonly minutesKeptMs: number | undefined
  /** The same for hours and days. */
  readonly restKeptMs: number | undefined
}

export interface PartDeps {
  readonly store: RowStore
  /** False: the database has no queries. */
  readonly canQuery: () => boolean
  /** A row that stands is not replaced by a different one, so each is written once, when late points have come. The same database keeps no texts. */
  readonly isOnce: () => boolean
  readonly writer: RowWriter
  readonly unsettled: UnsettledList
  /** Done and lost ranges of `logged` time, ascending. */
  readonly settled: () => readonly Interval[]
  /** Open and lost ones. */
  readonly gaps: () => readonly Interval[]
  /** Our name in the database. */
  readonly writerId: string
  readonly directory: Pick<Directory, 'load' | 'refresh' | 'connected'>
  readonly limitsAt: (minuteNs: bigint) => BudgetLimits
  readonly metrics: RollupMetrics
  readonly clock: Clock
  readonly log: Logger
  /** Ends whatever is in progress. */
  readonly signal: AbortSignal
}
