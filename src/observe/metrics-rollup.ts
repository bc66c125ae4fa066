/** Metrics of derived rows. */
import { ROW_SOURCES, type RollupMetrics, SKIP_REASONS } from '../rollup/metrics.ts'
import type { Make } from './metrics-alerts.ts'

const SECONDS = [0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30]

export function rollupMetrics({ counter, gauge, unknownGauge, histogram }: Make): RollupMetrics {
  const made = counter('rollup_made_total', 'Minutes whose derived rows were made, by where their points came from.', {
    source: ROW_SOURCES,
  })
  const rows = counter('rollup_rows_total', 'Rows of tailnet_edge and tailnet_node by minute that were written.', {
    source: ROW_SOURCES,
  })
  const duration = histogram('rollup_minute_duration_seconds', 'Making and writing one minute.', SECONDS, ['source'])
  const unchanged = counter('rollup_unchanged_total', 'Minutes that were read again and were as before.')
  const skipped = counter('rollup_skipped_total', 'Minutes that were not made again; their rows stay.', {
    reason: SKIP_REASONS,
  })
  const waiting = unknownGauge('rollup_waiting', 'Minutes whose rows are not settled.')
  const oldest = gauge('rollup_oldest_waiting_seconds', 'How long the oldest minute waits to be made again.')
  const held = gauge('rollup_memory_bytes', 'Memory for the points of young minutes.')
  const edges = gauge('rollup_edges_of_day', 'Edges of the newest day, as the series budget counts them.')
  const refused = gauge('rollup_edges_refused', 'Edges of the newest day that were summed as other.')
  return {
    made(source, durationMs, count) {
      made.inc({ source })
      rows.inc({ source }, count)
      duration.observe({ source }, durationMs / 1000)
    },
    unchanged: () => unchanged.inc(),
    skipped: (reason) => skipped.inc({ reason }),
    waiting(minutes, oldestSeconds) {
      waiting.set(minutes)
      oldest.set(oldestSeconds)
    },
    held: (bytes) => held.set(bytes),
    edges(day, folded) {
      edges.set(day)
      refused.set(folded)
    },
  }
}
