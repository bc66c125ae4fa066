/** The hot loop of encoding: the points of one message become lines.
 *
 * A line consists of some twenty texts. With one function call for each, most of the time was spent in the calls. So this is one function into which
 * the engine can inline all others (each is small enough), texts that many lines share are made once per message (prefix-cache.ts), and keys are
 * stored as numbers. */
import {
  ADDRESS_CELLS,
  ADDRESS_END,
  ADDRESS_MARKS,
  ADDRESS_START,
  FLOW_CELLS,
  FLOW_COUNT,
  FLOW_DST,
  FLOW_DST_PORT,
  FLOW_KIND,
  FLOW_PATH,
  FLOW_PROTO,
  FLOW_SRC,
  FLOW_SRC_PORT,
  PATH_DIRECT,
  PATH_NONE,
  type Points,
} from '../../flatten/points.ts'
import { wordOf } from '../../source/parse/text.ts'
import { copyWords } from './batches.ts'
import { escapeTag, NEEDS_ESCAPE } from './escape.ts'
import { writeInt64, writeNumber } from './numbers.ts'
import {
  BARE_PROTO,
  DIRECT,
  DST_PORT_NONE,
  FIXED,
  FIXED_STARTS,
  HEAD,
  NO_PATH,
  type PrefixCache,
} from './prefix-cache.ts'

const encoder = new TextEncoder()

// Keys as words of four bytes. The value overwrites the part of the last word that is not part of the key.
const [DST_PORT_A, DST_PORT_B, DST_PORT_C] = words(',dst_port=')
const [SRC_PORT_A, SRC_PORT_B, SRC_PORT_C] = words(',src_port=')
const [TX_PKTS_A, TX_PKTS_B, TX_PKTS_C] = words('i,tx_pkts=')
const [RX_BYTES_A, RX_BYTES_B, RX_BYTES_C] = words('i,rx_bytes=')
const [RX_PKTS_A, RX_PKTS_B, RX_PKTS_C] = words('i,rx_pkts=')
const [FLOWS_A, FLOWS_B] = words('i,flows=')
const [DERP_A, DERP_B] = words('derp-')
const HEAD_START = FIXED_STARTS[HEAD]!
const HEAD_END = FIXED_STARTS[HEAD + 1]!

function words(text: string): [number, number, number, number] {
  const padded = text.padEnd(16)
  return [0, 4, 8, 12].map((at) => wordOf(padded.slice(at, at + 4))) as [number, number, number, number]
}

/** Writes points from `index` on, from `start` on, until they are all written, or `linesMax` lines, or `bytesMax` would be exceeded. A line that alone
 * is too long is written when `start` is 0. `end[0]` is set to where the last line ends. Returns the index of the first point that was not written.
 * `out` must have space for one more line after `bytesMax`. */
