/** The sentence of an alert, from a template: `{node}` and the like are replaced once, so what a device calls itself is never a template. */
import { formatDuration } from '../base/units.ts'
import { formatAmount, isBytes } from './amount.ts'
import type { Dim, Form, Rule } from './rules/rule.ts'

/** What stands for a group. `node` is its name, `node_id` the stable id. */
export type GroupLabels = Readonly<Partial<Record<Dim | 'node_name', string>>>

const COMMON = ['rule', 'title', 'severity', 'tailnet', 'group', 'value', 'threshold', 'window'] as const

export const DEFAULT_SUMMARIES: Readonly<Record<Form['is'], string>> = {
  above: '{group}: {value} in {window}, more than {threshold}',
  below: '{group}: {value} in {window}, less than {threshold}',
  silent: '{group}: nothing heard for {window}',
  relayShare: '{group}: {value} of its traffic went through relays in {window}, more than {threshold}',
  ratio: '{group}: {value} times as much in {window} as before, more than {threshold}',
  new: '{group}: first seen in {threshold}',
  distinct: '{group}: {value} in {window}, more than {threshold}',
  quota: '{group}: {value} since the {window} began, more than {threshold}',
}

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
}

export function renderSummary(rule: Rule, facts: SummaryFacts): string {
  return replacePlaceholders(rule.summary, textsOf(rule, facts))
}

/** Replaces what is known, once; everything else stays as it is. */
export function replacePlaceholders(template: string, texts: ReadonlyMap<string, string>): string {
  return template.replace(/\{([^{}]*)\}/g, (whole, name: string) => texts.get(name) ?? whole)
}

function textsOf(rule: Rule, { tailnet, group, value }: SummaryFacts): Map<string, string> {
  const texts = new Map<string, string>(Object.entries(group))
  texts.set('node', group.node_name ?? group.node ?? '')
  texts.set('node_id', group.node ?? '')
  texts.set('rule', rule.name)
  texts.set('title', rule.title)
  texts.set('severity', rule.severity)
  texts.set('tailnet', tailnet)
  texts.set('group', groupText(rule, group))
  texts.set('value', valueText(rule, value))
  texts.set('threshold', thresholdText(rule))
  texts.set('window', windowText(rule))
  return texts
}

/** For people: `exit-1`, `laptop-3 to db-1 port 5432`, `the tailnet`. */
function groupText({ by }: Rule, group: GroupLabels): string {
  const parts: string[] = []
  if (by.includes('node')) parts.push(group.node_name ?? group.node ?? '')
  if (by.includes('owner')) parts.push(group.owner ?? '')
  if (by.includes('src') && by.includes('dst')) parts.push(`${group.src} to ${group.dst}`)
  else if (by.includes('src')) parts.push(`from ${group.src}`)
  else if (by.includes('dst')) parts.push(`to ${group.dst}`)
  if (by.includes('port')) parts.push(`port ${group.port}`)
  if (by.includes('proto')) parts.push(`${group.proto}`)
  if (by.includes('kind')) parts.push(`${group.kind} traffic`)
  return parts.length === 0 ? 'the tailnet' : parts.join(' ')
}

export function valueText(rule: Rule, value: number): string {
  return textOf(rule, value)
}

export function thresholdText(rule: Rule): string {
  const { form } = rule
  if (form.is === 'silent') return windowText(rule)
  if (form.is === 'new') return formatDuration(form.memoryMs)
  return textOf(rule, form.threshold)
}

export function windowText(rule: Rule): string {
  return rule.form.is === 'quota' ? rule.form.per : formatDuration(Number(rule.windowNs / 1_000_000n))
}

function textOf(rule: Rule, value: number): string {
  const { form } = rule
  const of = isBytes(rule.measure) ? 'bytes' : 'pkts'
  switch (form.is) {
    case 'above':
    case 'below':
      return formatAmount(value, of, form.amount.per === 'second' ? Number(rule.windowNs / 1_000_000n) : undefined)
    case 'quota':
      return formatAmount(value, of)
    case 'relayShare':
      return `${rounded(value)} %`
    case 'ratio':
      return rounded(value)
    case 'distinct':
      return `${value} ${form.of === 'dst' ? 'peers' : 'ports'}`
    case 'silent':
      return `${value} messages`
    case 'new':
      return 'new'
  }
}

function rounded(value: number): string {
  return String(Math.round(value * 10) / 10)
}
