/** From the points of a message to what each scope adds up. The hot part of the room: once per message, and once per flow where a scope
 * looks at ends or ports. Nodes, names and addresses become small numbers once; after that everything is looked up by number. */
import { FLOW_CELLS, FLOW_DST, FLOW_KIND, FLOW_PORT, FLOW_PROTO, FLOW_SRC, type Points } from '../flatten/points.ts'
import { KINDS, WIDE } from '../source/message.ts'
import { PROTO_TAGS } from '../source/message-proto.ts'
import { createTexts } from './feed-texts.ts'
import type { People } from './people.ts'
import type { Scope, Sum } from './scope.ts'
import { OVERFLOW } from './series.ts'
import { createStaged, type Seen, type Staged, type StagedScope } from './staged.ts'

export interface Feed {
  stage(): Staged
  /** Adds one message. */
  take(staged: Staged, points: Points): void
}

const KIND_COUNT = KINDS.length
/** Totals of a kind: four counters, DERP tx and rx bytes; see Points.totals. */
const TOTALS = 6
const NODES_MAX = 200_000
const UNKNOWN = -1
const SECOND = 1_000_000_000n

/** Which totals make a sum; flows have only the first four. `messages` is one for each. */
const PARTS: Readonly<Record<Exclude<Sum, 'messages'>, readonly number[]>> = {
  tx_bytes: [0],
  tx_pkts: [1],
  rx_bytes: [2],
  rx_pkts: [3],
  bytes: [0, 2],
  pkts: [1, 3],
  derp_bytes: [4, 5],
}

interface Node {
  readonly id: string
  readonly name: string
  readonly number: number
}

/** A scope with what is remembered about it between messages. */
interface Taker {
  readonly scope: Scope
  /** Group by node number and kind. */
  groups: Int32Array<ArrayBuffer>
  /** Group by the numbers of a flow. */
  flowGroups: Map<number | string, number>
  /** The same where groups are only seen. */
  seenGroups: Map<number | string, Seen>
  /** By node number: 1 wanted, 0 not. */
  nodes: Int32Array<ArrayBuffer>
  version: number
  peopleVersion: number
}

