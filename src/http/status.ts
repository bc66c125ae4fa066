/** What `/api/status` and the status page tell. Times are RFC 3339 texts, counts are numbers; nothing secret belongs in here. */
import type { LiveView } from '../live/live.ts'
import type { HealthState } from '../observe/health.ts'
import type { PassView } from '../pipeline/passes.ts'
import type { BackfillStatus } from '../pipeline/status.ts'

/** What the composing file provides; `Pipeline.status()` fits. More members are told by `/api/status` as they are. */
export interface StatusView {
  readonly tailnet: string
  /** Where points go, for people. */
  readonly sink: string
  readonly watermark: string | null
  readonly horizon: string | null
  readonly origin: string | null
  readonly lagSeconds: number | null
  readonly backlogSeconds: number
  /** Until the backlog is read, at the pace of the last minute; null when nobody can tell. */
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
  /** Nothing is read until somebody lets it go on. */
  readonly paused?: boolean
  /** When the API is asked next; null while it is being asked. */
  readonly nextPoll?: string | null
  readonly passes?: readonly PassView[]
  readonly live?: LiveView
  readonly alerts?: readonly AlertView[]
  readonly backfill?: BackfillView | null
}

/** One alert that is not quite at rest. */
export interface AlertView {
  readonly name: string
  readonly state: 'pending' | 'firing' | 'resolved'
  readonly severity: string
  /** The sentence that people are told. */
  readonly text: string
  readonly value: string
  readonly threshold: string
  readonly since: string
}

/** History that somebody asked for. */
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
