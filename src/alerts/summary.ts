/** The sentences of an alert, from templates: `{node}` and the like are replaced once, so what a device calls itself is never a template. */
import { SECOND } from '../base/clock.ts'
import { ageText } from '../base/format.ts'
import type { Rule } from './rules/rule.ts'
import type { Dim } from './rules/scope.ts'

/** What stands for a group. `node` is its name, `node_id` the stable id. */
export type GroupLabels = Readonly<Partial<Record<Dim | 'node_name', string>>>

const COMMON = ['rule', 'title', 'severity', 'tailnet', 'group', 'value', 'threshold', 'window'] as const

/** When late records show that the limit was not reached. */
const RETRACTED = '{group}: alert retracted, because records that arrived late disprove it (limit {threshold})'

/** Sentences about placeholders that mean nothing in this rule. */
export function placeholderFaults(template: string, by: readonly Dim[]): string[] {
  const known = new Set<string>([...COMMON, ...by, ...(by.includes('node') ? ['node_id'] : [])])
  return [...template.matchAll(/\{([^{}]*)\}/g)]
    .map(([, name = '']) => name)
    .filter((name) => !known.has(name))
    .map((name) => `has {${name}}, but there are only ${[...known].map((one) => `{${one}}`).join(' ')}`)
}

export interface SummaryFacts {
  readonly tailnet: string
  readonly group: GroupLabels
  readonly value: number
  /** When the alert fired and when that ended; undefined while it fires or is pending. `firedNs` 0: it did not fire after all. */
  readonly over?: { readonly firedNs: bigint; readonly resolvedNs: bigint } | undefined
}

export function renderSummary(rule: Rule, facts: SummaryFacts): string {
  const { firing, resolved } = rule.summaries
  const isRetracted = facts.over?.firedNs === 0n && resolved !== firing
  const template = facts.over === undefined ? firing : isRetracted ? RETRACTED : resolved
  return replacePlaceholders(template, textsOf(rule, facts))
}

/** Replaces what is known, once; everything else stays as it is. */
export function replacePlaceholders(template: string, texts: ReadonlyMap<string, string>): string {
  return template.replace(/\{([^{}]*)\}/g, (whole, name: string) => texts.get(name) ?? whole)
}

function textsOf(rule: Rule, { tailnet, group, value, over }: SummaryFacts): Map<string, string> {
  const texts = new Map<string, string>(Object.entries(group))
  texts.set('node', group.node_name ?? group.node ?? '')
  texts.set('node_id', group.node ?? '')
  texts.set('rule', rule.name)
  texts.set('title', rule.title)
  texts.set('severity', rule.severity)
  texts.set('tailnet', tailnet)
  texts.set('group', groupText(rule, group))
  texts.set('value', rule.form.valueText(value))
  texts.set('threshold', rule.form.thresholdText)
  texts.set('window', rule.form.windowText)
  // It was silent for the window when it fired.
  if (over) texts.set('silence', ageText(Number((over.resolvedNs - over.firedNs + rule.windowNs) / SECOND)))
  return texts
}

/** For people: `exit-1`, `laptop-3 to db-1 port 5432`, `the tailnet`. */
export function groupText({ by }: Rule, group: GroupLabels): string {
  const parts: string[] = []
  if (by.includes('node')) parts.push(group.node_name ?? group.node ?? '')
  if (by.includes('owner')) parts.push(group.owner ?? '')
  if (by.includes('src') && by.includes('dst')) parts.push(`${group.src} to ${group.dst}`)
  else if (by.includes('src')) parts.push(`from ${group.src}`)
  else if (by.includes('dst')) parts.push(`to ${group.dst}`)
  if (by.includes('network')) parts.push(`${group.network}`)
  if (by.includes('port')) parts.push(`port ${group.port}`)
  if (by.includes('proto')) parts.push(`${group.proto}`)
  if (by.includes('kind')) parts.push(`${group.kind} traffic`)
  return parts.length === 0 ? 'the tailnet' : parts.join(' ')
}
