/** The sentences of an alert, from templates: `{node}` and the like are replaced once, so what a device calls itself is never a template. */
import { MS, SECOND } from '../base/clock.ts'
import { ageText } from '../base/format.ts'
import { formatDuration } from '../base/units.ts'
import { formatAmount, isBytes } from './amount.ts'
import type { Dim, Rule, Summaries } from './rules/rule.ts'

/** What stands for a group. `node` is its name, `node_id` the stable id. */
export type GroupLabels = Readonly<Partial<Record<Dim | 'node_name', string>>>

const COMMON = ['rule', 'title', 'severity', 'tailnet', 'group', 'value', 'threshold', 'window'] as const

/** What a rule says that has no `summary` of its own. */
export function defaultSummaries(rule: Pick<Rule, 'form' | 'by' | 'measure' | 'where'>): Summaries {
  const { form, by } = rule
  const { who, what, details } = partsOf(rule)
  const within = (limit: string) => `{group} is back ${limit} (was {value} in {window}, limit {threshold})`
  const over = form.is === 'above' && form.amount.per === 'second' ? 'over' : 'in'
  switch (form.is) {
    case 'above':
      return {
        firing: `${who} ${what('{value}')}${details} ${over} {window} (limit {threshold})`,
        resolved: within('below the limit').replace(' in {window}', ` ${over} {window}`),
      }
    case 'below':
      return {
        firing: `${who} ${what('only {value}')}${details} in {window} (minimum {threshold})`,
        resolved: '{group} is back above the minimum (was {value} in {window}, minimum {threshold})',
      }
    case 'silent':
      return isAboutNodes(rule)
        ? {
            firing: '{group} has sent no flow logs for {window}',
            resolved: '{group} is reporting again (was silent {silence})',
          }
        : {
            firing: '{group}: no matching traffic for {window}',
            resolved: '{group}: matching traffic again (there was none for {silence})',
          }
    case 'relayShare':
      return {
        firing: '{group} sent {value} of its traffic through relays (DERP) in {window} (limit {threshold})',
        resolved: within('below the limit of relayed traffic'),
      }
    case 'ratio':
      return {
        firing: `${who} ${what('{value} times as much')}${details} in {window} as ${EARLIER[form.previous]} (limit {threshold} times)`,
        resolved: '{group} is back below the limit (was {value} times as much in {window}, limit {threshold} times)',
      }
    case 'new':
      return {
        firing:
          by.includes('src') && by.includes('dst')
            ? `{src} and {dst} exchanged traffic${details} for the first time in {threshold}`
            : '{group} was seen for the first time in {threshold}',
        resolved: '{group} is no longer new',
      }
    case 'distinct': {
      const on = form.of === 'port' && by.includes('src') && by.includes('dst') ? ' on {dst}' : ''
      return {
        firing: `${on === '' ? '{group}' : '{src}'} contacted {value}${on}${on === '' ? '' : details} in {window} (limit {threshold})`,
        resolved: within('below the limit'),
      }
    }
    case 'quota':
      return {
        firing: `${who} ${what('{value}')}${details} since the {window} began (limit {threshold})`,
        resolved: '{group}: a new {window} began (was {value}, limit {threshold})',
      }
  }
}

/** What `distinct` counts. */
export const DISTINCT_UNITS = { dst: 'peers', port: 'ports' } as const
/** When late records show that the limit was not reached. */
const RETRACTED = '{group}: alert retracted, because records that arrived late disprove it (limit {threshold})'
const EARLIER = { hour: 'an hour earlier', day: 'a day earlier', week: 'a week earlier' } as const

/** Who did what, and what else tells the groups apart. */
function partsOf({ by, measure, where }: Pick<Rule, 'by' | 'measure' | 'where'>) {
  const isRejecting = where.proto?.length === 1 && where.proto[0] === 'tsmp' && !isBytes(measure)
  const details = [
    ...(by.includes('port') ? [' on port {port}'] : []),
    ...(by.includes('proto') ? [' over {proto}'] : []),
    ...(by.includes('kind') ? [' of {kind} traffic'] : []),
  ].join('')
  const to = by.includes('dst') ? ' to {dst}' : ''
  const from = by.includes('src') ? ' from {src}' : ''
  const actor = by.includes('node') ? '{node}' : by.includes('owner') ? '{owner}' : undefined
  // Whatever the measure, a source is who sent, and a destination is who received.
  const who = actor ?? (from !== '' ? '{src}' : to !== '' ? '{dst}' : 'the tailnet')
  const ends = actor === undefined ? (from === '' ? '' : to) : from + to
  const both = measure === 'bytes' || measure === 'pkts'
  const isReceived = measure.startsWith('rx_') && from === ''
  const verb = both
    ? 'sent and received'
    : isReceived || (actor === undefined && from === '' && to !== '')
      ? 'received'
      : 'sent'
  const rejected = isRejecting ? ' that reject connections' : ''
  return { who, details, what: (value: string) => `${verb} ${value}${rejected}${ends}` }
}

/** Every record of the group counts, not only traffic of one kind or with one endpoint. */
function isAboutNodes({ by, where }: Pick<Rule, 'by' | 'where'>): boolean {
  return (
    by.includes('node') &&
    by.every((dim) => dim === 'node' || dim === 'owner') &&
    !(where.src || where.dst || where.port || where.proto)
  )
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
  texts.set('value', valueText(rule, value))
  texts.set('threshold', thresholdText(rule))
  texts.set('window', windowText(rule))
  // It was silent for the window when it fired.
  if (over) texts.set('silence', ageText(Number((over.resolvedNs - over.firedNs + rule.windowNs) / SECOND)))
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
  if (form.is === 'new') return lengthText(form.memoryMs)
  if (form.is === 'distinct') return String(form.threshold)
  return textOf(rule, form.threshold)
}

export function windowText(rule: Rule): string {
  return rule.form.is === 'quota' ? rule.form.per : lengthText(Number(rule.windowNs / MS))
}

/** `10 min`, `24 h`, `7 d`. */
function lengthText(ms: number): string {
  if (ms === 86_400_000) return '24 h'
  return formatDuration(ms)
    .replace(/m$/, 'min')
    .replace(/(?<=\d)(?=[a-z])/, ' ')
}

function textOf(rule: Rule, value: number): string {
  const { form } = rule
  const of = isBytes(rule.measure) ? 'bytes' : 'pkts'
  switch (form.is) {
    case 'above':
    case 'below':
      return formatAmount(value, of, form.amount.per === 'second' ? Number(rule.windowNs / MS) : undefined)
    case 'quota':
      return formatAmount(value, of)
    case 'relayShare':
      return `${rounded(value)} %`
    case 'ratio':
      return rounded(value)
    case 'distinct':
      return `${value} ${DISTINCT_UNITS[form.of]}`
    case 'silent':
      return `${value} messages`
    case 'new':
      return 'new'
  }
}

function rounded(value: number): string {
  return String(Math.round(value * 10) / 10)
}
