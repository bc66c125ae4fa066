/** Rows of one minute as numbers. What a row is about becomes one number, by which each view remembers the group: texts are looked at once, not every minute. */
import { getOrInsert } from '../../base/maps.ts'
import { createTuples } from '../../rollup/points/tuples.ts'
import type { Endpoint } from '../../rollup/rows/endpoints.ts'
import { type EdgeRow, type NodeRow, ROLES } from '../../rollup/rows/row.ts'
import { KINDS } from '../../source/parse/message.ts'

/** Counters of a row: sent and received by `src` or the node, bytes and packets, and for a node what was relayed. */
export const [TX_BYTES, RX_BYTES, TX_PKTS, RX_PKTS, DERP_BYTES] = [0, 1, 2, 3, 4] as const
export const COUNTERS = 5

/** Numbers of a row's subject: src, dst, port (-1 without), protocol, and kind and role. */
const WIDTH = 5
/** More endpoints or subjects are not remembered: then all begins anew. */
const ENDPOINTS_MAX = 2 ** 17
const TUPLES_MAX = 2 ** 19
/** An endpoint with its texts and its place in a map, roughly. */
const ENDPOINT_BYTES = 300

/** Rows of one measurement. */
export class RowNumbers {
  count = 0
  /** By row: what it is about. */
  tuples = new Int32Array(1024)
  counters = new Float64Array(1024 * COUNTERS)
  /** Changes when numbers mean something else. */
  version = 0
  private subjects = createTuples(WIDTH)
  private endpoints: Endpoint[] = []
  private readonly byText = new Map<string, number>()
  /** Endpoints of this minute: their objects are the same in all of its rows. */
  private readonly byObject = new Map<Endpoint, number>()
  private readonly protos: string[] = []
  private readonly key = new Int32Array(WIDTH)

  /** A minute begins. */
  begin(): void {
    this.count = 0
    this.byObject.clear()
    if (this.endpoints.length < ENDPOINTS_MAX && this.subjects.count < TUPLES_MAX) return
    this.endpoints = []
    this.byText.clear()
    this.subjects = createTuples(WIDTH)
    this.version += 1
  }

  edge(row: EdgeRow): void {
    this.add(row, row.src, row.dst, row.port, row.proto, 0)
  }

  node(row: NodeRow): void {
    const at = this.add(row, row.node, row.node, 'none', 'none', ROLES.indexOf(row.role))
    this.counters[at + DERP_BYTES] = Number(row.derpTxBytes) + Number(row.derpRxBytes)
  }

  private add(row: EdgeRow | NodeRow, src: Endpoint, dst: Endpoint, port: string, proto: string, role: number): number {
    const { key, count } = this
    key[0] = this.endpointNumber(src)
    key[1] = this.endpointNumber(dst)
    key[2] = port === 'none' ? -1 : Number(port)
    key[3] = this.protos.indexOf(proto)
    if (key[3] < 0) key[3] = this.protos.push(proto) - 1
    key[4] = KINDS.indexOf(row.kind) * ROLES.length + role
    if (count === this.tuples.length) {
      const [tuples, counters] = [new Int32Array(count * 2), new Float64Array(count * 2 * COUNTERS)]
      tuples.set(this.tuples)
      counters.set(this.counters)
      Object.assign(this, { tuples, counters })
    }
    this.tuples[count] = this.subjects.indexOf(key)
    this.count += 1
    const at = count * COUNTERS
    this.counters[at + TX_BYTES] = Number(row.txBytes)
    this.counters[at + RX_BYTES] = Number(row.rxBytes)
    this.counters[at + TX_PKTS] = Number(row.txPkts)
    this.counters[at + RX_PKTS] = Number(row.rxPkts)
    return at
  }

  private endpointNumber(endpoint: Endpoint): number {
    return getOrInsert(this.byObject, endpoint, () =>
      getOrInsert(
        this.byText,
        `${endpoint.id}\n${endpoint.name}\n${endpoint.owner}`,
        () => this.endpoints.push(endpoint) - 1,
      ),
    )
  }

  /** What a row is about; a node is both ends. */
  about(tuple: number) {
    const [src, dst, port, proto, kindRole] = this.subjects.cells.subarray(tuple * WIDTH) as unknown as number[]
    return {
      src: this.endpoints[src!]!,
      dst: this.endpoints[dst!]!,
      port: port! < 0 ? 'none' : String(port),
      proto: this.protos[proto!]!,
      kind: KINDS[Math.floor(kindRole! / ROLES.length)]!,
      role: ROLES[kindRole! % ROLES.length]!,
    }
  }

  /** The service port of an edge; -1 without. */
  portOf(tuple: number): number {
    return this.subjects.cells[tuple * WIDTH + 2]!
  }

  get bytes(): number {
    const { tuples, counters, subjects, endpoints } = this
    return tuples.byteLength + counters.byteLength + subjects.bytes + endpoints.length * ENDPOINT_BYTES
  }
}
