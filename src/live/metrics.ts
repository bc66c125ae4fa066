/** What live/ tells about itself; observe/ turns it into metrics. */
import type { Measurement } from './series.ts'

export interface LiveMetrics {
  /** Nodes that reported within the last 15 minutes. */
  nodesReporting(count: number): void
  /** Distinct series that points were written to within the last day. */
  series(measurement: Measurement, estimate: number): void
}
