/** Device names, asked for now and then. They are a comfort: clients from 1.92 on tell them in the message, so reading goes on without. */
import type { Logger } from 'pino'
import type { Clock } from '../clock.ts'
import { CollectorError } from '../errors.ts'
import type { Names } from '../names/names.ts'
import type { Source } from '../source/source.ts'
import type { HealthReport } from './health.ts'
import type { PipelineMetrics } from './metrics.ts'
import type { Waits } from './waits.ts'

/** After a failure it is tried again so soon. */
const RETRY_MS = 60_000

/** Returns what asks when it is due. That rejects only with the signal's reason, or on a programmer's error. */
export function createDeviceNames(
  options: { readonly devicesIntervalMs: number },
  deps: {
    readonly source: Pick<Source, 'devices'>
    readonly names: Pick<Names, 'observe' | 'count'>
    /** From when on a name counts that was heard now, ns. */
    readonly countsFromNs: () => bigint
    readonly waits: Pick<Waits, 'guardState'>
    readonly metrics: Pick<PipelineMetrics, 'devicesKnown'>
    readonly health: HealthReport
    readonly clock: Pick<Clock, 'monotonicMs'>
    readonly log: Logger
  },
): (signal: AbortSignal) => Promise<void> {
  const { clock, names, health } = deps
  let dueMs = 0

  return async function refreshDevices(signal) {
    if (clock.monotonicMs() < dueMs) return
    dueMs = clock.monotonicMs() + options.devicesIntervalMs
    try {
      const devices = await deps.source.devices(signal)
      if (deps.waits.guardState(() => names.observe(devices, deps.countsFromNs()))) health.set('names', 'ok')
      deps.metrics.devicesKnown(names.count())
    } catch (error) {
      signal.throwIfAborted()
      if (!(error instanceof CollectorError)) throw error
      health.set('names', 'warning', error.code, error.message)
      deps.log.warn({ code: error.code, err: error }, 'device names cannot be read')
      dueMs = clock.monotonicMs() + Math.min(options.devicesIntervalMs, RETRY_MS)
    }
  }
}
