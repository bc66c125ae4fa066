/** The points of a message: layout of their columns. flatten/ is pure and does no I/O. */
import { hashNumbers } from '../base/hash.ts'
import type { Kind, QuarantinedPart } from '../source/parse/message.ts'

/** No tag value is longer, in bytes of UTF-8 before escaping. */
export const TAG_BYTES_MAX = 256

/** Cells per `tailnet_flow` point in `Points.flowCells`. */
export const FLOW_CELLS = 7
/** Index into KINDS. */
export const FLOW_KIND = 0
/** 0 to 255: index into PROTO_TAGS; from 256: `protoTags[cell - 256]`. */
export const FLOW_PROTO = 1
/** Index into the address cells; 0 is `none`. */
export const FLOW_SRC = 2
export const FLOW_DST = 3
/** The service port, -1 for `none`. */
export const FLOW_PORT = 4
/** -2 for `none` (not physical), -1 for `direct`, otherwise the DERP region. */
export const FLOW_PATH = 5
/** How many entries the point is the sum of. */
export const FLOW_COUNT = 6

export const PATH_NONE = -2
export const PATH_DIRECT = -1

/** Cells per address in `Points.addressCells`: start and end in `texts` of the tag value and of the name. */
export const ADDRESS_CELLS = 8
export const ADDRESS_START = 0
export const ADDRESS_END = 1
/** Negative when no point needs the name: the peer of physical traffic has none. */
export const ADDRESS_NAME_START = 2
export const ADDRESS_NAME_END = 3
/** The same address without its port, as an index; itself where it has none. */
export const ADDRESS_BARE = 4
/** MARK_TEXT and MARK_NAME: which of the two contains a space, comma or `=`, so that the encoder need not search for them. */
export const ADDRESS_MARKS = 5
export const MARK_TEXT = 1
export const MARK_NAME = 2
/** A hash of the text of the tag value, the same in every message. */
export const ADDRESS_HASH = 7
/** Cell 6 is used by the address table only. */

/** Cells per kind in `Points.totals`: its four counters, DERP tx and rx bytes. */
export const TOTALS = 6

/** Counters as int64, for messages whose counters are too large for doubles. */
export interface ExactCounters {
  /** As `Points.flowCounters`. */
  readonly flows: BigInt64Array
  /** As `Points.totals`. */
  readonly totals: BigInt64Array
}

/** A hash of the tags of a flow point, not spread yet. `src` and `dst`: numbers that stand for the addresses. */
export function hashTags(kind: number, proto: number, src: number, dst: number, port: number, path: number): number {
  return hashNumbers(src, dst, ((proto << 2) | kind) ^ (port << 12) ^ (path << 15))
}

/** The same for a point of a message, equal in every message that has a point with these tags. */
export function hashOfFlow({ flowCells, addressCells }: Points, index: number): number {
  const cell = index * FLOW_CELLS
  return hashTags(
    flowCells[cell + FLOW_KIND]!,
    flowCells[cell + FLOW_PROTO]!,
    addressCells[flowCells[cell + FLOW_SRC]! * ADDRESS_CELLS + ADDRESS_HASH]!,
    addressCells[flowCells[cell + FLOW_DST]! * ADDRESS_CELLS + ADDRESS_HASH]!,
    flowCells[cell + FLOW_PORT]!,
    flowCells[cell + FLOW_PATH]!,
  )
}

/** The points of one message: first `flowCount` of `tailnet_flow`, then one of `tailnet_node` for each kind with entries. Valid only
 * until the next message is flattened: the columns are reused, and only the rows counted here mean anything. Texts are tag values:
 * sanitised, UTF-8, not escaped. */
export interface Points {
  /** Number of points: `tailnet_flow` and `tailnet_node` together. */
  readonly count: number
  /** A 64-bit hash of the message's identity (node, start) and of all its entries with their counters, without `logged`:
   * equal for a re-delivered copy, different as soon as any counter is. The order of the entries does not matter. */
  readonly digest: bigint

  readonly tailnet: string
  /** Stable id of the reporting node. */
  readonly node: string
  readonly nodeName: string
  /** Timestamp of all points: ns, the node's clock. */
  readonly startNs: bigint
  /** When the API got the message: ns, its clock. */
  readonly loggedNs: bigint

  readonly flowCount: number
  readonly flowCells: Int32Array
  /** Four per flow point: tx bytes, tx packets, rx bytes, rx packets. Exact, unless `exact` is there. */
  readonly flowCounters: Float64Array
  /** The counters of a message that has them beyond 2^53: then those in doubles are rounded. */
  readonly exact: ExactCounters | undefined
  /** Tag values of protocols that are not numbers from 0 to 255. */
  readonly protoTags: readonly string[]
  readonly addressCells: Int32Array
  /** Begins at byte 0 of its buffer and has at least 16 bytes to spare, so that texts can be copied eight bytes at a time. */
  readonly texts: Uint8Array
  /** The same memory as `texts`. */
  readonly textsView: DataView

  /** Sums per kind, TOTALS each. Exact, unless `exact` is there. */
  readonly totals: Float64Array
  /** Entries taken, per kind; there is a `tailnet_node` point where it is above 0. */
  readonly flows: Int32Array
  /** Distinct peers, per kind. */
  readonly peers: Int32Array

  /** Entries that were not added, because a sum would exceed 2^63-1. Their counters are in no point. */
  readonly quarantined: readonly QuarantinedPart[]

  /** One `tailnet_flow` point as an object, for callers that need few of them. `index` is below `flowCount`. */
  flow(index: number): FlowPoint
  /** The `tailnet_node` point of a kind, if there is one. */
  nodePoint(kind: Kind): NodePoint | undefined
}

interface PointCounters {
  readonly txBytes: bigint
  readonly txPkts: bigint
  readonly rxBytes: bigint
  readonly rxPkts: bigint
  readonly flows: number
}

export interface FlowPoint extends PointCounters {
  readonly kind: Kind
  readonly proto: string
  readonly src: string
  readonly dst: string
  readonly port: string
  readonly path: string
  readonly srcName: string
  readonly dstName: string
}

export interface NodePoint extends PointCounters {
  readonly kind: Kind
  readonly peers: number
  /** 0 unless physical. */
  readonly derpTxBytes: bigint
  readonly derpRxBytes: bigint
}
