/** What `/api/status` and the status page tell. Times are RFC 3339 texts, counts are numbers; nothing secret belongs in here. */
import type { HealthState } from '../observe/health.ts'

/** What the composing file provides; `Pipeline.status()` fits. More members are told by `/api/status` as they are. */
export interface StatusView {
  readonly tailnet: string
  /** Where points go, for people. */
  readonly sink: string
  readonly watermark: string | null
  readonly edge: string | null
  readonly origin: string | null
  readonly lagSeconds: number | null
  readonly backlogSeconds: number
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
}

/** The answer of `/api/status`. */
export interface StatusAnswer extends StatusView {
  readonly service: 'tailflux'
  readonly version: string
  /** Local clock. */
  readonly now: string
  readonly startedAt: string
  readonly health: HealthState
}
