/** The points of a message: layout of their columns. flatten/ is pure and does no I/O. */
import { hashNumbers } from '../base/hash.ts'
import type { Kind, Message, QuarantinedPart } from '../source/parse/message.ts'

/** No tag value is longer, in bytes of UTF-8 before escaping. */
export const TAG_BYTES_MAX = 256

/** Cells per point in `Points.flowCells`. */
export const FLOW_CELLS = 8
/** Index into KINDS. */
export const FLOW_KIND = 0
/** 0 to 255: index into PROTO_TAGS; from 256: `protoTags[cell - 256]`. */
export const FLOW_PROTO = 1
/** Index into the address cells; 0 is `none`. */
export const FLOW_SRC = 2
export const FLOW_DST = 3
/** The port that is kept of an end, -1 for `none`. */
export const FLOW_SRC_PORT = 4
export const FLOW_DST_PORT = 5
/** -2 for `none` (not physical), -1 for `direct`, otherwise the DERP region. */
export const FLOW_PATH = 6
/** How many entries the point is the sum of. */
export const FLOW_COUNT = 7

export const PATH_NONE = -2
export const PATH_DIRECT = -1

/** The tag value of a path cell. */
export function pathTag(path: number): string {
  if (path === PATH_NONE) return 'none'
  return path === PATH_DIRECT ? 'direct' : `derp-${path}`
}

/** Cells per address in `Points.addressCells`: start and end in `texts` of the tag value, which is the address without its port. */
export const ADDRESS_CELLS = 4
export const ADDRESS_START = 0
export const ADDRESS_END = 1
/** 1 when the tag value contains a space, comma or `=`, so that the encoder need not search for them; otherwise 0. */
export const ADDRESS_MARKS = 2
/** A hash of the tag value, the same in every message. */
export const ADDRESS_HASH = 3

/** Cells per kind in `Points.totals`: its four counters, DERP tx and rx bytes. */
export const TOTALS = 6

/** Counters as int64, for messages whose counters are too large for doubles. */
export interface ExactCounters {
  /** As `Points.flowCounters`. */
  readonly flows: BigInt64Array
  /** As `Points.totals`. */
  readonly totals: BigInt64Array
}

/** What is flattened of a message: nothing that it says about devices. */
export type Entries = Pick<
  Message,
  | 'nodeId'
  | 'startNs'
  | 'loggedNs'
  | 'entryCount'
  | 'text'
  | 'textStart'
  | 'view'
  | 'plain'
  | 'cells'
  | 'counters'
  | 'exact'
  | 'protoNames'
>

/** A hash of the tags of a point, not spread yet. `src` and `dst`: numbers that stand for the addresses. */
export function hashTags(
  kind: number,
  proto: number,
  src: number,
  dst: number,
  srcPort: number,
  dstPort: number,
  path: number,
): number {
  return hashNumbers(
    src + Math.imul(srcPort, 0x2c1b3c6d),
    dst + Math.imul(dstPort, 0x297a2d39),
    ((proto << 2) | kind) ^ (path << 15),
  )
}

/** The same for a point of a message, equal in every message that has a point with these tags. */
export function hashOfFlow({ flowCells, addressCells }: Points, index: number): number {
  const cell = index * FLOW_CELLS
  return hashTags(
    flowCells[cell + FLOW_KIND]!,
    flowCells[cell + FLOW_PROTO]!,
    addressCells[flowCells[cell + FLOW_SRC]! * ADDRESS_CELLS + ADDRESS_HASH]!,
    addressCells[flowCells[cell + FLOW_DST]! * ADDRESS_CELLS + ADDRESS_HASH]!,
    flowCells[cell + FLOW_SRC_PORT]!,
    flowCells[cell + FLOW_DST_PORT]!,
    flowCells[cell + FLOW_PATH]!,
  )
}

/** The points of one message, all of `tailnet_flow`. Valid only until the next message is flattened: the columns are reused, and only the
 * rows counted here mean anything. Texts are tag values: sanitised, UTF-8, not escaped. Nothing here comes from elsewhere than the message and the
 * settings of its time. */
export interface Points {
  readonly count: number
  /** A 64-bit hash of the message's identity (node, start) and of all its entries with their counters, without `logged`:
   * equal for a re-delivered copy, different as soon as any counter is. The order of the entries does not matter. */
  readonly digest: bigint

  readonly tailnet: string
  /** Stable id of the reporting node. */
  readonly node: string
  /** Timestamp of all points: ns, the node's clock. */
  readonly startNs: bigint
  /** When the API got the message: ns, its clock. */
  readonly loggedNs: bigint

  readonly flowCells: Int32Array
  /** Four per point: tx bytes, tx packets, rx bytes, rx packets. Exact, unless `exact` is there. */
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
  /** Entries taken, per kind. */
  readonly flows: Int32Array

  /** Entries that were not added, because a sum would exceed 2^63-1. Their counters are in no point. */
  readonly quarantined: readonly QuarantinedPart[]

  /** One point as an object, for callers that need few of them. `index` is below `count`. */
  flow(index: number): FlowPoint
}

export interface FlowPoint {
  readonly kind: Kind
  readonly proto: string
  readonly src: string
  readonly dst: string
  readonly srcPort: string
  readonly dstPort: string
  readonly path: string
  readonly txBytes: bigint
  readonly txPkts: bigint
  readonly rxBytes: bigint
  readonly rxPkts: bigint
  readonly flows: number
}
