/** A rule as InfluxQL and Grafana's expressions: the same numbers as the evaluator's, from the database. Grafana replaces `$timeFilter`; times of
 * subqueries that must not follow it are written out with `now()`. */

import { toInfluxQL } from '../patterns.ts'
import type { Form, Rule } from '../rules/rule.ts'
import { isByNode, OFFSET_OF } from '../rules/rule.ts'
import { TAILNET_ADDRESS } from '../scope.ts'

export interface QueryOptions {
  readonly tailnet: string
  /** How far behind the present a window ends: what is newer may not be in the database yet, s. */
  readonly delaySeconds: number
  /** Retention policies of InfluxDB 1.x, where points lie in others than the default one. */
  readonly policy?: string | undefined
  readonly nodesPolicy?: string | undefined
}

/** One query, and the range that `$timeFilter` stands for: seconds before the present. */
interface Query {
  readonly text: string
  readonly fromSeconds: number
  readonly toSeconds: number
}

/** Numbers from queries (`A`, `B`), their last values (`C`, `D`), and what is compared. */
export interface Chain {
  readonly queries: readonly Query[]
  /** Over the last values `$C` and `$D`; undefined: the last value of the one query is compared. */
  readonly math: string | undefined
  readonly compare: 'gt' | 'lt'
  readonly threshold: number
  /** A firing alert stays until the number is beyond this one; undefined: until it no longer breaches. */
  readonly recover: number | undefined
}

/** Why Grafana cannot have the rule; undefined when it can. */
export function unexportable(rule: Rule): string | undefined {
  if (rule.form.is === 'new') return 'newFor needs a history of everything that was seen: only the service evaluates it'
  if (rule.form.is === 'quota' && rule.form.per === 'month')
    return 'InfluxQL has no months: only the service evaluates a monthly quota'
  if (rule.by.includes('owner') || rule.where.owner)
    return 'owners are not stored in the database: only the service knows them'
  return undefined
}

export function chainOf(rule: Rule, options: QueryOptions): Chain {
  const { form } = rule
  const window = seconds(rule.windowNs)
  const { delaySeconds: delay } = options
  const from = (condition: string, select: string, groups: readonly string[]) =>
    `SELECT ${select} FROM ${source(rule, options)} WHERE ${[...conditions(rule, options), condition].join(' AND ')}${groupBy(groups)}`
  const tags = tagsOf(rule)
  const query = (text: string, length = window): Query => ({ text, fromSeconds: length + delay, toSeconds: delay })
  const ago = (length: number) => `now() - ${length}s`
  const between = (offset: number) => `time >= ${ago(offset + window + delay)} AND time < ${ago(offset + delay)}`

  switch (form.is) {
    case 'above':
      return single(query(from('$timeFilter', sumOf(rule), tags)), form)
    case 'quota':
      return {
        ...single(query(from('$timeFilter', sumOf(rule), ['time(1d)', ...tags]).concat(' fill(0)'), 86_400), form),
        recover: undefined,
      }
    case 'below':
    case 'silent': {
      // Groups that were there lately and are not in the window count as zero.
      const within = Number(form.withinMs) / 1000
      const now = from(between(0), `${form.is === 'silent' ? 'count("tx_bytes")' : sumOf(rule)} AS "v"`, tags)
      const zero = from('$timeFilter', '0 * sum("tx_bytes") AS "v"', tags)
      return {
        queries: [query(`SELECT sum("v") FROM (${now}), (${zero})${groupBy(tags)}`, within)],
        math: undefined,
        compare: 'lt',
        threshold: form.is === 'silent' ? 1 : form.threshold,
        recover: form.is === 'below' && form.recover > form.threshold ? form.recover : undefined,
      }
    }
    case 'distinct': {
      const item = form.of === 'dst' ? 'dst_name' : 'port'
      const inner = from(`"${item}" != 'none' AND $timeFilter`, 'sum("tx_bytes") AS "v"', [...tags, item])
      return single(query(`SELECT count("v") FROM (${inner})${groupBy(tags)}`), form)
    }
    case 'relayShare':
      return {
        ...single(query(from('$timeFilter', 'sum("derp_tx_bytes") + sum("derp_rx_bytes")', tags)), form),
        queries: [
          query(from('$timeFilter', 'sum("derp_tx_bytes") + sum("derp_rx_bytes")', tags)),
          query(from('$timeFilter', sumOf(rule), tags)),
        ],
        math: `($D >= ${form.atLeast}) * 100 * $C / $D`,
      }
    case 'ratio': {
      const offset = seconds(OFFSET_OF[form.previous])
      return {
        ...single(query(''), form),
        queries: [query(from('$timeFilter', sumOf(rule), tags)), query(from(between(offset), sumOf(rule), tags))],
        math: `($C >= ${form.atLeast}) * $C / $D`,
      }
    }
    case 'new':
      throw new RangeError('a rule that Grafana cannot have')
  }
}

