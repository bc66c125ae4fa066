/** What live/ tells about itself; observe/ turns it into metrics. */

export interface LiveMetrics {
  /** Nodes that reported within the last 15 minutes. */
  nodesReporting(count: number): void
  /** Distinct series of `tailnet_flow` that points were written to within the last day. */
  series(estimate: number): void
}
