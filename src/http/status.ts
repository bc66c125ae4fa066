/** What `/api/status` and the status page show. Times are RFC 3339 strings, counts are numbers; no secrets. */
import type { LiveView } from '../live/live.ts'
import type { HealthState } from '../observe/health.ts'
import type { PassView } from '../pipeline/passes.ts'
import type { BackfillStatus } from '../pipeline/status.ts'

/** What the composing file provides; `Pipeline.status()` fits. Additional members appear in `/api/status` unchanged. */
export interface StatusView {
  readonly tailnet: string
  /** Where points go, for people. */
  readonly sink: string
  readonly watermark: string | null
  readonly horizon: string | null
  readonly origin: string | null
  readonly lagSeconds: number | null
  readonly backlogSeconds: number
  /** Until the backlog is read, at the pace of the last minute; null when unknown. */
  readonly etaSeconds?: number | null
  readonly inFlight: number
  /** Per second. */
  readonly rates: {
    readonly messages: number
    readonly entries: number
    readonly points: number
    readonly bytes: number
  }
  /** Since the start of the process. */
  readonly totals: {
    readonly windows: number
    readonly messages: number
    readonly entries: number
    readonly points: number
    readonly bytes: number
    readonly quarantined: number
    readonly rejected: number
    readonly expired: number
    readonly late: number
  }
  readonly gaps: readonly {
    readonly from: string
    readonly to: string
    readonly reason: string
    readonly state: string
    readonly attempts: number
    readonly next: string | null
  }[]
  readonly lastWindow: {
    readonly from: string
    readonly to: string
    readonly points: number
    readonly durationMs: number
  } | null
  readonly devicesKnown: number
  readonly clockSkewSeconds: number | null
  /** The service shows a simulated tailnet. */
  readonly demo?: boolean
  /** Paused until `tailflux resume`. */
  readonly paused?: boolean
  /** Time of the next poll; null while a poll runs. */
  readonly nextPoll?: string | null
  readonly passes?: readonly PassView[]
  readonly live?: LiveView
  readonly alerts?: readonly AlertView[]
  readonly backfill?: BackfillView | null
}

/** One alert that is pending, firing or just resolved. */
export interface AlertView {
  readonly name: string
  readonly state: 'pending' | 'firing' | 'resolved'
  readonly severity: string
  /** The sentence in the notification. */
  readonly text: string
  readonly value: string
  readonly threshold: string
  readonly since: string
}

/** A backfill request and its progress. */
export interface BackfillView extends BackfillStatus {
  readonly etaSeconds: number | null
}

/** The answer of `/api/status`. */
export interface StatusAnswer extends StatusView {
  readonly service: 'tailflux'
  readonly version: string
  /** Local clock. */
  readonly now: string
  readonly startedAt: string
  /** By monotonic time: the two texts above may lie on two sides of a jump of the clock. */
  readonly uptimeSeconds: number
  readonly health: HealthState
}
