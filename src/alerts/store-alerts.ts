/** Alerts as rows of the state file, and what becomes of those whose rule is gone. */
import { createHash } from 'node:crypto'
import { type Alert, createAlert, fingerprintOf, labelsOf, type Notified } from './alert.ts'
import { keyOfValues } from './evaluate/groups.ts'
import type { RuleState } from './judge.ts'
import { type Mark, type Marks, NEVER } from './machine.ts'
import type { Rule } from './rules/rule.ts'

/** A row. */
export interface StoredAlert {
  readonly rule: string
  readonly key: string
  readonly text: string
}

/** An alert of a rule that is no more, or is another one now. Whoever was told that it fires must hear that it is over. */
export interface Orphan {
  readonly rule: string
  readonly key: string
  readonly labels: Readonly<Record<string, string>>
  readonly summary: string
  readonly firedNs: bigint
  readonly resolvedNs: bigint
  readonly notified: Map<string, Notified>
}

type Texts = readonly (readonly [name: string, text: string])[]

/** As JSON: `bigint` as text, no number as null. Names that are not ours are values, never keys. */
interface Wire {
  readonly values: readonly string[]
  readonly marks: Marks
  readonly value: number | null
  readonly firedValue: number | null
  readonly seenNs: bigint
  readonly group: Texts
  readonly labels: Texts
  readonly summary: string
  readonly notified: readonly (readonly [notifier: string, told: Notified])[]
}

function textOf(wire: Wire): string {
  return JSON.stringify(wire, (_key, value: unknown) => (typeof value === 'bigint' ? String(value) : value))
}

function wireOf({ text }: StoredAlert): Wire {
  return JSON.parse(text, (key, value) => (key.endsWith('Ns') ? BigInt(value) : value)) as Wire
}

/** `summary`: how the alert would be told now. */
export function storedAlert(alert: Alert, tailnet: string, summary: string): StoredAlert {
  const { rule, values, marks, value, firedValue, seenNs } = alert
  const [group, labels] = [Object.entries(alert.group), Object.entries(labelsOf(alert, tailnet))]
  const notified = [...alert.notified]
  const text = textOf({ values, marks, value, firedValue, seenNs, group, labels, summary, notified })
  return { rule: rule.name, key: keyOfValues(values), text }
}

export function storedOrphan({ rule, key, summary, labels, notified, firedNs, resolvedNs }: Orphan): StoredAlert {
  const wire: Wire = {
    ...{ values: [], marks: [{ ...NEVER, firedNs, resolvedNs }], value: null, firedValue: null, seenNs: 0n, group: [] },
    ...{ labels: Object.entries(labels), summary, notified: [...notified] },
  }
  return { rule, key, text: textOf(wire) }
}

/** Puts an alert back where it was. */
export function reviveAlert(state: RuleState, stored: StoredAlert): void {
  const { values, marks, value, firedValue, seenNs, notified, ...wire } = wireOf(stored)
  const group = Object.fromEntries(wire.group)
  const names = state.rule.by.map((dim, index) => group[dim === 'node' ? 'node_name' : dim] ?? values[index] ?? '')
  const id = state.reading.view.groups.idOf(values, names)
  const alert = createAlert(state.rule, id, values, group)
  Object.assign(alert, { marks, seenNs, value: value ?? Number.NaN, firedValue: firedValue ?? Number.NaN })
  for (const [notifier, told] of notified) alert.notified.set(notifier, told)
  state.alerts.set(id, alert)
}

/** Undefined when nobody was told that it fires, so that there is nothing left to say. */
export function orphanOf(stored: StoredAlert, nowNs: bigint): Orphan | undefined {
  const { marks, summary, ...wire } = wireOf(stored)
  const { firedNs, resolvedNs }: Mark = marks.at(-1) ?? NEVER
  const labels = Object.fromEntries(wire.labels)
  if (!wire.notified.some(([, told]) => told.resolvedNs === 0n)) return undefined
  return {
    rule: stored.rule,
    // The same alert is the same row, whatever became of the rule; but not the row of one that the new rule may make.
    key: stored.key.startsWith('gone ') ? stored.key : `gone ${fingerprintOf(labels)}`,
    ...{ labels, summary, firedNs, notified: new Map(wire.notified) },
    resolvedNs: resolvedNs === 0n ? nowNs : resolvedNs,
  }
}

/** Changes when alerts of the rule would mean something else. */
export function hashOf({ identity }: Rule): string {
  return createHash('sha256').update(identity).digest('hex').slice(0, 16)
}
