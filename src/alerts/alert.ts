/** One alert: a rule and a group, with its history of states. */
import { createHash } from 'node:crypto'
import type { GroupValues } from './evaluate/groups.ts'
import { type Marks, NEVER } from './machine.ts'
import type { Rule } from './rules/rule.ts'
import type { GroupLabels } from './summary.ts'

/** What a notifier was told last about an alert: when it began to fire, and when that ended (0: it was told as firing). */
export interface Notified {
  readonly firedNs: bigint
  readonly resolvedNs: bigint
}

export interface Alert {
  readonly rule: Rule
  /** The group's number in its scope, and what stays the same over restarts. */
  readonly id: number
  readonly values: GroupValues
  marks: Marks
  /** The number at the step judged last, and when it last began to fire. */
  value: number
  firedValue: number
  /** `newFor`: the end of the piece in which it was seen. */
  seenNs: bigint
  /** What the group is called; stays as it is while the alert fires, because labels are its identity for others. */
  group: GroupLabels
  /** By notifier. */
  readonly notified: Map<string, Notified>
}

export function createAlert(rule: Rule, id: number, values: GroupValues, group: GroupLabels): Alert {
  return { rule, id, values, marks: [NEVER], value: 0, firedValue: 0, seenNs: 0n, group, notified: new Map() }
}

/** `names`: what people call the values; the values themselves without them. */
export function groupOf(rule: Rule, values: GroupValues, names: readonly string[] = values): GroupLabels {
  const labels: Record<string, string> = {}
  rule.by.forEach((dim, index) => {
    const value = values[index] ?? ''
    const name = names[index] ?? value
    labels[dim] = dim === 'src' || dim === 'dst' ? name : value
    if (dim === 'node') labels['node_name'] = name
  })
  return labels
}

export function labelsOf({ rule, group }: Pick<Alert, 'rule' | 'group'>, tailnet: string): Record<string, string> {
  return { ...rule.labels, alertname: rule.name, severity: rule.severity, tailnet, ...group }
}

/** 16 hex digits, the same for the same labels. */
export function fingerprintOf(labels: Readonly<Record<string, string>>): string {
  const sorted = Object.entries(labels).toSorted(([one], [other]) => (one < other ? -1 : 1))
  return createHash('sha256').update(JSON.stringify(sorted)).digest('hex').slice(0, 16)
}
