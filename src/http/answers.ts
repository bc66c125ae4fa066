/** What the routes answer, beside the status. `npm run docs` writes these types to docs/openapi.json, and tests check real answers by it. */
import type { HealthState, Status } from '../observe/health.ts'
import type { BackfillStatus, TickResult } from '../observe/line/status.ts'
import type { RowsStatus, StatusAnswer } from '../observe/status.ts'
import type { FlowsAnswer } from '../query/flows.ts'

/** `hangs`: the poll loop is stuck, and only a restart helps. */
export interface LivenessAnswer {
  readonly status: 'alive' | 'hangs'
}

export interface ReadinessAnswer {
  /** With `strict`, false also while a component has an error. */
  readonly ready: boolean
  readonly status: Status
}

/** The components only with access; without it the status alone. */
export type HealthAnswer = (HealthState & { readonly rows?: RowsStatus }) | { readonly status: Status }

/** `result` as soon as the poll has ended. */
export interface RunAnswer {
  readonly running: boolean
  readonly result?: TickResult
}

export interface DoneAnswer {
  readonly done: true
}

export interface ReloadAnswer {
  /** Names of the keys whose values are different now. */
  readonly changed: readonly string[]
}

export interface ErrorAnswer {
  /** The HTTP status code. */
  readonly status: number
  /** The problem, and how to fix it. */
  readonly error: string
}

/** All answers in JSON, by the names of their types: config/openapi.ts makes their schemas. */
export interface Answers {
  readonly LivenessAnswer: LivenessAnswer
  readonly ReadinessAnswer: ReadinessAnswer
  readonly HealthAnswer: HealthAnswer
  readonly StatusAnswer: StatusAnswer
  readonly FlowsAnswer: FlowsAnswer
  readonly RunAnswer: RunAnswer
  readonly DoneAnswer: DoneAnswer
  readonly ReloadAnswer: ReloadAnswer
  readonly BackfillStatus: BackfillStatus
  readonly ErrorAnswer: ErrorAnswer
}