export function writeLines(
  points: Points,
  prefixes: PrefixCache,
  index: number,
  out: DataView,
  start: number,
  bytesMax: number,
  linesMax: number,
  end: Int32Array,
): number {
  const { flowCells, flowCounters, addressCells, textsView: texts, exact } = points
  const { view: own, noSrcPort, common, commonEnd, node, nodeEnd, tail, tailEnd } = prefixes
  const stop = Math.min(points.count, index + linesMax)
  let lineStart = start
  let i = index
  for (; i < stop; i++) {
    const cell = i * FLOW_CELLS
    const kind = flowCells[cell + FLOW_KIND]!
    const proto = flowCells[cell + FLOW_PROTO]!
    const srcPort = flowCells[cell + FLOW_SRC_PORT]!
    const dstPort = flowCells[cell + FLOW_DST_PORT]!
    const path = flowCells[cell + FLOW_PATH]!
    let p = copyWords(out, lineStart, FIXED, HEAD_START, HEAD_END)
    p = copyAddress(out, p, texts, addressCells, flowCells[cell + FLOW_DST]! * ADDRESS_CELLS)
    let kindStart = FIXED_STARTS[kind]!
    if (dstPort >= 0) {
      p = writeNumber(out, put3(out, p, DST_PORT_A, DST_PORT_B, DST_PORT_C) - 2, dstPort)
      kindStart += DST_PORT_NONE
    }
    p = copyWords(out, p, FIXED, kindStart, FIXED_STARTS[kind + 1]!)
    p = copyWords(out, p, own, node, nodeEnd)
    let key = path === PATH_NONE ? NO_PATH : DIRECT
    if (path >= 0) {
      p = writeNumber(out, put2(out, p, DERP_A, DERP_B) - 3, path)
      key = BARE_PROTO
    }
    if (proto < 256) p = copyWords(out, p, FIXED, FIXED_STARTS[key + proto]!, FIXED_STARTS[key + proto + 1]!)
    else {
      const pathText = path >= 0 ? '' : path === PATH_DIRECT ? 'direct' : 'none'
      p = writeText(out, p, `${pathText},proto=${escapeTag(points.protoTags[proto - 256]!)},src=`)
    }
    p = copyAddress(out, p, texts, addressCells, flowCells[cell + FLOW_SRC]! * ADDRESS_CELLS)
    if (srcPort < 0) p = copyWords(out, p, own, noSrcPort, commonEnd)
    else {
      p = writeNumber(out, put3(out, p, SRC_PORT_A, SRC_PORT_B, SRC_PORT_C) - 2, srcPort)
      p = copyWords(out, p, own, common, commonEnd)
    }

    if (exact !== undefined) p = writeExactCounters(out, p, exact.flows, i * 4)
    else p = writeCounters(out, p, flowCounters, i * 4)
    p = writeNumber(out, put2(out, p, FLOWS_A, FLOWS_B), flowCells[cell + FLOW_COUNT]!)
    p = copyWords(out, p, own, tail, tailEnd)
    if (p > bytesMax && lineStart > 0) break
    lineStart = p
    if (p >= bytesMax) {
      i += 1
      break
    }
  }
  end[0] = lineStart
  return i
}

function put2(out: DataView, p: number, a: number, b: number): number {
  out.setInt32(p, a, true)
  out.setInt32(p + 4, b, true)
  return p + 8
}

function put3(out: DataView, p: number, a: number, b: number, c: number): number {
  out.setInt32(p, a, true)
  out.setInt32(p + 4, b, true)
  out.setInt32(p + 8, c, true)
  return p + 12
}

/** The address whose cells begin at `cell`. */
function copyAddress(out: DataView, p: number, texts: DataView, cells: Int32Array, cell: number): number {
  const start = cells[cell + ADDRESS_START]!
  const end = cells[cell + ADDRESS_END]!
  if (cells[cell + ADDRESS_MARKS] === 0) return copyWords(out, p, texts, start, end)
  return copyEscaped(out, p, texts, start, end)
}

function copyEscaped(out: DataView, p: number, from: DataView, start: number, end: number): number {
  for (let i = start; i < end; i++) {
    const c = from.getUint8(i)
    if (NEEDS_ESCAPE[c] === 1) out.setUint8(p++, 0x5c)
    out.setUint8(p++, c)
  }
  return p
}

function writeText(out: DataView, p: number, text: string): number {
  const bytes = encoder.encode(text)
  for (let i = 0; i < bytes.length; i++) out.setUint8(p + i, bytes[i]!)
  return p + bytes.length
}

/** The digits of tx_bytes, and so on up to those of rx_pkts. */
function writeCounters(out: DataView, p: number, counters: Float64Array, at: number): number {
  p = writeNumber(out, p, counters[at]!)
  p = writeNumber(out, put3(out, p, TX_PKTS_A, TX_PKTS_B, TX_PKTS_C) - 2, counters[at + 1]!)
  p = writeNumber(out, put3(out, p, RX_BYTES_A, RX_BYTES_B, RX_BYTES_C) - 1, counters[at + 2]!)
  return writeNumber(out, put3(out, p, RX_PKTS_A, RX_PKTS_B, RX_PKTS_C) - 2, counters[at + 3]!)
}

function writeExactCounters(out: DataView, p: number, counters: BigInt64Array, at: number): number {
  p = writeInt64(out, p, counters[at]!)
  p = writeInt64(out, put3(out, p, TX_PKTS_A, TX_PKTS_B, TX_PKTS_C) - 2, counters[at + 1]!)
  p = writeInt64(out, put3(out, p, RX_BYTES_A, RX_BYTES_B, RX_BYTES_C) - 1, counters[at + 2]!)
  return writeInt64(out, put3(out, p, RX_PKTS_A, RX_PKTS_B, RX_PKTS_C) - 2, counters[at + 3]!)
}
