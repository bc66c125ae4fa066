/** Where the database has what a rule looks at, by minute and with names: what nodes reported is in `tailnet_node`, who talked to whom in `tailnet_edge`, each
 * byte once. In an edge a node may be either endpoint, and InfluxQL cannot add the two up: such a rule is a rule per side. */

import { isBytes } from '../amount.ts'
import { type Patterns, toInfluxQL } from '../patterns.ts'
import type { Rule } from '../rules/rule.ts'
import { type Dim, isBothWays, isByEndpoint } from '../rules/scope.ts'

/** `src` uses a service, `dst` serves it. */
export type Side = 'src' | 'dst'

export interface RuleSource {
  readonly measurement: 'tailnet_node' | 'tailnet_edge'
  /** Undefined: there is but one. */
  readonly side: Side | undefined
  /** Tags that tell groups apart. */
  readonly tags: readonly string[]
  /** Fields whose sum is the rule's measure. */
  readonly fields: readonly string[]
  /** Conditions on tags, in InfluxQL. */
  readonly conditions: readonly string[]
  /** The tag with what people call a group by this. */
  nameTag(dim: Dim): string
  /** The tag with the id of a node. */
  readonly idTag: string
}

/** Ids that Tailscale gives to nodes. */
const NODE_ID = '/^n[0-9A-Za-z]+CNTRL$/'

/** Why the database cannot say what the rule needs; undefined when it can. */
export function noSource(rule: Rule): string | undefined {
  const { form } = rule
  if (form.unexportable !== undefined) return form.unexportable
  if (rule.source === 'nodes' || isCountOfPeers(rule)) return undefined
  if (!isTwoSided(rule)) return undefined
  if (form.needs.withinMs !== undefined)
    return 'InfluxQL cannot add up both sides of an edge, and on one side alone there may be nothing at all'
  return undefined
}

/** About endpoints on whichever side they are. */
function isTwoSided(rule: Rule): boolean {
  return isByEndpoint(rule) || rule.by.includes('network')
}

/** One source, or one per side. `networks`: names of the settings. Throws a RangeError for a rule that `noSource` has a reason against. */
export function sourcesOf(rule: Rule, networks: readonly string[]): readonly RuleSource[] {
  const reason = noSource(rule)
  if (reason !== undefined) throw new RangeError(reason)
  if (rule.source === 'nodes') return [nodesOf(rule)]
  if (isCountOfPeers(rule)) return [edgesOf(rule, 'src', networks)]
  return isTwoSided(rule)
    ? [edgesOf(rule, 'src', networks), edgesOf(rule, 'dst', networks)]
    : [edgesOf(rule, undefined, networks)]
}

/** Who contacts many others is the side that uses services. */
function isCountOfPeers({ form, by }: Rule): boolean {
  return form.needs.distinct?.of === 'peer' && !by.includes('network')
}

function nodesOf(rule: Rule): RuleSource {
  const { by, where, isRouter } = rule
  return {
    measurement: 'tailnet_node',
    side: undefined,
    tags: by.flatMap((dim) => (dim === 'node' ? ['node', 'node_name'] : [dim])),
    fields: fieldsOf(rule, false),
    conditions: [
      anyOf('kind', rule.kinds),
      ...(isRouter ? [anyOf('role', ['router', 'exit'])] : []),
      ...(where.node ? toInfluxQL(where.node, ['node_name', 'node']) : []),
      ...(where.owner ? toInfluxQL(where.owner, ['owner']) : []),
    ],
    nameTag: (dim) => (dim === 'node' ? 'node_name' : dim),
    idTag: 'node',
  }
}

function edgesOf(rule: Rule, side: Side | undefined, networks: readonly string[]): RuleSource {
  const { by, where } = rule
  const [own, far] = side === 'dst' ? (['dst', 'src'] as const) : (['src', 'dst'] as const)
  const isNode = isByEndpoint(rule)
  const isNetwork = !isNode && side !== undefined && !isCountOfPeers(rule)
  const nameTag = (dim: Dim) => {
    if (dim === 'network') return `${isNode ? far : own}_name`
    if (dim === 'node') return `${own}_name`
    if (dim === 'owner') return `${own}_owner`
    return dim === 'src' || dim === 'dst' ? `${dim}_name` : dim
  }
  // What an endpoint that is a node sent is its `tx`, what a network was sent is its.
  const isSwapped = (isNode && side === 'dst') || (isNetwork && side === 'src')
  return {
    measurement: 'tailnet_edge',
    side,
    tags: [...new Set(by.flatMap((dim) => (dim === 'node' ? [own, `${own}_name`] : [nameTag(dim)])))],
    fields: fieldsOf(rule, isSwapped),
    conditions: [
      anyOf('kind', rule.kinds),
      ...(isNode ? [`"${own}" =~ ${NODE_ID}`] : []),
      ...(isNode && by.includes('network') ? [networkAt(far, networks, where.network)] : []),
      ...(isNetwork ? [networkAt(own, networks, where.network)] : []),
      ...(where.node ? toInfluxQL(where.node, [`${own}_name`, own]) : []),
      ...(where.owner ? toInfluxQL(where.owner, [`${own}_owner`]) : []),
      ...(where.network
        ? [either((['src', 'dst'] as const).map((end) => networkAt(end, networks, where.network)))]
        : []),
      ...(where.src ? toInfluxQL(where.src, ['src_name']) : []),
      ...(where.dst ? toInfluxQL(where.dst, ['dst_name']) : []),
      ...(where.port ? [anyOf('port', where.port)] : []),
      ...(where.proto ? [anyOf('proto', where.proto)] : []),
    ],
    nameTag,
    idTag: own,
  }
}

function fieldsOf(rule: Rule, isSwapped: boolean): readonly string[] {
  const { measure } = rule
  const of = isBytes(measure) ? 'bytes' : 'pkts'
  if (measure === of || (rule.source === 'edges' && isBothWays(rule))) return [`tx_${of}`, `rx_${of}`]
  const isTx = measure.startsWith('tx_') !== isSwapped
  return [`${isTx ? 'tx' : 'rx'}_${of}`]
}

/** Holds where this end is a network of the settings that fits. */
function networkAt(end: Side, networks: readonly string[], patterns: Patterns | undefined): string {
  const some = patterns ? toInfluxQL(patterns, [`${end}_name`]) : []
  return [anyOf(`${end}_name`, networks), `"${end}" !~ ${NODE_ID}`, ...some].join(' AND ')
}

function either(some: readonly string[]): string {
  return some.length === 1
    ? some.join()
    : `(${some.map((one) => (one.includes(' AND ') ? `(${one})` : one)).join(' OR ')})`
}

function anyOf(tag: string, values: readonly (string | number)[]): string {
  const some = values.map((value) => `"${tag}" = ${quoted(String(value))}`)
  // Without any it is none.
  if (some.length === 0) return `"${tag}" = 'none' AND "${tag}" != 'none'`
  return either(some)
}

/** A text of InfluxQL. */
export function quoted(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`
}