export function createFeed(scopes: readonly Scope[], people: People): Feed {
  const takers = scopes.map(
    (scope): Taker => ({
      scope,
      groups: new Int32Array(0),
      flowGroups: new Map(),
      seenGroups: new Map(),
      nodes: new Int32Array(0),
      version: UNKNOWN,
      peopleVersion: UNKNOWN,
    }),
  )
  const nodeTakers = takers.filter(({ scope }) => scope.byNode)
  const flowTakers = takers.filter(({ scope }) => !scope.byNode)
  const texts = createTexts()
  let nodes = new Map<string, Node>()
  // The message in work.
  let points: Points
  let node: Node
  let seconds = 0

  function nodeOf(id: string, name: string): Node {
    const key = `${id}\u0000${name}`
    const known = nodes.get(key)
    if (known) return known
    if (nodes.size >= NODES_MAX) {
      nodes = new Map()
      for (const taker of takers) forget(taker)
    }
    const made = { id, name, number: nodes.size }
    nodes.set(key, made)
    return made
  }

  function forget(taker: Taker): void {
    taker.groups = new Int32Array(0)
    taker.nodes = new Int32Array(0)
    taker.flowGroups = new Map()
    taker.seenGroups = new Map()
    taker.version = taker.scope.series.version
    taker.peopleVersion = people.version
  }

  /** False when the scope does not want this node. Forgets what is no longer true. */
  function wantsNode(taker: Taker): boolean {
    const { by, wants, series } = taker.scope
    const usesOwner = by.includes('owner') || wants.owner !== undefined || taker.scope.seen.length > 0
    if (taker.version !== series.version || (usesOwner && taker.peopleVersion !== people.version)) forget(taker)
    if (wants.node === undefined && wants.owner === undefined) return true
    if (taker.nodes.length <= node.number) taker.nodes = wider(taker.nodes, node.number)
    if (taker.nodes[node.number] === UNKNOWN) {
      const isWanted = (wants.node?.(node.name, node.id) ?? true) && (wants.owner?.(people.ownerOf(node.id)) ?? true)
      taker.nodes[node.number] = isWanted ? 1 : 0
    }
    return taker.nodes[node.number] === 1
  }

  function takeTotals(staged: Staged, taker: Taker): void {
    const { scope } = taker
    if (!wantsNode(taker)) return
    for (let kind = 0; kind < KIND_COUNT; kind++) {
      if ((scope.kinds & (1 << kind)) === 0 || points.flows[kind] === 0) continue
      const cell = node.number * KIND_COUNT + kind
      if (taker.groups.length <= cell) taker.groups = wider(taker.groups, cell)
      let id = taker.groups[cell]!
      if (id === UNKNOWN) {
        const { by } = scope
        id = scope.series.idOf(
          by.map((dim) => (dim === 'node' ? node.id : dim === 'owner' ? people.ownerOf(node.id) : KINDS[kind]!)),
        )
        // There may be room later.
        if (id !== OVERFLOW) taker.groups[cell] = id
      }
      add(staged.of(scope), scope, id, points.totals, points.wide ? points.totalHighs : undefined, kind * TOTALS)
    }
  }

  function add(
    part: StagedScope,
    scope: Scope,
    id: number,
    values: Float64Array,
    highs: Float64Array | undefined,
    at: number,
  ): void {
    for (const by of scope.summed) {
      let value = 0
      if (by.sum === 'messages') value = 1
      else for (const index of PARTS[by.sum]) value += values[at + index]! + (highs ? highs[at + index]! * WIDE : 0)
      if (value !== 0) part.addSum(by, Math.floor(seconds / by.stepSeconds), id, value)
    }
    if (id === OVERFLOW) return
    for (const by of scope.present) part.addPresence(by, Math.floor(seconds / by.slotSeconds), id)
  }

  function takeFlows(staged: Staged, taker: Taker): void {
    const { scope } = taker
    if (!wantsNode(taker)) return
    const { wants, by } = scope
    const { flowCells, protoTags } = points
    const keepsNode = by.includes('node') || by.includes('owner')
    const keepsSrc = by.includes('src')
    const keepsDst = by.includes('dst')
    const keepsMore = by.includes('port') || by.includes('proto') || by.includes('kind')
    const needsDst = keepsDst || wants.dst !== undefined || scope.distinct.length > 0
    for (let i = 0; i < points.flowCount; i++) {
      const cell = i * FLOW_CELLS
      const kind = flowCells[cell + FLOW_KIND]!
      if ((scope.kinds & (1 << kind)) === 0) continue
      const port = flowCells[cell + FLOW_PORT]!
      if (wants.port && !wants.port.has(port)) continue
      const proto = flowCells[cell + FLOW_PROTO]!
      if (wants.proto && !wants.proto.has(protoOf(proto, protoTags))) continue
      const srcAddress = flowCells[cell + FLOW_SRC]!
      const dstAddress = flowCells[cell + FLOW_DST]!
      if (scope.isRouter && (!texts.isInTailnet(dstAddress) || texts.isInTailnet(srcAddress))) continue
      const src = keepsSrc || wants.src ? texts.nameOf(srcAddress) : 0
      const dst = needsDst ? texts.nameOf(dstAddress) : 0
      if (wants.src && !texts.matches(wants.src, src)) continue
      if (wants.dst && !texts.matches(wants.dst, dst)) continue
      if (scope.seen.length > 0) {
        see(staged.of(scope), taker, { srcAddress, dstAddress, port, proto, kind })
        continue
      }
      const ends = (keepsSrc ? src : 0) * 2 ** 26 + (keepsDst ? dst : 0)
      const more = keepsMore ? `${port} ${proto < 256 ? proto : protoTags[proto - 256]} ${kind} ` : ''
      const key = keepsMore || keepsNode ? `${more}${keepsNode ? node.number : ''} ${ends}` : ends
      let id = taker.flowGroups.get(key)
      if (id === undefined) {
        id = scope.series.idOf(
          by.map((dim) => {
            if (dim === 'src') return texts.textOf(src)
            return dim === 'dst' ? texts.textOf(dst) : dimValue(dim, port, proto, kind)
          }),
        )
        if (id !== OVERFLOW) taker.flowGroups.set(key, id)
      }
      const part = staged.of(scope)
      add(part, scope, id, points.flowCounters, points.wide ? points.flowHighs : undefined, i * 4)
      for (const one of scope.distinct) {
        const item = one.distinct.of === 'dst' ? texts.textOf(dst) : port < 0 ? 'none' : String(port)
        if (item !== 'none') part.addItem(one, Math.floor(seconds / one.stepSeconds), id, item)
      }
    }
  }

  function dimValue(
    dim: 'node' | 'owner' | 'port' | 'proto' | 'kind',
    port: number,
    proto: number,
    kind: number,
  ): string {
    if (dim === 'node') return node.id
    if (dim === 'owner') return people.ownerOf(node.id)
    if (dim === 'port') return port < 0 ? 'none' : String(port)
    return dim === 'proto' ? protoOf(proto, points.protoTags) : KINDS[kind]!
  }

  function see(
    part: StagedScope,
    { scope, seenGroups }: Taker,
    flow: { srcAddress: number; dstAddress: number; port: number; proto: number; kind: number },
  ): void {
    const ends = texts.addressOf(flow.srcAddress) * 2 ** 26 + texts.addressOf(flow.dstAddress)
    // A pair needs no more to be told; everything else is told by all that there is.
    const isPair = scope.by.length === 2 && scope.by.includes('src') && scope.by.includes('dst')
    const key = isPair ? ends : `${flow.port} ${flow.proto} ${flow.kind} ${node.number} ${ends}`
    let seen = seenGroups.get(key)
    if (seen === undefined) {
      seen = seenOf(scope, flow)
      seenGroups.set(key, seen)
    }
    if (!seen.isWhole) return
    for (const one of scope.seen) part.addSighting(one, seen, Math.floor(seconds / one.stepSeconds))
  }

  /** Known by node ids, so a pair is the same over IPv4 and IPv6 and after a device was renamed; and the same in both directions. */
  function seenOf(
    { by }: Scope,
    flow: { srcAddress: number; dstAddress: number; port: number; proto: number; kind: number },
  ): Seen {
    const ends = [flow.srcAddress, flow.dstAddress].map((address) => ({
      id: people.nodeOf(texts.textOf(texts.addressOf(address))),
      name: texts.textOf(texts.nameOf(address)),
    }))
    const isPair = by.includes('src') && by.includes('dst')
    if (isPair) ends.sort((one, other) => (one.id < other.id ? -1 : one.id > other.id ? 1 : 0))
    const ids: string[] = []
    const names: string[] = []
    for (const dim of by) {
      const end = dim === 'src' ? ends[0] : dim === 'dst' ? ends[1] : undefined
      const value = dim === 'src' || dim === 'dst' ? '' : dimValue(dim, flow.port, flow.proto, flow.kind)
      ids.push(end?.id ?? value)
      names.push(end?.name ?? value)
    }
    return { key: JSON.stringify(ids), names, isWhole: !isPair || ends.every((end) => end.id !== 'none') }
  }

  return {
    stage: createStaged,
    take(staged, next) {
      points = next
      node = nodeOf(next.node, next.nodeName)
      seconds = Number(next.startNs / SECOND)
      people.named(node.id, node.name, seconds)
      for (const taker of nodeTakers) takeTotals(staged, taker)
      if (flowTakers.length === 0) return
      if (texts.begin(next)) for (const taker of flowTakers) forget(taker)
      for (const taker of flowTakers) takeFlows(staged, taker)
    },
  }
}

function protoOf(cell: number, tags: readonly string[]): string {
  return cell < 256 ? PROTO_TAGS[cell]! : tags[cell - 256]!
}

function wider(array: Int32Array<ArrayBuffer>, index: number): Int32Array<ArrayBuffer> {
  let room = 64
  while (room <= index) room *= 2
  const grown = new Int32Array(room).fill(UNKNOWN)
  grown.set(array)
  return grown
}
