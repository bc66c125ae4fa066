/** Points become lines of line protocol, written as bytes into batches. */
import {
  ADDRESS_BARE,
  ADDRESS_CELLS,
  ADDRESS_END,
  ADDRESS_MARKS,
  ADDRESS_NAME_END,
  ADDRESS_NAME_START,
  ADDRESS_START,
  FLOW_CELLS,
  FLOW_COUNT,
  FLOW_DST,
  FLOW_KIND,
  FLOW_PATH,
  FLOW_PORT,
  FLOW_PROTO,
  FLOW_SRC,
  MARK_NAME,
  MARK_TEXT,
  PATH_DIRECT,
  PATH_NONE,
  type Points,
} from '../flatten/points.ts'
import { KINDS } from '../source/message.ts'
import { PROTO_TAGS } from '../source/message-proto.ts'
import { createBatches } from './lines-batches.ts'
import { NEEDS_ESCAPE } from './lines-escape.ts'
import { copyWords, Pieces } from './lines-memory.ts'
import { writeInt64, writeNumber, writePadded9 } from './lines-numbers.ts'
import type { Batch } from './sink.ts'

export interface LineWriter {
  /** Encodes all points of one message. */
  append(points: Points): void
  /** A full batch, if there is one; call until undefined after each append. */
  full(): Batch | undefined
  /** What is left, at the end of a window. */
  rest(): readonly Batch[]
  /** Gives a batch's memory back after its receipt (or when it is given up). */
  release(batch: Batch): void
  /** Forgets everything that was appended and not taken. */
  reset(): void
}

export interface LineLimits {
  /** Lines of one batch, at most. */
  readonly batchLinesMax: number
  /** Bytes of one batch, at most; a single line may be longer and is then a batch by itself. */
  readonly batchBytesMax: number
  /** True: `tailnet_node` lines go to batches with target `nodes`. */
  readonly splitNodes: boolean
  /** How many buffers of `batchBytesMax` are kept for reuse (8). More may be in flight; they are then left to the garbage collector. */
  readonly buffers?: number
}

const encoder = new TextEncoder()

/** Six sums per kind in `Points.totals`. */
const TOTALS = 6
const PHYSICAL = KINDS.indexOf('physical')

// Pieces of all lines. Each constant is where its piece begins; it ends where the next one begins.
const fixed = new Pieces(8192)
function piece(text: string): number {
  const start = fixed.used
  fixed.add(text)
  return start
}
const DST_KEY = piece(',dst=')
const PORT_KEY = piece(',port=')
const DERP = piece('derp-')
const DST_NAME_KEY = piece(',dst_name=')
const TX_BYTES = piece(' tx_bytes=')
const TX_PKTS = piece('i,tx_pkts=')
const RX_BYTES = piece('i,rx_bytes=')
const RX_PKTS = piece('i,rx_pkts=')
const FLOWS = piece('i,flows=')
const PEERS = piece('i,peers=')
const DERP_TX = piece('i,derp_tx_bytes=')
const DERP_RX = piece('i,derp_rx_bytes=')
const DERP_PATH = piece(',port=none,path=derp-')
const PROTO_KEY = piece(',proto=')
const PORT_NONE = piece(',port=none')
const PATH_NONE_KEY = piece(',path=none')
const TAILNET_KEY = piece(',tailnet=')
const NODE_NAME_KEY = piece(',node_name=')
const SRC_NAME_KEY = piece(',src_name=')
const DIRECT = piece(',port=none,path=direct')
const TAIL = piece('i ')
const FLOW_HEAD = piece('tailnet_flow,node=')
const NODE_HEAD = piece('tailnet_node,node=')
/** Where `,kind=virtual` and so on begin; the last one is an end. */
const KIND_KEYS = [...KINDS.map((kind) => piece(`,kind=${kind}`)), fixed.used]
const SRC_KEY = piece(',src=')
/** Where `tcp,src=` and so on begin, by number; the last one is an end. */
const PROTOS = Int32Array.from([...PROTO_TAGS.map((tag) => piece(`${tag},src=`)), fixed.used])

