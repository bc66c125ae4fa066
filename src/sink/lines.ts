/** Points become lines of line protocol, written as bytes into batches. */
import {
  ADDRESS_BARE,
  ADDRESS_CELLS,
  ADDRESS_END,
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
  PATH_DIRECT,
  PATH_NONE,
  type Points,
} from '../flatten/points.ts'
import { KINDS, WIDE } from '../source/message.ts'
import { PROTO_TAGS } from '../source/message-proto.ts'
import { createBatches } from './lines-batches.ts'
import { escapeTag, NEEDS_ESCAPE } from './lines-escape.ts'
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
const bytesOf = (text: string) => encoder.encode(text)

/** Six sums per kind in `Points.totals`. */
const TOTALS = 6
const PHYSICAL = KINDS.indexOf('physical')

const NONE = bytesOf('none')
const DIRECT = bytesOf('direct')
const DERP = bytesOf('derp-')
const SRC_KEY = bytesOf(',src=')
const DST_KEY = bytesOf(',dst=')
const PORT_KEY = bytesOf(',port=')
const PATH_KEY = bytesOf(',path=')
const DST_NAME_KEY = bytesOf(',dst_name=')
const TX_BYTES = bytesOf(' tx_bytes=')
const TX_PKTS = bytesOf('i,tx_pkts=')
const RX_BYTES = bytesOf('i,rx_bytes=')
const RX_PKTS = bytesOf('i,rx_pkts=')
const FLOWS = bytesOf('i,flows=')
const PEERS = bytesOf('i,peers=')
const DERP_TX = bytesOf('i,derp_tx_bytes=')
const DERP_RX = bytesOf('i,derp_rx_bytes=')
const PROTO_BYTES = PROTO_TAGS.map(bytesOf)

export function createLineWriter(limits: LineLimits): LineWriter {
  const { main, nodes, ...batches } = createBatches(limits)

  function append(points: Points): void {
    // What is the same in all lines of a message is escaped once.
    const node = escapeTag(points.node)
    const middle = `,tailnet=${escapeTag(points.tailnet)},node_name=${escapeTag(points.nodeName)}`
    const middleBytes = bytesOf(`${middle},src_name=`)
    const tail = bytesOf(`i ${points.startNs}\n`)
    for (let kind = 0; kind < KINDS.length; kind++) heads[kind] = undefined
    const { flowCells, flowCounters, flowHighs, addressCells, texts, wide } = points

    for (let i = 0; i < points.flowCount; i++) {
      const cell = i * FLOW_CELLS
      const kind = flowCells[cell + FLOW_KIND]!
      const proto = flowCells[cell + FLOW_PROTO]!
      const src = flowCells[cell + FLOW_SRC]! * ADDRESS_CELLS
      const dst = flowCells[cell + FLOW_DST]! * ADDRESS_CELLS
      const port = flowCells[cell + FLOW_PORT]!
      const path = flowCells[cell + FLOW_PATH]!
      const head = (heads[kind] ??= bytesOf(`tailnet_flow,node=${node},kind=${KINDS[kind]},proto=`))

      const out = main.room()
      let p = main.used
      p = copy(out, p, head)
      p = copy(out, p, proto < 256 ? PROTO_BYTES[proto]! : bytesOf(escapeTag(points.protoTags[proto - 256]!)))
      p = copy(out, p, SRC_KEY)
      p = copyTag(out, p, texts, addressCells[src + ADDRESS_START]!, addressCells[src + ADDRESS_END]!)
      p = copy(out, p, DST_KEY)
      p = copyTag(out, p, texts, addressCells[dst + ADDRESS_START]!, addressCells[dst + ADDRESS_END]!)
      p = copy(out, p, PORT_KEY)
      p = port < 0 ? copy(out, p, NONE) : writeNumber(out, p, port)
      p = copy(out, p, PATH_KEY)
      p = writePath(out, p, path)
      p = copy(out, p, middleBytes)
      p = copyTag(out, p, texts, addressCells[src + ADDRESS_NAME_START]!, addressCells[src + ADDRESS_NAME_END]!)
      p = copy(out, p, DST_NAME_KEY)
      if (path >= 0) p = writePath(out, p, path)
      else if (kind === PHYSICAL) {
        const bare = addressCells[dst + ADDRESS_BARE]! * ADDRESS_CELLS
        p = copyTag(out, p, texts, addressCells[bare + ADDRESS_START]!, addressCells[bare + ADDRESS_END]!)
      } else p = copyTag(out, p, texts, addressCells[dst + ADDRESS_NAME_START]!, addressCells[dst + ADDRESS_NAME_END]!)
      p = writeCounters(out, p, flowCounters, flowHighs, i * 4, wide)
      p = copy(out, p, FLOWS)
      p = writeNumber(out, p, flowCells[cell + FLOW_COUNT]!)
      p = copy(out, p, tail)
      main.lineEndsAt(p)
    }

    const { totals, totalHighs } = points
    for (let kind = 0; kind < KINDS.length; kind++) {
      if (points.flows[kind] === 0) continue
      const out = nodes.room()
      let p = copy(out, nodes.used, bytesOf(`tailnet_node,node=${node},kind=${KINDS[kind]}${middle}`))
      p = writeCounters(out, p, totals, totalHighs, kind * TOTALS, wide)
      p = copy(out, p, FLOWS)
      p = writeNumber(out, p, points.flows[kind]!)
      p = copy(out, p, PEERS)
      p = writeNumber(out, p, points.peers[kind]!)
      if (kind === PHYSICAL) {
        p = copy(out, p, DERP_TX)
        p = writeCounter(out, p, totals, totalHighs, kind * TOTALS + 4, wide)
        p = copy(out, p, DERP_RX)
        p = writeCounter(out, p, totals, totalHighs, kind * TOTALS + 5, wide)
      }
      p = copy(out, p, tail)
      nodes.lineEndsAt(p)
    }
  }

  const heads: (Uint8Array | undefined)[] = KINDS.map(() => undefined)
  return { append, ...batches }
}

