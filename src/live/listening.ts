/** Listens to what the rooms tell metrics and health, on its way, so that the live view knows how each stage is doing. */

import type { HealthReport } from '../pipeline/health.ts'
import type { PipelineMetrics } from '../pipeline/metrics.ts'
import type { SinkListener, SinkMetrics } from '../sink/sink.ts'
import type { SourceMetrics } from '../source/source.ts'
import type { Live } from './live.ts'
import type { LiveMetrics } from './metrics.ts'
import { MEASUREMENTS } from './series.ts'
import type { StageName } from './stages.ts'

export interface Told {
  readonly source: SourceMetrics
  readonly sink: SinkMetrics
  readonly pipeline: PipelineMetrics
  readonly health: HealthReport
  readonly live: LiveMetrics
}

/** Whose trouble is it? Gaps and names have their own place on the page. */
const STAGE_OF: Partial<Record<Parameters<HealthReport['set']>[0], StageName>> = { source: 'api', sink: 'write' }

/** The same, with `live` hearing all of it. */
export function listening(
  { stages, seriesEstimate, nodesReporting }: Pick<Live, 'stages' | 'seriesEstimate' | 'nodesReporting'>,
  { source, sink, pipeline, health, live }: Told,
): Omit<Told, 'live'> & { readonly sinkListener: SinkListener } {
  const { api, cut, fold, write } = stages

  return {
    source: {
      ...source,
      request(endpoint, code, durationMs) {
        source.request(endpoint, code, durationMs)
        if (endpoint !== 'logging/network') return
        api.add(1)
        api.took(durationMs)
        if (code === '200') api.succeeded()
      },
      bytes(count) {
        source.bytes(count)
        api.add(0, count)
      },
    },
    sink: {
      ...sink,
      request(code, durationMs) {
        sink.request(code, durationMs)
        write.took(durationMs)
      },
      written(lines, bytes) {
        sink.written(lines, bytes)
        write.add(lines, bytes)
        write.succeeded()
      },
      rejected(lines, reason) {
        sink.rejected(lines, reason)
        if (reason === 'rejected') write.failed(`${lines} lines that the database will never take; see dead-letters/.`)
      },
    },
    sinkListener: {
      failed: (error) => write.failed(error.message),
      succeeded: () => undefined,
    },
    pipeline: {
      ...pipeline,
      tick(result) {
        pipeline.tick(result)
        live.nodesReporting(nodesReporting())
        for (const measurement of MEASUREMENTS) live.series(measurement, seriesEstimate(measurement))
      },
      quarantined(reason, count) {
        pipeline.quarantined(reason, count)
        cut.failed(`${count} set aside (${reason}); see dead-letters/.`)
      },
    },
    health: {
      set(room, status, code, text, condition) {
        health.set(room, status, code, text, condition)
        if (status === 'ok' || text === undefined) return
        if (code === 'imbalance') return fold.failed(text)
        const name = STAGE_OF[room]
        if (name !== undefined) stages[name].failed(text)
      },
    },
  }
}
