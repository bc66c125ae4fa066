/** Alerts as rows of the state file, and what becomes of those whose rule is gone. */
import { createHash } from 'node:crypto'
import { type Alert, createAlert, fingerprintOf, labelsOf, type Notified } from './alert.ts'
import { keyOfValues } from './evaluate/groups.ts'
import type { RuleState } from './judge.ts'
import { type Mark, NEVER, STATES, type State } from './machine.ts'
import type { Rule } from './rules/rule.ts'
import type { GroupLabels } from './summary.ts'

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

interface Wire {
  readonly values: readonly string[]
  readonly marks: readonly (readonly [
    at: string,
    state: number,
    active: string,
    fired: string,
    resolved: string,
    value?: number | null,
  ])[]
  readonly value: number | null
  readonly fired: number | null
  readonly seen: string
  readonly group: GroupLabels
  readonly labels: Readonly<Record<string, string>>
  readonly summary: string
  readonly told: Readonly<Record<string, readonly [fired: string, resolved: string]>>
}

/** `summary`: how the alert would be told now. */
export function storedAlert(alert: Alert, tailnet: string, summary: string): StoredAlert {
  const wire: Wire = {
    values: alert.values,
    marks: alert.marks.map((mark) => [
      String(mark.atNs),
      STATES.indexOf(mark.state),
      String(mark.activeNs),
      String(mark.firedNs),
      String(mark.resolvedNs),
      finite(mark.firedValue),
    ]),
    value: finite(alert.value),
    fired: finite(alert.firedValue),
    seen: String(alert.seenNs),
    group: alert.group,
    labels: labelsOf(alert, tailnet),
    summary,
    told: toldToWire(alert.notified),
  }
  return { rule: alert.rule.name, key: keyOfValues(alert.values), text: JSON.stringify(wire) }
}

export function storedOrphan(orphan: Orphan): StoredAlert {
  const { labels, summary } = orphan
  const mark = ['0', 0, '0', String(orphan.firedNs), String(orphan.resolvedNs)] as const
  const wire: Wire = {
    values: [],
    marks: [mark],
    value: null,
    fired: null,
    seen: '0',
    group: {},
    labels,
    summary,
    told: toldToWire(orphan.notified),
  }
  return { rule: orphan.rule, key: orphan.key, text: JSON.stringify(wire) }
}

/** Puts an alert back where it was. */
export function reviveAlert(state: RuleState, { text }: StoredAlert): void {
  const wire = JSON.parse(text) as Wire
  const names = state.rule.by.map(
    (dim, index) => wire.group[dim === 'node' ? 'node_name' : dim] ?? wire.values[index] ?? '',
  )
  const id = state.reading.view.groups.idOf(wire.values, names)
  const alert = createAlert(state.rule, id, wire.values, wire.group)
  const [first = NEVER, ...rest] = marksOf(wire)
  alert.marks = [first, ...rest]
  alert.value = wire.value ?? Number.NaN
  alert.firedValue = wire.fired ?? Number.NaN
  alert.seenNs = BigInt(wire.seen)
  for (const [notifier, told] of toldOf(wire)) alert.notified.set(notifier, told)
  state.alerts.set(id, alert)
}

/** Undefined when nobody was told that it fires, so that there is nothing left to say. */
export function orphanOf({ rule, key, text }: StoredAlert, nowNs: bigint): Orphan | undefined {
  const wire = JSON.parse(text) as Wire
  const told = toldOf(wire)
  const mark = marksOf(wire).at(-1) ?? NEVER
  if (![...told.values()].some(({ resolvedNs }) => resolvedNs === 0n)) return undefined
  const resolvedNs = mark.resolvedNs === 0n ? nowNs : mark.resolvedNs
  // The same alert is the same row, whatever became of the rule; but not the row of one that the new rule may make.
  const orphanKey = key.startsWith('gone ') ? key : `gone ${fingerprintOf(wire.labels)}`
  return {
    rule,
    key: orphanKey,
    labels: wire.labels,
    summary: wire.summary,
    firedNs: mark.firedNs,
    resolvedNs,
    notified: told,
  }
}

/** Changes when alerts of the rule would mean something else. */
export function hashOf({ identity }: Rule): string {
  return createHash('sha256').update(identity).digest('hex').slice(0, 16)
}

function finite(value: number): number | null {
  return Number.isFinite(value) ? value : null
}

function marksOf(wire: Wire): Mark[] {
  return wire.marks.map(([at, state, active, fired, resolved, value]) => ({
    atNs: BigInt(at),
    state: STATES[state] as State,
    activeNs: BigInt(active),
    firedNs: BigInt(fired),
    firedValue: value ?? wire.fired ?? 0,
    resolvedNs: BigInt(resolved),
  }))
}

function toldToWire(told: ReadonlyMap<string, Notified>): Wire['told'] {
  return Object.fromEntries([...told].map(([name, one]) => [name, [String(one.firedNs), String(one.resolvedNs)]]))
}

function toldOf(wire: Wire): Map<string, Notified> {
  return new Map(
    Object.entries(wire.told).map(([name, [fired, resolved]]) => [
      name,
      { firedNs: BigInt(fired), resolvedNs: BigInt(resolved) },
    ]),
  )
}
