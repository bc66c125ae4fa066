/** A rule as InfluxQL and Grafana's expressions, over rows of minutes. The rule's form makes the queries, of the words here. Grafana replaces
 * `$timeFilter`; times of subqueries that must not follow it are written out with `now()`. */
import { SECOND } from '../../base/clock.ts'
import type { Chain } from '../forms/form.ts'
import type { Rule } from '../rules/rule.ts'
import { quoted, type RuleSource } from './rule-source.ts'

export interface QueryOptions {
  readonly tailnet: string
  /** How far behind the present what was read may be, s: what is newer may not be in the database yet. */
  readonly delaySeconds: number
  /** Names of `networks`. */
  readonly networks: readonly string[]
  /** What stands after FROM to read a measurement. */
  readonly from: (measurement: string) => string
}

/** Rows of a minute stand at its begin, and come when everything logged from there to 30 s after its end is read. */
const ROWS_DELAY_SECONDS = 90

export function chainOf(rule: Rule, source: RuleSource, options: QueryOptions): Chain {
  // Grafana evaluates at whole minutes and takes both ends of a range in: a second more, so that the row at the end is not in.
  const delay = Math.ceil((options.delaySeconds + ROWS_DELAY_SECONDS) / 60) * 60 + 1
  const window = Number(rule.windowNs / SECOND)
  const where = [`"tailnet" = ${quoted(options.tailnet)}`, ...source.conditions]
  const ago = (length: number) => `now() - ${length}s`
  return rule.form.chain({
    tags: source.tags,
    sum: source.fields.map((field) => `sum("${field}")`).join(' + '),
    inRange: '$timeFilter',
    ago: (offset) => `time >= ${ago(offset + window + delay)} AND time < ${ago(offset + delay)}`,
    select: (what, when, groups) =>
      `SELECT ${what} FROM ${options.from(source.measurement)} WHERE ${[...where, when].join(' AND ')}${groupBy(groups)}`,
    groupBy,
    query: (text, length = window) => ({ text, fromSeconds: length + delay, toSeconds: delay }),
  })
}

function groupBy(tags: readonly string[]): string {
  const names = tags.map((tag) => (tag.endsWith(')') ? tag : `"${tag}"`))
  return names.length === 0 ? '' : ` GROUP BY ${names.join(', ')}`
}
