/** What `/api/status` says about alerts. Times are RFC 3339 texts. */
import { HOUR } from '../base/clock.ts'
import { isoOf } from '../base/format.ts'
import { compare } from '../base/order.ts'
import type { Alert } from './alert.ts'
import { OVERFLOW } from './evaluate/groups.ts'
import type { RuleState } from './judge.ts'
import { NEVER, type State } from './machine.ts'
import type { DispatcherStatus } from './notify/dispatcher.ts'
import { type GroupLabels, renderSummary } from './summary.ts'

export interface AlertStatus {
  /** Of the rule. */
  readonly name: string
  readonly severity: string
  readonly state: 'pending' | 'firing' | 'resolved'
  /** The sentence of the alert. */
  readonly text: string
  readonly labels: GroupLabels
  readonly value: string
  readonly threshold: string
  /** Pending: since when the condition holds. Firing and resolved: when it began to fire. */
  readonly since: string
  readonly until: string | null
}

export interface RuleStatus {
  readonly name: string
  readonly title: string
  readonly severity: string
  readonly state: State
  readonly pending: number
  readonly firing: number
  /** Groups watched. */
  readonly series: number
  /** How often something was left out because there are more groups than `seriesMax`. */
  readonly overflowed: number
  /** The end of the last interval that was evaluated. */
  readonly evaluated: string | null
  /** The most critical number of all groups at that time: the largest, or the smallest where too little fires. Null: there is none. */
  readonly value: string | null
  /** A quota that counts from later on than its day or month began. */
  readonly countsSince: string | null
}

export interface AlertsStatus {
  readonly rules: readonly RuleStatus[]
  /** Firing, then pending, then ended in the last hour; at most 200. */
  readonly alerts: readonly AlertStatus[]
  readonly notifiers: readonly DispatcherStatus[]
  readonly evaluated: string | null
  /** How late a record may be and still count. */
  readonly latenessSeconds: number
  readonly catchingUp: boolean
  /** After a start: traffic before it is being read from the database, and nothing is evaluated yet. */
  readonly waiting: boolean
  /** Minutes that were made again later than that, and did not count again. */
  readonly lateMinutes: number
  readonly memoryBytes: number
}

const ALERTS_MAX = 200
const ENDED_NS = HOUR

export function ruleStatus(state: RuleState, countsSinceNs?: bigint): RuleStatus {
  const { rule, reading, worst } = state
  let pending = 0
  let firing = 0
  for (const { marks } of state.alerts.values()) {
    if (marks.at(-1)?.state === 'pending') pending += 1
    if (marks.at(-1)?.state === 'firing') firing += 1
  }
  const { groups, items } = reading.view
  const { lastSeen } = reading
  return {
    name: rule.name,
    title: rule.title,
    severity: rule.severity,
    state: firing > 0 ? 'firing' : pending > 0 ? 'pending' : 'inactive',
    pending,
    firing,
    series: lastSeen?.count ?? groups.count,
    overflowed: items.reduce((sum, ring) => sum + ring.overflowed, groups.overflowed + (lastSeen?.overflowed ?? 0)),
    evaluated: state.judgedNs === 0n ? null : isoOf(state.judgedNs),
    value: worst === undefined || Number.isNaN(worst) ? null : rule.form.valueText(worst),
    countsSince: countsSinceNs === undefined ? null : isoOf(countsSinceNs),
  }
}

export function alertStatuses(states: readonly RuleState[], tailnet: string, nowNs: bigint): AlertStatus[] {
  const order = { firing: 0, pending: 1, resolved: 2 }
  return states
    .flatMap((state) => [...state.alerts.values()].flatMap((alert) => alertStatus(alert, tailnet, nowNs) ?? []))
    .toSorted((one, other) => order[one.state] - order[other.state] || compare(other.since, one.since))
    .slice(0, ALERTS_MAX)
}

function alertStatus(alert: Alert, tailnet: string, nowNs: bigint): AlertStatus | undefined {
  const { rule, group } = alert
  const mark = alert.marks.at(-1) ?? NEVER
  const isEnded = mark.state === 'inactive'
  if (alert.id === OVERFLOW || (isEnded && (mark.resolvedNs === 0n || mark.resolvedNs < nowNs - ENDED_NS)))
    return undefined
  const value = isEnded ? alert.firedValue : alert.value
  return {
    name: rule.name,
    severity: rule.severity,
    state: mark.state === 'inactive' ? 'resolved' : mark.state,
    text: renderSummary(rule, { tailnet, group, value, over: isEnded ? mark : undefined }),
    labels: group,
    value: rule.form.valueText(value),
    threshold: rule.form.thresholdText,
    since: isoOf(mark.state === 'pending' ? mark.activeNs : mark.firedNs),
    until: isEnded ? isoOf(mark.resolvedNs) : null,
  }
}
