/** What the rollup reports about itself; observe/ turns it into metrics. */

export const ROW_SOURCES = ['memory', 'database'] as const
type RowSource = (typeof ROW_SOURCES)[number]

export const SKIP_REASONS = ['fewer_points', 'beyond_retention', 'no_queries', 'written_once'] as const
export type SkipReason = (typeof SKIP_REASONS)[number]

export interface RollupMetrics {
  /** The rows of a minute were made in this time, and `rows` of them were written. */
  made(source: RowSource, durationMs: number, rows: number): void
  /** A minute that was read again was as it had been. */
  unchanged(): void
  /** A minute was not made again. */
  skipped(reason: SkipReason): void
  /** Now: minutes that are not settled, and how long the oldest one that could be made waits, in seconds. */
  waiting(minutes: number, oldestSeconds: number): void
  /** Memory of raw points of young minutes. */
  held(bytes: number): void
  /** The series budget of the newest day: edges, and those that were summed as `other` since the start. */
  edges(day: number, refused: number): void
}
