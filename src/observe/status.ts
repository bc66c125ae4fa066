/** What `/api/status` and the status page show: the status of the pipeline, and what stands beside it. Times are RFC 3339 texts; no secrets. */
import type { AlertsStatus } from '../alerts/status.ts'
import type { Clock } from '../base/clock.ts'
import { createEta } from '../live/eta.ts'
import type { Live, LiveView } from '../live/live.ts'
import type { Handle } from '../observers/observers.ts'
import type { HealthState } from './health.ts'
import type { BackfillStatus, PipelineStatus } from './line/status.ts'

/** The status of all components together; the composition root makes it. */
export interface ServiceStatus extends Omit<PipelineStatus, 'backfill'> {
  /** Until the backlog is read, at the pace of the last minute; null when unknown. */
  readonly etaSeconds: number | null
  readonly backfill: BackfillProgress | null
  /** The service shows a simulated tailnet. */
  readonly demo: boolean
  /** Time of the next poll; null while a poll runs. */
  readonly nextPoll: string | null
  /** Absent while the observer of the status page restarts. */
  readonly live?: LiveView
  /** Both absent without alert rules. */
  readonly alerts?: AlertsStatus['alerts']
  readonly alerting?: Omit<AlertsStatus, 'alerts'>
}

/** A backfill request and its progress. */
export interface BackfillProgress extends BackfillStatus {
  /** Until it is read; null when unknown. */
  readonly etaSeconds: number | null
}

/** The answer of `/api/status`. */
export interface StatusAnswer extends ServiceStatus {
  readonly service: 'tailflux'
  readonly version: string
  /** Local clock. */
  readonly now: string
  readonly startedAt: string
  /** By monotonic time: the two texts above may lie on two sides of a jump of the clock. */
  readonly uptimeSeconds: number
  readonly health: HealthState
}

/** Puts the status together, each time that it is asked for. */
export function createStatus(deps: {
  readonly pipeline: { status(): PipelineStatus }
  readonly schedule: { next(): string | null }
  readonly page: Handle<Live>
  readonly alerts: Handle<{ status(): AlertsStatus }> | undefined
  readonly isDemo: boolean
  readonly clock: Pick<Clock, 'monotonicMs'>
}): () => ServiceStatus {
  const backlogEta = createEta(deps.clock.monotonicMs)
  const backfillEta = createEta(deps.clock.monotonicMs)

  return () => {
    const position = deps.pipeline.status()
    const { backfill } = position
    const live = deps.page.use((one) => one.view())
    const alerting = deps.alerts?.use((one) => one.status())
    return {
      ...position,
      etaSeconds: backlogEta.of(position.backlogSeconds),
      backfill: backfill && { ...backfill, etaSeconds: backfillEta.of(backfill.missingSeconds) },
      demo: deps.isDemo,
      nextPoll: deps.schedule.next(),
      ...(live ? { live } : {}),
      ...(alerting ? alertsView(alerting) : {}),
    }
  }
}

/** Alerts, and how alerting itself works. */
function alertsView({ alerts, ...alerting }: AlertsStatus) {
  return { alerts, alerting }
}