export function createLineWriter(limits: LineLimits): LineWriter {
  const { main, nodes, ...batches } = createBatches(limits)
  /** Pieces of the lines of one message. */
  const own = new Pieces(16_384)
  /** Where its lines' heads lie in there, per kind; 0 where there is none yet. */
  const headStarts = new Int32Array(KINDS.length)
  const headEnds = new Int32Array(KINDS.length)
  let texts: DataView = new DataView(new ArrayBuffer(0))

  function append(points: Points): void {
    if (texts.buffer !== points.texts.buffer) texts = new DataView(points.texts.buffer)
    const { flowCells, flowCounters, flowHighs, addressCells, wide, texts: textBytes } = points
    const words = texts

    // What is the same in all lines of a message is written once and copied.
    own.used = 0
    headStarts.fill(0)
    const pieces = own.view
    own.copy(fixed.view, PORT_NONE, PATH_NONE_KEY)
    const pathNone = own.used
    own.copy(fixed.view, PATH_NONE_KEY, TAILNET_KEY)
    const tailnet = own.used
    own.copy(fixed.view, TAILNET_KEY, NODE_NAME_KEY)
    own.addTag(points.tailnet)
    own.copy(fixed.view, NODE_NAME_KEY, SRC_NAME_KEY)
    own.addTag(points.nodeName)
    const nodeTagsEnd = own.used
    own.copy(fixed.view, SRC_NAME_KEY, DIRECT)
    const direct = own.used
    own.copy(fixed.view, DIRECT, TAIL)
    own.copy(pieces, tailnet, direct)
    const tail = own.used
    own.copy(fixed.view, TAIL, FLOW_HEAD)
    own.used = writeInt64(pieces, own.used, points.startNs)
    own.add('\n')
    const tailEnd = own.used
    const node = own.used
    own.addTag(points.node)
    const nodeEnd = own.used

    for (let i = 0; i < points.flowCount; i++) {
      const cell = i * FLOW_CELLS
      const kind = flowCells[cell + FLOW_KIND]!
      const proto = flowCells[cell + FLOW_PROTO]!
      const src = flowCells[cell + FLOW_SRC]! * ADDRESS_CELLS
      const dst = flowCells[cell + FLOW_DST]! * ADDRESS_CELLS
      const port = flowCells[cell + FLOW_PORT]!
      const path = flowCells[cell + FLOW_PATH]!
      if (headStarts[kind] === 0) addHead(kind, node, nodeEnd)

      main.begin()
      const { bytes, view } = main
      let p = copyWords(view, main.used, pieces, headStarts[kind]!, headEnds[kind]!)
      if (proto < 256) p = copyWords(view, p, fixed.view, PROTOS[proto]!, PROTOS[proto + 1]!)
      else p = copyWords(view, writeTag(bytes, p, points.protoTags[proto - 256]!), fixed.view, SRC_KEY, PROTOS[0]!)
      p = copyAddress(bytes, view, p, words, textBytes, addressCells, src)
      p = copyWords(view, p, fixed.view, DST_KEY, PORT_KEY)
      p = copyAddress(bytes, view, p, words, textBytes, addressCells, dst)
      if (path === PATH_NONE) {
        if (port < 0) p = copyWords(view, p, pieces, 0, direct)
        else {
          p = writeNumber(view, copyWords(view, p, fixed.view, PORT_KEY, DERP), port)
          p = copyWords(view, p, pieces, pathNone, direct)
        }
      } else if (path === PATH_DIRECT) p = copyWords(view, p, pieces, direct, tail)
      else {
        p = writeNumber(view, copyWords(view, p, fixed.view, DERP_PATH, PROTO_KEY), path)
        p = copyWords(view, p, pieces, tailnet, direct)
      }
      p = copyName(bytes, view, p, words, textBytes, addressCells, src)
      p = copyWords(view, p, fixed.view, DST_NAME_KEY, TX_BYTES)
      if (path === PATH_NONE) p = copyName(bytes, view, p, words, textBytes, addressCells, dst)
      else if (path >= 0) p = writeNumber(view, copyWords(view, p, fixed.view, DERP, DST_NAME_KEY), path)
      else {
        const bare = addressCells[dst + ADDRESS_BARE]! * ADDRESS_CELLS
        p = copyAddress(bytes, view, p, words, textBytes, addressCells, bare)
      }
      p = writeCounters(view, p, flowCounters, flowHighs, i * 4, wide)
      p = writeNumber(view, copyWords(view, p, fixed.view, FLOWS, PEERS), flowCells[cell + FLOW_COUNT]!)
      main.lineEndsAt(copyWords(view, p, pieces, tail, tailEnd))
    }

    const { totals, totalHighs } = points
    for (let kind = 0; kind < KINDS.length; kind++) {
      if (points.flows[kind] === 0) continue
      const head = own.used
      own.copy(fixed.view, NODE_HEAD, KIND_KEYS[0]!)
      own.copy(pieces, node, nodeEnd)
      own.copy(fixed.view, KIND_KEYS[kind]!, KIND_KEYS[kind + 1]!)
      nodes.begin()
      const { view } = nodes
      let p = copyWords(view, nodes.used, pieces, head, own.used)
      p = copyWords(view, p, pieces, tailnet, nodeTagsEnd)
      p = writeCounters(view, p, totals, totalHighs, kind * TOTALS, wide)
      p = writeNumber(view, copyWords(view, p, fixed.view, FLOWS, PEERS), points.flows[kind]!)
      p = writeNumber(view, copyWords(view, p, fixed.view, PEERS, DERP_TX), points.peers[kind]!)
      if (kind === PHYSICAL) {
        p = copyWords(view, p, fixed.view, DERP_TX, DERP_RX)
        p = writeCounter(view, p, totals, totalHighs, kind * TOTALS + 4, wide)
        p = copyWords(view, p, fixed.view, DERP_RX, DERP_PATH)
        p = writeCounter(view, p, totals, totalHighs, kind * TOTALS + 5, wide)
      }
      nodes.lineEndsAt(copyWords(view, p, pieces, tail, tailEnd))
    }
  }

  function addHead(kind: number, node: number, nodeEnd: number): void {
    headStarts[kind] = own.used
    own.copy(fixed.view, FLOW_HEAD, NODE_HEAD)
    own.copy(own.view, node, nodeEnd)
    own.copy(fixed.view, KIND_KEYS[kind]!, KIND_KEYS[kind + 1]!)
    own.copy(fixed.view, PROTO_KEY, PORT_NONE)
    headEnds[kind] = own.used
  }

  return { append, ...batches }
}