function copy(out: Uint8Array, p: number, bytes: Uint8Array): number {
  const length = bytes.length
  for (let i = 0; i < length; i++) out[p + i] = bytes[i]!
  return p + length
}

function copyTag(out: Uint8Array, p: number, bytes: Uint8Array, start: number, end: number): number {
  for (let i = start; i < end; i++) {
    const c = bytes[i]!
    if (NEEDS_ESCAPE[c] === 1) out[p++] = 0x5c
    out[p++] = c
  }
  return p
}

function writePath(out: Uint8Array, p: number, path: number): number {
  if (path === PATH_NONE) return copy(out, p, NONE)
  return path === PATH_DIRECT ? copy(out, p, DIRECT) : writeNumber(out, copy(out, p, DERP), path)
}

/** ` tx_bytes=` and so on, up to the digits of rx_pkts. */
function writeCounters(
  out: Uint8Array,
  p: number,
  lows: Float64Array,
  highs: Float64Array,
  at: number,
  wide: boolean,
): number {
  p = writeCounter(out, copy(out, p, TX_BYTES), lows, highs, at, wide)
  p = writeCounter(out, copy(out, p, TX_PKTS), lows, highs, at + 1, wide)
  p = writeCounter(out, copy(out, p, RX_BYTES), lows, highs, at + 2, wide)
  return writeCounter(out, copy(out, p, RX_PKTS), lows, highs, at + 3, wide)
}

function writeCounter(
  out: Uint8Array,
  p: number,
  lows: Float64Array,
  highs: Float64Array,
  at: number,
  wide: boolean,
): number {
  const low = lows[at]!
  if (!wide || highs[at] === 0) return writeNumber(out, p, low)
  // WIDE is a power of ten: the lower part is the last nine digits.
  p = writeNumber(out, p, highs[at]!)
  const end = writeNumber(out, p, low + WIDE)
  out.copyWithin(p, p + 1, end)
  return end - 1
}

/** Digits of a whole number from 0 to 2^53. */
function writeNumber(out: Uint8Array, p: number, value: number): number {
  if (value < 10) {
    out[p] = 0x30 + value
    return p + 1
  }
  // Above 10^9 in two parts, so that the loop below works on 32-bit integers.
  if (value >= WIDE) {
    const high = Math.floor(value / WIDE)
    p = writeNumber(out, p, high)
    let low = (value - high * WIDE) | 0
    for (let i = p + 8; i >= p; i--) {
      const rest = (low / 10) | 0
      out[i] = 0x30 + low - rest * 10
      low = rest
    }
    return p + 9
  }
  let rest = value | 0
  const length =
    rest < 100 ? 2 : rest < 1000 ? 3 : rest < 10000 ? 4 : rest < 100000 ? 5 : rest < 1000000 ? 6 : digitsOf(rest)
  for (let i = p + length - 1; i >= p; i--) {
    const next = (rest / 10) | 0
    out[i] = 0x30 + rest - next * 10
    rest = next
  }
  return p + length
}

function digitsOf(value: number): number {
  return value < 10000000 ? 7 : value < 100000000 ? 8 : 9
}
