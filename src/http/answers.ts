/** What the routes answer, beside the status. `npm run docs` makes answers.json of these types, by which routes describe themselves and tests check
 * real answers. */
import type { HealthState, Status } from '../observe/health.ts'
import type { BackfillStatus, TickResult } from '../observe/line/status.ts'
import type { StatusAnswer } from '../observe/status.ts'

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
export type HealthAnswer = HealthState | { readonly status: Status }

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

/** All answers in JSON: config/answers.ts begins here.
 * @public */
export interface Answers {
  readonly liveness: LivenessAnswer
  readonly readiness: ReadinessAnswer
  readonly health: HealthAnswer
  readonly status: StatusAnswer
  readonly run: RunAnswer
  readonly done: DoneAnswer
  readonly reload: ReloadAnswer
  readonly backfill: BackfillStatus
  readonly error: ErrorAnswer
}
