/** Rows of one minute as numbers. What a row is about becomes one number, by which each view remembers the group: texts are looked at once, not every minute. */
import type { Endpoint } from '../../rollup/endpoints.ts'
import type { EdgeRow, NodeRow } from '../../rollup/row.ts'
import { ROLES } from '../../rollup/row.ts'
import { createTuples, type Tuples } from '../../rollup/tuples.ts'
import { KINDS } from '../../source/parse/message.ts'

/** Counters of a row: sent and received by `src` or the node, bytes and packets, and for a node what was relayed. */
export const TX_BYTES = 0
export const RX_BYTES = 1
export const TX_PKTS = 2
export const RX_PKTS = 3
export const DERP_BYTES = 4
export const COUNTERS = 5

/** Numbers of an edge: src, dst, port (-1 without), protocol and kind. */
const EDGE = 4
/** Numbers of a node's row: the node, role, kind. */
const NODE = 3

/** Rows of one measurement. */
export class RowColumns {
  count = 0
  /** By row: what it is about. */
  tuples = new Int32Array(1024)
  counters = new Float64Array(1024 * COUNTERS)

  add(tuple: number): number {
    if (this.count === this.tuples.length) {
      const tuples = new Int32Array(this.count * 2)
      tuples.set(this.tuples)
      this.tuples = tuples
      const counters = new Float64Array(this.count * 2 * COUNTERS)
      counters.set(this.counters)
      this.counters = counters
    }
    this.tuples[this.count] = tuple
    this.count += 1
    return (this.count - 1) * COUNTERS
  }
}

/** More endpoints or tuples are not remembered: then all begins anew. */
const ENDPOINTS_MAX = 2 ** 17
const TUPLES_MAX = 2 ** 19

export class RowNumbers {
  readonly edges = new RowColumns()
  readonly nodes = new RowColumns()
  /** Changes when numbers mean something else. */
  version = 0
  private endpoints: Endpoint[] = []
  private byText = new Map<string, number>()
  /** Endpoints of this minute: their objects are the same in all of its rows. */
  private readonly byObject = new Map<Endpoint, number>()
  private protos: string[] = []
  private protoNumbers = new Map<string, number>()
  private edgeTuples: Tuples = createTuples(EDGE)
  private nodeTuples: Tuples = createTuples(NODE)
  private readonly edgeKey = new Int32Array(EDGE)
  private readonly nodeKey = new Int32Array(NODE)

  /** A minute begins. */
  begin(): void {
    this.edges.count = 0
    this.nodes.count = 0
    this.byObject.clear()
    if (this.endpoints.length < ENDPOINTS_MAX && this.edgeTuples.count < TUPLES_MAX) return
    this.endpoints = []
    this.byText = new Map()
    this.protos = []
    this.protoNumbers = new Map()
    this.edgeTuples = createTuples(EDGE)
    this.nodeTuples = createTuples(NODE)
    this.version += 1
  }

  edge(row: EdgeRow): void {
    const { edgeKey } = this
    edgeKey[0] = this.endpointNumber(row.src)
    edgeKey[1] = this.endpointNumber(row.dst)
    edgeKey[2] = row.port === 'none' ? -1 : Number(row.port)
    edgeKey[3] = this.protoNumber(row.proto) * KINDS.length + KINDS.indexOf(row.kind)
    this.put(this.edges, this.edgeTuples.indexOf(edgeKey), row)
  }

  node(row: NodeRow): void {
    const { nodeKey } = this
    nodeKey[0] = this.endpointNumber(row.node)
    nodeKey[1] = ROLES.indexOf(row.role)
    nodeKey[2] = KINDS.indexOf(row.kind)
    const at = this.put(this.nodes, this.nodeTuples.indexOf(nodeKey), row)
    this.nodes.counters[at + DERP_BYTES] = Number(row.derpTxBytes) + Number(row.derpRxBytes)
  }

  private put(columns: RowColumns, tuple: number, row: EdgeRow | NodeRow): number {
    const at = columns.add(tuple)
    const { counters } = columns
    counters[at + TX_BYTES] = Number(row.txBytes)
    counters[at + RX_BYTES] = Number(row.rxBytes)
    counters[at + TX_PKTS] = Number(row.txPkts)
    counters[at + RX_PKTS] = Number(row.rxPkts)
    return at
  }

  private endpointNumber(endpoint: Endpoint): number {
    let number = this.byObject.get(endpoint)
    if (number !== undefined) return number
    const text = `${endpoint.id}\n${endpoint.name}\n${endpoint.owner}`
    number = this.byText.get(text)
    if (number === undefined) {
      number = this.endpoints.push(endpoint) - 1
      this.byText.set(text, number)
    }
    this.byObject.set(endpoint, number)
    return number
  }

  private protoNumber(proto: string): number {
    let number = this.protoNumbers.get(proto)
    if (number === undefined) this.protoNumbers.set(proto, (number = this.protos.push(proto) - 1))
    return number
  }

  /** What an edge is about. */
  edgeAbout(tuple: number) {
    const { cells } = this.edgeTuples
    const at = tuple * EDGE
    const protoKind = cells[at + 3]!
    return {
      src: this.endpoints[cells[at]!]!,
      dst: this.endpoints[cells[at + 1]!]!,
      port: cells[at + 2]!,
      proto: this.protos[Math.floor(protoKind / KINDS.length)]!,
      kind: protoKind % KINDS.length,
    }
  }

  /** The service port of an edge; -1 without. */
  portOf(tuple: number): number {
    return this.edgeTuples.cells[tuple * EDGE + 2]!
  }

  nodeAbout(tuple: number) {
    const { cells } = this.nodeTuples
    const at = tuple * NODE
    return { node: this.endpoints[cells[at]!]!, role: ROLES[cells[at + 1]!]!, kind: cells[at + 2]! }
  }

  get bytes(): number {
    const { edges, nodes, edgeTuples, nodeTuples, endpoints } = this
    const columns = [edges, nodes].reduce((sum, one) => sum + one.tuples.byteLength + one.counters.byteLength, 0)
    return columns + edgeTuples.bytes + nodeTuples.bytes + endpoints.length * ENDPOINT_BYTES
  }
}

/** An endpoint with its texts and its place in a map, roughly. */
const ENDPOINT_BYTES = 300
export type EdgeAbout = ReturnType<RowNumbers['edgeAbout']>
export type NodeAbout = ReturnType<RowNumbers['nodeAbout']>