/** The address whose cells begin at `cell`. */
function copyAddress(
  out: Uint8Array,
  view: DataView,
  p: number,
  words: DataView,
  texts: Uint8Array,
  cells: Int32Array,
  cell: number,
): number {
  const start = cells[cell + ADDRESS_START]!
  const end = cells[cell + ADDRESS_END]!
  if ((cells[cell + ADDRESS_MARKS]! & MARK_TEXT) === 0) return copyWords(view, p, words, start, end)
  return copyEscaped(out, p, texts, start, end)
}

function copyName(
  out: Uint8Array,
  view: DataView,
  p: number,
  words: DataView,
  texts: Uint8Array,
  cells: Int32Array,
  cell: number,
): number {
  const start = cells[cell + ADDRESS_NAME_START]!
  const end = cells[cell + ADDRESS_NAME_END]!
  if ((cells[cell + ADDRESS_MARKS]! & MARK_NAME) === 0) return copyWords(view, p, words, start, end)
  return copyEscaped(out, p, texts, start, end)
}

function copyEscaped(out: Uint8Array, p: number, bytes: Uint8Array, start: number, end: number): number {
  for (let i = start; i < end; i++) {
    const c = bytes[i]!
    if (NEEDS_ESCAPE[c] === 1) out[p++] = 0x5c
    out[p++] = c
  }
  return p
}

function writeTag(out: Uint8Array, p: number, text: string): number {
  const bytes = encoder.encode(text)
  return copyEscaped(out, p, bytes, 0, bytes.length)
}

/** ` tx_bytes=` and so on, up to the digits of rx_pkts. */
function writeCounters(
  view: DataView,
  p: number,
  lows: Float64Array,
  highs: Float64Array,
  at: number,
  wide: boolean,
): number {
  p = writeCounter(view, copyWords(view, p, fixed.view, TX_BYTES, TX_PKTS), lows, highs, at, wide)
  p = writeCounter(view, copyWords(view, p, fixed.view, TX_PKTS, RX_BYTES), lows, highs, at + 1, wide)
  p = writeCounter(view, copyWords(view, p, fixed.view, RX_BYTES, RX_PKTS), lows, highs, at + 2, wide)
  return writeCounter(view, copyWords(view, p, fixed.view, RX_PKTS, FLOWS), lows, highs, at + 3, wide)
}

function writeCounter(
  view: DataView,
  p: number,
  lows: Float64Array,
  highs: Float64Array,
  at: number,
  wide: boolean,
): number {
  const low = lows[at]!
  if (!wide || highs[at] === 0) return writeNumber(view, p, low)
  // WIDE is 10^9: the lower part is the last nine digits.
  return writePadded9(view, writeNumber(view, p, highs[at]!), low)
}
