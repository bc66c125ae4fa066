/** Which traffic a rule looks at, in which groups, what of it is added up, and over how long. Every form has one. */
import type { Kind } from '../../source/parse/message.ts'
import type { Measure } from '../amount.ts'
import type { Patterns } from '../patterns.ts'

/** What tells one group of traffic from another. `src` uses a service, `dst` serves it; `network` is an endpoint that is no node and has a name of
 * `networks`. */
export const DIMS = ['node', 'src', 'dst', 'port', 'proto', 'owner', 'network', 'kind'] as const
export type Dim = (typeof DIMS)[number]

/** Each list that is not there wants everything. */
export interface Where {
  readonly node?: Patterns
  readonly owner?: Patterns
  readonly src?: Patterns
  readonly dst?: Patterns
  readonly network?: Patterns
  readonly port?: readonly number[]
  /** As in the tag: `tcp`, `udp`, `tsmp`, ... */
  readonly proto?: readonly string[]
}

export interface Scope {
  readonly kinds: readonly Kind[]
  /** Groups, in the order of DIMS. Empty: the whole tailnet is one group. */
  readonly by: readonly Dim[]
  /** Only what exit nodes and subnet routers report about their clients. */
  readonly isRouter: boolean
  readonly where: Where
  readonly measure: Measure
  readonly windowNs: bigint
}

/** Where rows say what the rule needs: what each node reported (`nodes`), or who talked to whom, each byte once (`edges`). */
export type Source = 'nodes' | 'edges'

/** True when rows of nodes cannot say it: it is about endpoints, ports, protocols or networks. */
export function needsEdges({ by, where }: Pick<Scope, 'by' | 'where'>): boolean {
  if (where.src || where.dst || where.network || where.port || where.proto) return true
  return by.some((dim) => dim !== 'node' && dim !== 'owner' && dim !== 'kind')
}

/** By edges each endpoint that is a node has a part of its own: what it sent and received. */
export function isByEndpoint({ by, where }: Pick<Scope, 'by' | 'where'>): boolean {
  return by.includes('node') || by.includes('owner') || where.node !== undefined || where.owner !== undefined
}

/** By edges, about both ends alike or about none: both directions of an edge count together. */
export function isBothWays(scope: Pick<Scope, 'by' | 'where'>): boolean {
  if (isByEndpoint(scope) || scope.by.includes('network')) return false
  return scope.by.includes('src') === scope.by.includes('dst')
}
