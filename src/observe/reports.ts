/** What the components report goes to metrics and health, and from here also to the live view, which shows how each stage is doing. A failure here
 * fails the live view and nothing else. */
import type { Live } from '../live/live.ts'
import type { StageName } from '../live/stages.ts'
import type { Handle, Observers } from '../observers/observers.ts'
import type { SinkListener } from '../sink/sink.ts'
import type { HealthReport } from './health.ts'
import type { Metrics } from './metrics.ts'

/** What each component reports to. None of it can fail the component. */
export interface Reports extends Pick<Metrics, 'source' | 'sink' | 'pipeline' | 'alerts' | 'rollup'> {
  readonly health: HealthReport
  readonly sinkListener: SinkListener
}

/** Whose problem is it? Gaps and names have their own place on the page. */
const STAGE_OF: Partial<Record<Parameters<HealthReport['set']>[0], StageName>> = { source: 'api', sink: 'write' }

/** Messages on which our own code failed while points or lines were made of them. */
const FOLD_CODES = new Set(['imbalance', 'flatten_failed', 'encode_failed'])

/** Reports go to metrics and health, and to the live view while there is one. */
export function createReports(deps: {
  readonly metrics: Pick<Metrics, 'source' | 'sink' | 'pipeline' | 'alerts' | 'rollup' | 'live'>
  readonly health: HealthReport
  readonly observers: Pick<Observers, 'guard'>
  readonly page: Handle<Pick<Live, 'stages' | 'seriesEstimate' | 'nodesReporting'>>
}): Reports {
  const { health, page } = deps
  const counted = <K extends keyof typeof deps.metrics>(name: K) =>
    deps.observers.guard('metrics', name, deps.metrics[name])
  const [source, sink, pipeline, live] = [counted('source'), counted('sink'), counted('pipeline'), counted('live')]

  return {
    source: {
      ...source,
      request(endpoint, code, durationMs) {
        source.request(endpoint, code, durationMs)
        if (endpoint !== 'logging/network') return
        page.use(({ stages: { api } }) => {
          api.add(1)
          api.took(durationMs)
          if (code === '200') api.succeeded()
        })
      },
      bytes(count) {
        source.bytes(count)
        page.use(({ stages }) => stages.api.add(0, count))
      },
    },
    sink: {
      ...sink,
      request(code, durationMs) {
        sink.request(code, durationMs)
        page.use(({ stages }) => stages.write.took(durationMs))
      },
      written(lines, bytes) {
        sink.written(lines, bytes)
        page.use(({ stages: { write } }) => {
          write.add(lines, bytes)
          write.succeeded()
        })
      },
      rejected(lines, reason) {
        sink.rejected(lines, reason)
        if (reason !== 'rejected') return
        const text = `${lines} lines that the database will never take; see dead-letters/.`
        page.use(({ stages }) => stages.write.failed(text))
      },
    },
    alerts: counted('alerts'),
    rollup: counted('rollup'),
    sinkListener: {
      failed: (error) => void page.use(({ stages }) => stages.write.failed(error.message)),
      succeeded: () => undefined,
    },
    pipeline: {
      ...pipeline,
      tick(result) {
        pipeline.tick(result)
        page.use(({ nodesReporting, seriesEstimate }) => {
          live.nodesReporting(nodesReporting())
          live.series(seriesEstimate())
        })
      },
      quarantined(reason, count) {
        pipeline.quarantined(reason, count)
        page.use(({ stages }) => stages.parse.failed(`${count} quarantined (${reason}); see dead-letters/.`))
      },
    },
    health: {
      set(component, status, code, text, condition) {
        health.set(component, status, code, text, condition)
        if (status === 'ok' || text === undefined) return
        const name = code !== undefined && FOLD_CODES.has(code) ? 'aggregate' : STAGE_OF[component]
        if (name !== undefined) page.use(({ stages }) => stages[name].failed(text))
      },
    },
  }
}
