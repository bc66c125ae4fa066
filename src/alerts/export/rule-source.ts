/** Where the database has what a rule looks at. What nodes report is in `tailnet_node`, by minute and with names. Who talked to whom is in `tailnet_edge`,
 * each byte once: `src` uses a service, `dst` offers it. What a node reports by port or protocol is in the raw points alone, which have no names. */
import type { Rule } from '../rules/rule.ts'

type Measurement = 'tailnet_node' | 'tailnet_edge' | 'tailnet_flow'

export interface RuleSource {
  readonly measurement: Measurement
  /** Tags that tell groups apart, each with what people call it. */
  readonly tags: readonly string[]
  /** Tags that patterns on a node, an owner and the two ends are compared with. */
  readonly matched: Readonly<Record<'node' | 'owner' | 'src' | 'dst', readonly string[]>>
  /** Tags of a port, of which one must be that of the rule. */
  readonly ports: readonly string[]
  /** Edges have both directions in one row; a rule about no particular end, or about a pair, means them together. */
  readonly isBothWays: boolean
}

/** Throws a RangeError for a rule that `noSource` has a reason against. */
export function sourceOf(rule: Rule): RuleSource {
  const reason = noSource(rule)
  if (reason !== undefined) throw new RangeError(reason)
  const measurement = measurementOf(rule)
  return measurement === 'tailnet_edge' ? edgesOf(rule) : reportsOf(rule, measurement)
}

/** Why the database cannot say what the rule needs; undefined when it can. */
export function noSource(rule: Rule): string | undefined {
  const { by, where } = rule
  if (isOfNodes(rule)) return undefined
  if (by.includes('owner') || where.owner)
    return 'the database has owners of nodes by kind alone: without port, proto, src and dst it can be exported'
  if (by.includes('network') || where.network) return 'rows do not say which endpoints have a name of networks'
  if (hasEnds(rule) && (by.includes('node') || where.node) && !isCountOfPeers(rule))
    return 'rows of who talked to whom do not say who reported: use src and dst without node'
  if (measurementOf(rule) === 'tailnet_flow' && where.node)
    return 'what nodes report by port and protocol is stored without their names, so `where.node` has nothing to match'
  return undefined
}

/** The tag with the id of a node in `by`. */
export function nodeTag(rule: Rule): string {
  return measurementOf(rule) === 'tailnet_edge' ? 'src' : 'node'
}

/** The tag with its name, or with its id where there are no names. */
export function nodeNameTag(rule: Rule): string {
  return measurementOf(rule) === 'tailnet_flow' ? 'node' : `${nodeTag(rule)}_name`
}

function measurementOf(rule: Rule): Measurement {
  if (isOfNodes(rule)) return 'tailnet_node'
  return isCountOfPeers(rule) || hasEnds(rule) || !rule.by.includes('node') ? 'tailnet_edge' : 'tailnet_flow'
}

/** Needs no ends, ports and protocols. A router is known by its role. */
function isOfNodes({ source }: Rule): boolean {
  return source === 'nodes'
}

function hasEnds({ by, where }: Rule): boolean {
  return by.includes('src') || by.includes('dst') || where.src !== undefined || where.dst !== undefined
}

/** Who contacts many others is the side that uses services. */
function isCountOfPeers({ form }: Rule): boolean {
  return form.needs.distinct?.of === 'peer'
}

function reportsOf(rule: Rule, measurement: Measurement): RuleSource {
  const isRaw = measurement === 'tailnet_flow'
  return {
    measurement,
    tags: rule.by.flatMap((dim) => (dim === 'node' && !isRaw ? ['node', 'node_name'] : [dim])),
    matched: { node: ['node_name', 'node'], owner: ['owner'], src: [], dst: [] },
    ports: ['src_port', 'dst_port'],
    isBothWays: false,
  }
}

function edgesOf({ by }: Rule): RuleSource {
  return {
    measurement: 'tailnet_edge',
    tags: by.flatMap((dim) => {
      if (dim === 'node') return ['src', 'src_name']
      return dim === 'src' || dim === 'dst' ? [`${dim}_name`] : [dim]
    }),
    matched: { node: ['src_name', 'src'], owner: [], src: ['src_name'], dst: ['dst_name'] },
    ports: ['port'],
    isBothWays: by.includes('src') === by.includes('dst'),
  }
}
