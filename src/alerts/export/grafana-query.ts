/** A rule as InfluxQL and Grafana's expressions, over rows of minutes where they have what it needs, else over raw points. For nodes the numbers are those of
 * the evaluator; for ends they count each byte once (rule-source.ts). Grafana replaces `$timeFilter`; times of subqueries that must not follow it are
 * written out with `now()`. */

import { TAILNET_ADDRESS } from '../../base/tailnet-address.ts'
import { isBytes } from '../amount.ts'
import type { Chain } from '../forms/form.ts'
import { toInfluxQL } from '../patterns.ts'
import type { Rule } from '../rules/rule.ts'
import { noSource, sourceOf } from './rule-source.ts'

export interface QueryOptions {
  readonly tailnet: string
  /** How far behind the present raw points may be, s: what is newer may not be in the database yet. */
  readonly delaySeconds: number
  /** What stands after FROM to read a measurement. */
  readonly from: (measurement: string) => string
}

/** Rows of a minute stand at its begin, and come when everything logged from there to 30 s after its end is read. */
const ROWS_DELAY_SECONDS = 90

/** Why Grafana cannot have the rule; undefined when it can. */
export function unexportable(rule: Rule): string | undefined {
  return rule.form.unexportable ?? noSource(rule)
}

export function chainOf(rule: Rule, options: QueryOptions): Chain {
  const window = seconds(rule.windowNs)
  const { measurement, tags } = sourceOf(rule)
  const delay = measurement === 'tailnet_flow' ? options.delaySeconds : rowsDelay(options)
  const ago = (length: number) => `now() - ${length}s`
  return rule.form.chain({
    tags,
    sum: sumOf(rule),
    inRange: '$timeFilter',
    select: (select, when, groups) =>
      `SELECT ${select} FROM ${options.from(measurement)} WHERE ${[...conditions(rule, options), when].join(' AND ')}${groupBy(groups)}`,
    ago: (offset) => `time >= ${ago(offset + window + delay)} AND time < ${ago(offset + delay)}`,
    groupBy,
    query: (text, length = window) => ({ text, fromSeconds: length + delay, toSeconds: delay }),
  })
}

/** The 99th percentile (`p`) and the highest (`m`) of a rule's sums over the windows of the last days, per group; windows without traffic do not
 * count. */
export function seenQuery(rule: Rule, options: QueryOptions, days: number): string {
  const { measurement, tags } = sourceOf(rule)
  const where = [...conditions(rule, options), `time >= now() - ${days}d`].join(' AND ')
  const inner = `SELECT ${sumOf(rule)} AS "v" FROM ${options.from(measurement)} WHERE ${where}${groupBy([`time(${seconds(rule.windowNs)}s)`, ...tags])} fill(none)`
  return `SELECT percentile("v", 99) AS "p", max("v") AS "m" FROM (${inner})${groupBy(tags)}`
}

/** Grafana judges at whole minutes and takes both ends of a range in: a second more, so that the row at the end is not in. */
function rowsDelay({ delaySeconds }: QueryOptions): number {
  return Math.ceil((delaySeconds + ROWS_DELAY_SECONDS) / 60) * 60 + 1
}

function sumOf(rule: Rule): string {
  const fields = fieldsOf(rule)
  return fields.map((field) => `sum("${field}")`).join(' + ')
}

/** Fields whose sum is the rule's measure. */
export function fieldsOf(rule: Rule): readonly string[] {
  const of = isBytes(rule.measure) ? 'bytes' : 'pkts'
  const isBoth = rule.measure === of || sourceOf(rule).isBothWays
  return isBoth ? [`tx_${of}`, `rx_${of}`] : [rule.measure]
}

function conditions(rule: Rule, { tailnet }: QueryOptions): string[] {
  const { where } = rule
  const { measurement, matched, ports } = sourceOf(rule)
  const all = [`"tailnet" = '${quoted(tailnet, "'")}'`, anyOf('kind', rule.kinds)]
  if (rule.isRouter && measurement === 'tailnet_node') all.push(anyOf('role', ['router', 'exit']))
  else if (rule.isRouter) all.push(`"dst" =~ /${TAILNET_ADDRESS}/`, `"src" !~ /${TAILNET_ADDRESS}/`)
  for (const key of ['node', 'owner', 'src', 'dst'] as const)
    if (where[key]) all.push(...toInfluxQL(where[key], matched[key]))
  if (where.port) all.push(either(ports.map((tag) => anyOf(tag, where.port ?? []))))
  if (where.proto) all.push(anyOf('proto', where.proto))
  return all
}

function anyOf(tag: string, values: readonly (string | number)[]): string {
  const some = values.map((value) => `"${tag}" = '${quoted(String(value), "'")}'`)
  return either(some)
}

function either(some: readonly string[]): string {
  return some.length === 1 ? some.join() : `(${some.join(' OR ')})`
}

function groupBy(tags: readonly string[]): string {
  const names = tags.map((tag) => (tag.endsWith(')') ? tag : `"${tag}"`))
  return names.length === 0 ? '' : ` GROUP BY ${names.join(', ')}`
}

function quoted(text: string, quote: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll(quote, `\\${quote}`)
}

function seconds(ns: bigint): number {
  return Number(ns / 1_000_000_000n)
}
