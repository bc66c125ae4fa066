/** Which groups a row counts for: one, or one for each endpoint that is a node or a network. */
import type { Endpoint } from '../../rollup/rows/endpoints.ts'
import type { EdgeRow, NodeRow } from '../../rollup/rows/row.ts'
import type { Measure } from '../amount.ts'
import { createMatcher, type Patterns } from '../patterns.ts'
import { type Dim, isByEndpoint, type Scope } from '../rules/scope.ts'

/** What an edge is about. */
type EdgeAbout = Pick<EdgeRow, 'src' | 'dst' | 'port' | 'proto' | 'kind'>

export interface Side {
  /** It is that of `dst`: what the row has as sent was received. */
  readonly isBack: boolean
  /** For each of the rule's `by`: what tells groups apart, and what people call it. */
  readonly values: readonly (readonly [value: string, name: string])[]
  /** The rule's patterns on nodes and owners match it. */
  readonly isWanted: boolean
  /** At the far end of an edge. */
  readonly peer: Endpoint
}

export interface Sides {
  /** Undefined: the rule is not about this kind of row. */
  ofNode(about: Pick<NodeRow, 'node' | 'role' | 'kind'>): Side | undefined
  ofEdge(about: EdgeAbout): readonly Side[]
}

/** `networks`: names of the settings. `isUnordered`: a pair is the same in either direction. */
export function createSides(
  scope: Pick<Scope, 'by' | 'where' | 'isRouter' | 'kinds'>,
  { networks, isUnordered }: { readonly networks: ReadonlySet<string>; readonly isUnordered: boolean },
): Sides {
  const { by, where, isRouter } = scope
  const isNodes = isByEndpoint(scope)
  const isPair = by.includes('src') && by.includes('dst')
  const isNetworks = by.includes('network') && !isNodes
  const kinds = new Set(scope.kinds)
  const ports = where.port && new Set(where.port.map(String))
  const protos = where.proto && new Set(where.proto)
  const [isNodeName, isOwner, isSrc, isDst, isNetworkName] = [
    ...[where.node, where.owner, where.src, where.dst, where.network],
  ].map(matcherOf) as [Matcher, Matcher, Matcher, Matcher, Matcher]

  const wantsNode = ({ id, name, owner }: Endpoint) => isNodeName(name, id) && isOwner(owner)
  const isNetwork = ({ isNode, name }: Endpoint) => !isNode && networks.has(name)
  const needsNetwork = where.network !== undefined || by.includes('network')
  /** The endpoint is what the rule says about networks. */
  const isOfNetwork = (end: Endpoint) => !needsNetwork || (isNetwork(end) && isNetworkName(end.name))

  function side(about: EdgeAbout, own: Endpoint, peer: Endpoint, isBack: boolean, isWanted: boolean): Side {
    return { isBack, values: by.map((dim) => valueOfDim(dim, about, own, peer)), isWanted, peer }
  }

  return {
    ofNode({ node, role, kind }) {
      if (!kinds.has(kind) || (isRouter && role !== 'router' && role !== 'exit')) return undefined
      const values = by.map((dim) => {
        if (dim === 'node') return [node.id, node.name] as const
        return same(dim === 'owner' ? node.owner : kind)
      })
      return { isBack: false, values, isWanted: wantsNode(node), peer: node }
    },

    ofEdge(about) {
      const { src, dst, port, proto, kind } = about
      if (!kinds.has(kind) || protos?.has(proto) === false || ports?.has(port) === false) return []
      if (!isSrc(src.name) || !isDst(dst.name)) return []
      if (isNodes) {
        return [
          ...(src.isNode ? [side(about, src, dst, false, wantsNode(src))] : []),
          // Its own traffic with itself has one side.
          ...(dst.isNode && dst.id !== src.id ? [side(about, dst, src, true, wantsNode(dst))] : []),
        ].filter(({ peer }) => isOfNetwork(peer))
      }
      if (isNetworks) {
        // What was sent to a network is its `tx`, as if by the other end.
        return [
          ...(isNetwork(dst) ? [side(about, src, dst, false, true)] : []),
          ...(isNetwork(src) ? [side(about, dst, src, true, true)] : []),
        ].filter(({ peer }) => isOfNetwork(peer))
      }
      if (where.network !== undefined && !isOfNetwork(src) && !isOfNetwork(dst)) return []
      if (isUnordered && isPair) {
        if (src.id === 'none' || dst.id === 'none') return []
        const [one, other] = endpointKey(src) < endpointKey(dst) ? [src, dst] : [dst, src]
        return [side({ ...about, src: one, dst: other }, one, other, false, true)]
      }
      return [side(about, src, dst, false, true)]
    },
  }
}

/** What of a row counts, by the rule's measure. */
export function measured(
  measure: Measure,
  isBack: boolean,
  row: Pick<EdgeRow, 'txBytes' | 'rxBytes' | 'txPkts' | 'rxPkts'>,
): number {
  const counters = measure.endsWith('bytes') ? [row.txBytes, row.rxBytes] : [row.txPkts, row.rxPkts]
  const [tx = 0, rx = 0] = (isBack ? counters.toReversed() : counters).map(Number)
  if (measure.startsWith('tx_')) return tx
  return measure.startsWith('rx_') ? rx : tx + rx
}

type Matcher = (...names: string[]) => boolean

function matcherOf(patterns: Patterns | undefined): Matcher {
  return patterns === undefined ? () => true : createMatcher(patterns)
}

/** What an endpoint is told apart by: nodes by id, whatever they are called. */
export function endpointKey({ id, name, isNode }: Endpoint): string {
  return isNode ? id : name
}

function same(text: string): readonly [string, string] {
  return [text, text]
}

function valueOfDim(dim: Dim, about: EdgeAbout, own: Endpoint, peer: Endpoint): readonly [value: string, name: string] {
  switch (dim) {
    case 'node':
      return [own.id, own.name]
    case 'owner':
      return same(own.owner)
    case 'network':
      return same(peer.name)
    case 'src':
      return [endpointKey(about.src), about.src.name]
    case 'dst':
      return [endpointKey(about.dst), about.dst.name]
    case 'port':
      return same(about.port)
    case 'proto':
      return same(about.proto)
    case 'kind':
      return same(about.kind)
  }
}
