/** Texts that many lines of one message share: made once per message and then copied. */

import { PROTO_TAGS } from '../../base/protocol.ts'
import { type Points, TAG_BYTES_MAX } from '../../flatten/points.ts'
import { KINDS } from '../../source/parse/message.ts'
import { TextChunks } from './batches.ts'
import { writeInt64 } from './numbers.ts'

const PROTOS = PROTO_TAGS.length

/** `,kind=virtual,proto=tcp,src=` and so on for every kind and protocol, and then `,kind=virtual` for every kind. */
const fixed = new TextChunks(64 * 1024)
const starts: number[] = []
for (const kind of KINDS) {
  for (const proto of PROTO_TAGS) {
    starts.push(fixed.used)
    fixed.add(`,kind=${kind},proto=${proto},src=`)
  }
}
for (const kind of KINDS) {
  starts.push(fixed.used)
  fixed.add(`,kind=${kind}`)
}
starts.push(fixed.used)

export const FIXED = fixed.view
/** Where `,kind=K,proto=P,src=` begins in FIXED: at index `protoKey(K, P)`; it ends where the next one begins. */
export const FIXED_STARTS = Int32Array.from(starts)

/** `proto` below 256. */
export function protoKey(kind: number, proto: number): number {
  return kind * PROTOS + proto
}

/** The same for `,kind=K` without a protocol. */
export function kindKey(kind: number): number {
  return KINDS.length * PROTOS + kind
}

export class PrefixCache {
  private readonly own = new TextChunks(TAG_BYTES_MAX * 16)
  readonly view = this.own.view
  private tailnet: string | undefined

  // In `,port=none,path=none,tailnet=T,node_name=N,src_name=`: where each part begins, and where it ends.
  readonly portNone = 0
  readonly pathNone = ',port=none'.length
  readonly common = ',port=none,path=none'.length
  private nodeName = 0
  /** Where the tags of a node line end, which has no `src_name`. */
  nodeTagsEnd = 0
  commonEnd = 0
  /** `i 1761691191890385065` and the end of the line. */
  tail = 0
  tailEnd = 0
  /** `tailnet_flow,node=N`, and `tailnet_node,node=N`. */
  flowHead = 0
  flowHeadEnd = 0
  nodeHead = 0
  nodeHeadEnd = 0

  begin(points: Points): void {
    const { own } = this
    if (points.tailnet !== this.tailnet) {
      this.tailnet = points.tailnet
      own.used = 0
      own.add(',port=none,path=none,tailnet=')
      own.addTag(points.tailnet)
      own.add(',node_name=')
      this.nodeName = own.used
    }
    own.used = this.nodeName
    own.addTag(points.nodeName)
    this.nodeTagsEnd = own.used
    own.add(',src_name=')
    this.commonEnd = own.used
    this.tail = own.used
    own.add('i ')
    own.used = writeInt64(own.view, own.used, points.startNs)
    own.add('\n')
    this.tailEnd = own.used
    this.flowHead = own.used
    own.add('tailnet_flow,node=')
    const node = own.used
    own.addTag(points.node)
    this.flowHeadEnd = own.used
    this.nodeHead = own.used
    own.add('tailnet_node,node=')
    own.copy(own.view, node, this.flowHeadEnd)
    this.nodeHeadEnd = own.used
  }
}
