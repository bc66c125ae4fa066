/** What alerts tell about themselves; observe/ turns it into metrics. */
import type { NotifierKind } from './notify/config.ts'

export interface AlertsMetrics {
  /** The rules there are, at the start of a service; what was told of others is forgotten. */
  rules(names: readonly string[]): void
  /** Alerts of a rule in each state, and groups that it watches. */
  rule(name: string, state: { pending: number; firing: number; series: number; overflowed: number }): void
  /** An evaluation: how many steps of rules, how long it kept the process busy. */
  evaluated(steps: number, durationMs: number): void
  /** How far rules have been judged, s since the epoch. */
  position(seconds: number): void
  /** Minutes that were made again later than what counts. */
  ignored(minutes: number): void
  /** One attempt to tell somebody: an HTTP status, or `error`. */
  attempt(kind: NotifierKind, code: string, durationMs: number): void
  /** News that a notifier took, or could not be told for now. */
  notified(kind: NotifierKind, result: 'sent' | 'failed', count: number): void
  /** Memory of what is kept for rules. */
  kept(bytes: number): void
  stateWriteFailed(): void
}