/** The 99th percentile (`p`) and the highest (`m`) of a rule's sums over the windows of the last days, per group; windows without traffic do not
 * count. */
export function seenQuery(rule: Rule, options: QueryOptions, days: number): string {
  const tags = tagsOf(rule)
  const where = [...conditions(rule, options), `time >= now() - ${days}d`].join(' AND ')
  const inner = `SELECT ${sumOf(rule)} AS "v" FROM ${source(rule, options)} WHERE ${where}${groupBy([`time(${seconds(rule.windowNs)}s)`, ...tags])} fill(none)`
  return `SELECT percentile("v", 99) AS "p", max("v") AS "m" FROM (${inner})${groupBy(tags)}`
}

function single(query: Query, form: Extract<Form, { threshold: number }>): Chain {
  const recover = 'recover' in form && form.recover !== form.threshold ? form.recover : undefined
  return { queries: [query], math: undefined, compare: 'gt', threshold: form.threshold, recover }
}

/** Tags that tell groups apart; a node comes with its name, so that people can read it. */
export function tagsOf(rule: Rule): string[] {
  return rule.by.flatMap((dim) => {
    if (dim === 'node') return ['node', 'node_name']
    return dim === 'src' || dim === 'dst' ? [`${dim}_name`] : [dim]
  })
}

function sumOf(rule: Rule): string {
  if (rule.measure === 'bytes') return 'sum("tx_bytes") + sum("rx_bytes")'
  return rule.measure === 'pkts' ? 'sum("tx_pkts") + sum("rx_pkts")' : `sum("${rule.measure}")`
}

function source(rule: Rule, { policy, nodesPolicy }: QueryOptions): string {
  const byNode = isByNode(rule)
  const rp = byNode ? (nodesPolicy ?? policy) : policy
  return `${rp === undefined ? '' : `"${quoted(rp, '"')}".`}"${byNode ? 'tailnet_node' : 'tailnet_flow'}"`
}

function conditions(rule: Rule, { tailnet }: QueryOptions): string[] {
  const { where } = rule
  const all = [`"tailnet" = '${quoted(tailnet, "'")}'`, anyOf('kind', rule.kinds)]
  if (rule.isRouter) all.push(`"dst" =~ /${TAILNET_ADDRESS}/`, `"src" !~ /${TAILNET_ADDRESS}/`)
  if (where.node) all.push(...toInfluxQL(where.node, ['node_name', 'node']))
  if (where.src) all.push(...toInfluxQL(where.src, ['src_name']))
  if (where.dst) all.push(...toInfluxQL(where.dst, ['dst_name']))
  if (where.port) all.push(anyOf('port', where.port))
  if (where.proto) all.push(anyOf('proto', where.proto))
  return all
}

function anyOf(tag: string, values: readonly (string | number)[]): string {
  const some = values.map((value) => `"${tag}" = '${quoted(String(value), "'")}'`)
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
