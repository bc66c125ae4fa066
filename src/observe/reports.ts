/** What the components report goes to metrics and health, and from here also to the stages of the status page. A failure here is one of the page or of
 * the metrics, and nothing else fails. */
import type { Observers } from '../observers/observers.ts'
import type { SinkListener } from '../sink/sink.ts'
import type { HealthReport } from './health.ts'
import type { Metrics } from './metrics.ts'
import type { StageName, Stages } from './stages.ts'

/** What each component reports to. None of it can fail the component. */
export interface Reports extends Pick<Metrics, 'source' | 'sink' | 'pipeline' | 'alerts' | 'rollup'> {
  readonly health: HealthReport
  readonly sinkListener: SinkListener
}

/** Whose problem is it? Gaps and names have their own place on the page. */
const STAGE_OF: Partial<Record<Parameters<HealthReport['set']>[0], StageName>> = { source: 'api', sink: 'write' }

/** Messages on which our own code failed while points or lines were made of them. */
const FOLD_CODES = new Set(['imbalance', 'flatten_failed', 'encode_failed'])

/** Reports go to metrics and health, and to the stages. `measured`: what else is counted, after each poll; undefined while it is off. */
export function createReports(deps: {
  readonly metrics: Pick<Metrics, 'source' | 'sink' | 'pipeline' | 'alerts' | 'rollup' | 'page'>
  readonly health: HealthReport
  readonly observers: Pick<Observers, 'guard'>
  readonly stages: Pick<Stages, 'reports'>
  readonly measured: () => { readonly nodesReporting: number | null | undefined; readonly series: number | undefined }
}): Reports {
  const { health } = deps
  const counted = <K extends keyof typeof deps.metrics>(name: K) =>
    deps.observers.guard('metrics', name, deps.metrics[name])
  const [source, sink, pipeline, page] = [counted('source'), counted('sink'), counted('pipeline'), counted('page')]
  const stages = deps.observers.guard('page', 'stages', deps.stages.reports)

  return {
    source: {
      ...source,
      request(endpoint, code, durationMs) {
        source.request(endpoint, code, durationMs)
        if (endpoint === 'logging/network') stages.apiAnswered(code, durationMs)
      },
      bytes(count) {
        source.bytes(count)
        stages.apiBytes(count)
      },
    },
    sink: {
      ...sink,
      request(code, durationMs) {
        sink.request(code, durationMs)
        stages.databaseAnswered(durationMs)
      },
      written(lines, bytes) {
        sink.written(lines, bytes)
        stages.written(lines, bytes)
      },
      retried(code, waitMs) {
        sink.retried(code, waitMs)
        stages.retried(waitMs)
      },
      rejected(lines, reason) {
        sink.rejected(lines, reason)
        if (reason !== 'rejected') return
        stages.failed('write', `${lines} lines that the database will never take; see dead-letters/.`)
      },
    },
    alerts: counted('alerts'),
    rollup: counted('rollup'),
    sinkListener: {
      failed: (error) => stages.failed('write', error.message),
      succeeded: () => undefined,
    },
    pipeline: {
      ...pipeline,
      windowDone(pass, amounts) {
        pipeline.windowDone(pass, amounts)
        stages.windowDone(amounts)
      },
      tick(result) {
        pipeline.tick(result)
        const { nodesReporting, series } = deps.measured()
        if (typeof nodesReporting === 'number') page.nodesReporting(nodesReporting)
        if (series !== undefined) page.series(series)
      },
      quarantined(reason, count) {
        pipeline.quarantined(reason, count)
        stages.failed('parse', `${count} quarantined (${reason}); see dead-letters/.`)
      },
    },
    health: {
      set(component, status, code, text, condition) {
        health.set(component, status, code, text, condition)
        if (status === 'ok' || text === undefined) return
        const name = code !== undefined && FOLD_CODES.has(code) ? 'aggregate' : STAGE_OF[component]
        if (name !== undefined) stages.failed(name, text)
      },
    },
  }
}
