/** What `/api/status` and the status page show: the status of the pipeline, and what stands beside it. Times are RFC 3339 texts; no secrets. */
import type { AlertsStatus } from '../alerts/status.ts'
import type { LiveView } from '../live/live.ts'
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
