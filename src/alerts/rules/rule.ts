/** An alert rule as the rest of the component sees it: everything decided, nothing optional. `rule-schema.ts` makes it from the settings. */
import { DAY, HOUR, MINUTE, MS } from '../../base/clock.ts'
import type { Form } from '../forms/form.ts'
import type { Scope, Source } from './scope.ts'

export const SEVERITIES = ['info', 'warning', 'critical'] as const
type Severity = (typeof SEVERITIES)[number]

export interface Rule extends Scope {
  /** Unique, stable, `[a-z0-9-]`: part of the identity of its alerts. */
  readonly name: string
  readonly title: string
  readonly form: Form
  /** Which rows it reads. */
  readonly source: Source
  readonly forNs: bigint
  /** Time is cut into intervals of this length, and the rule is evaluated at the end of each. Divides the window. */
  readonly stepNs: bigint
  readonly severity: Severity
  readonly labels: Readonly<Record<string, string>>
  /** Templates (`summary.ts`). */
  readonly summaries: Form['summaries']
  /** True: exported and shown, never evaluated. */
  readonly isPaused: boolean
  /** Its settings, without those that are only texts: alerts of a rule with another identity are others. */
  readonly identity: string
}

const STEPS = [MINUTE, 5n * MINUTE, 15n * MINUTE, HOUR, 6n * HOUR, DAY]
/** Intervals that one rule keeps per group. */
const INTERVALS_MAX = 750n

/** The finest interval that divides all of `lengths` and cuts `spanNs` into at most 750; undefined when there is none. */
export function stepOf(spanNs: bigint, lengths: readonly bigint[]): bigint | undefined {
  return STEPS.find((step) => lengths.every((length) => length % step === 0n) && spanNs / step <= INTERVALS_MAX)
}

/** The begin of the UTC day or month that the instant just before `ns` lies in. */
export function periodStart(ns: bigint, per: 'day' | 'month'): bigint {
  const before = ns - 1n
  const day = before - (before % DAY)
  if (per === 'day') return day
  const date = new Date(Number(day / MS))
  return BigInt(Date.UTC(date.getUTCFullYear(), date.getUTCMonth(), 1)) * MS
}
