/** What an edge adds to a rule's sums: once, or a part for each endpoint that is a node or a network. */
import type { Endpoint } from '../rollup/endpoints.ts'
import type { EdgeRow } from '../rollup/row.ts'
import { isBytes, type Measure } from './amount.ts'
import { createMatcher, type Patterns } from './patterns.ts'
import { isBothWays, isByEndpoint, type Scope } from './rules/scope.ts'

/** `own`: the endpoint that the part is of, `far` the other one; both undefined where the edge counts as a whole. In bytes or packets. */
export type TakePart = (value: number, own?: Endpoint, far?: Endpoint) => void

/** `networks`: names of the settings. */
export function createEdgeParts(scope: Scope, networks: ReadonlySet<string>): (edge: EdgeRow, take: TakePart) => void {
  const { where, measure, kinds } = scope
  const [wantsNode, wantsOwner, wantsNetwork, wantsSrc, wantsDst] = [
    ...[where.node, where.owner, where.network, where.src, where.dst],
  ].map(matcherOf)
  const isNodes = isByEndpoint(scope)
  const isNetworks = !isNodes && scope.by.includes('network')
  const isFarNetwork = isNodes && scope.by.includes('network')
  const isPackets = !isBytes(measure)
  const isWhole = isBothWays(scope)

  const isNode = ({ id, name, owner, isNode }: Endpoint) => isNode && wantsNode!(name, id) && wantsOwner!(owner)
  const isNetwork = ({ name, isNode }: Endpoint) => !isNode && networks.has(name) && wantsNetwork!(name)

  return (edge, take) => {
    const { src, dst, kind, port, proto } = edge
    if (!kinds.includes(kind)) return
    if (where.port && !where.port.includes(Number(port))) return
    if (where.proto && !where.proto.includes(proto)) return
    if (where.network && !isNetwork(src) && !isNetwork(dst)) return
    if (!wantsSrc!(src.name) || !wantsDst!(dst.name)) return
    const tx = Number(isPackets ? edge.txPkts : edge.txBytes)
    const rx = Number(isPackets ? edge.rxPkts : edge.rxBytes)
    if (!isNodes && !isNetworks) {
      take(isWhole ? tx + rx : measured(measure, tx, rx))
      return
    }
    const side = (own: Endpoint, far: Endpoint, sent: number, received: number) => {
      if (isNodes && isNode(own) && (!isFarNetwork || isNetwork(far))) take(measured(measure, sent, received), own, far)
      // `tx` is what was sent to a network.
      if (isNetworks && isNetwork(own)) take(measured(measure, received, sent), own, far)
    }
    side(src, dst, tx, rx)
    // A node that talks to itself is one endpoint.
    if (src.id !== dst.id) side(dst, src, rx, tx)
  }
}

export function measured(measure: Measure, tx: number, rx: number): number {
  if (measure.startsWith('tx_')) return tx
  return measure.startsWith('rx_') ? rx : tx + rx
}

function matcherOf(patterns: Patterns | undefined): (...names: string[]) => boolean {
  return patterns === undefined ? () => true : createMatcher(patterns)
}
