/** Texts that many lines share, made once and then copied: those of all messages, and those of one message. */

import { PROTO_TAGS } from '../../base/protocol.ts'
import { type Points, TAG_BYTES_MAX } from '../../flatten/points.ts'
import { KINDS } from '../../source/parse/message.ts'
import { TextChunks } from './batches.ts'
import { writeInt64 } from './numbers.ts'

const PROTOS = PROTO_TAGS.length

const fixed = new TextChunks(32 * 1024)
const starts: number[] = []
function addFixed(text: string): void {
  starts.push(fixed.used)
  fixed.add(text)
}
for (const kind of KINDS) addFixed(`,dst_port=none,kind=${kind}`)
for (const path of ['none', 'direct']) for (const proto of PROTO_TAGS) addFixed(`${path},proto=${proto},src=`)
for (const proto of PROTO_TAGS) addFixed(`,proto=${proto},src=`)
addFixed('tailnet_flow,dst=')
starts.push(fixed.used)

export const FIXED = fixed.view
/** Where each text begins in FIXED, by its key; it ends where the next one begins. `,dst_port=none,kind=K` has the kind as its key. */
export const FIXED_STARTS = Int32Array.from(starts)
/** `,dst_port=none`, which is left out where a port follows. */
export const DST_PORT_NONE = ',dst_port=none'.length
/** Keys of `none,proto=P,src=`, `direct,proto=P,src=` and `,proto=P,src=`: these, and the protocol (below 256) added. */
export const NO_PATH = KINDS.length
export const DIRECT = NO_PATH + PROTOS
export const BARE_PROTO = DIRECT + PROTOS
/** Key of `tailnet_flow,dst=`. */
export const HEAD = BARE_PROTO + PROTOS

export class PrefixCache {
  private readonly own = new TextChunks(TAG_BYTES_MAX * 8)
  readonly view = this.own.view
  private tailnet: string | undefined

  // `,src_port=none,tailnet=T tx_bytes=`: where it begins, where `,tailnet` does, and where it ends.
  readonly noSrcPort = 0
  readonly common = ',src_port=none'.length
  commonEnd = 0
  /** `,node=N,path=` */
  node = 0
  nodeEnd = 0
  /** `i 1761691191890385065` and the end of the line. */
  tail = 0
  tailEnd = 0

  begin(points: Points): void {
    const { own } = this
    if (points.tailnet !== this.tailnet) {
      this.tailnet = points.tailnet
      own.used = 0
      own.add(',src_port=none,tailnet=')
      own.addTag(points.tailnet)
      own.add(' tx_bytes=')
      this.commonEnd = own.used
    }
    own.used = this.commonEnd
    this.node = own.used
    own.add(',node=')
    own.addTag(points.node)
    own.add(',path=')
    this.nodeEnd = own.used
    this.tail = own.used
    own.add('i ')
    own.used = writeInt64(own.view, own.used, points.startNs)
    own.add('\n')
    this.tailEnd = own.used
  }
}
