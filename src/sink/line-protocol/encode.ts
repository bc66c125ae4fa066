/** The hot loop of encoding: the points of one message become lines.
 *
 * A line consists of some twenty texts. With one function call for each, most of the time was spent in the calls. So this is one function into which
 * the engine can inline all others (each is small enough), texts that many lines share are made once per message (prefix-cache.ts), and keys are
 * stored as numbers. */
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
  TOTALS,
} from '../../flatten/points.ts'
import { KINDS } from '../../source/parse/message.ts'
import { wordOf } from '../../source/parse/text.ts'
import { copyWords } from './batches.ts'
import { escapeTag, NEEDS_ESCAPE } from './escape.ts'
import { writeInt64, writeNumber } from './numbers.ts'
import { FIXED, FIXED_STARTS, kindKey, type PrefixCache, protoKey } from './prefix-cache.ts'

const encoder = new TextEncoder()

const PHYSICAL = KINDS.indexOf('physical')

// Keys as words of four bytes. The value overwrites the part of the last word that is not part of the key.
const [DST_A, DST_B] = words(',dst=')
const [PORT_A, PORT_B] = words(',port=')
const [DST_NAME_A, DST_NAME_B, DST_NAME_C] = words(',dst_name=')
const [TX_BYTES_A, TX_BYTES_B, TX_BYTES_C] = words(' tx_bytes=')
const [TX_PKTS_A, TX_PKTS_B, TX_PKTS_C] = words('i,tx_pkts=')
const [RX_BYTES_A, RX_BYTES_B, RX_BYTES_C] = words('i,rx_bytes=')
const [RX_PKTS_A, RX_PKTS_B, RX_PKTS_C] = words('i,rx_pkts=')
const [FLOWS_A, FLOWS_B] = words('i,flows=')
const [PEERS_A, PEERS_B] = words('i,peers=')
const [DERP_A, DERP_B] = words('derp-')
const [PORT_NONE_A, PORT_NONE_B, PORT_NONE_C] = words(',port=none')
const [PATH_DERP_A, PATH_DERP_B, PATH_DERP_C] = words(',path=derp-')
const [DIRECT_A, DIRECT_B, DIRECT_C] = words(',path=direct')
const [DERP_TX_A, DERP_TX_B, DERP_TX_C, DERP_TX_D] = words('i,derp_tx_bytes=')
const [DERP_RX_A, DERP_RX_B, DERP_RX_C, DERP_RX_D] = words('i,derp_rx_bytes=')

function words(text: string): [number, number, number, number] {
  const padded = text.padEnd(16)
  return [0, 4, 8, 12].map((at) => wordOf(padded.slice(at, at + 4))) as [number, number, number, number]
}

/** Writes flow points from `index` on, from `start` on, until they are all written, or `linesMax` lines, or `bytesMax` would be exceeded. A line that alone
 * is too long is written when `start` is 0. `end[0]` is set to where the last line ends. Returns the index of the first point that was not written.
 * `out` must have space for one more line after `bytesMax`. */
export function writeFlowLines(
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
  const { view: own, portNone, pathNone, common, commonEnd, tail, tailEnd, flowHead, flowHeadEnd } = prefixes
  const stop = Math.min(points.flowCount, index + linesMax)
  let lineStart = start
  let i = index
  for (; i < stop; i++) {
    const cell = i * FLOW_CELLS
    const kind = flowCells[cell + FLOW_KIND]!
    const proto = flowCells[cell + FLOW_PROTO]!
    const src = flowCells[cell + FLOW_SRC]! * ADDRESS_CELLS
    const dst = flowCells[cell + FLOW_DST]! * ADDRESS_CELLS
    const port = flowCells[cell + FLOW_PORT]!
    const path = flowCells[cell + FLOW_PATH]!
    let p = copyWords(out, lineStart, own, flowHead, flowHeadEnd)
    if (proto < 256) {
      const key = protoKey(kind, proto)
      p = copyWords(out, p, FIXED, FIXED_STARTS[key]!, FIXED_STARTS[key + 1]!)
    } else p = writeText(out, p, `,kind=${KINDS[kind]},proto=${escapeTag(points.protoTags[proto - 256]!)},src=`)
    p = copyAddress(out, p, texts, addressCells, src)
    p = put2(out, p, DST_A, DST_B) - 3
    p = copyAddress(out, p, texts, addressCells, dst)
    if (path === PATH_NONE) {
      if (port < 0) p = copyWords(out, p, own, portNone, commonEnd)
      else {
        p = writeNumber(out, put2(out, p, PORT_A, PORT_B) - 2, port)
        p = copyWords(out, p, own, pathNone, commonEnd)
      }
    } else {
      p = put3(out, p, PORT_NONE_A, PORT_NONE_B, PORT_NONE_C) - 2
      if (path === PATH_DIRECT) p = put3(out, p, DIRECT_A, DIRECT_B, DIRECT_C)
      else p = writeNumber(out, put3(out, p, PATH_DERP_A, PATH_DERP_B, PATH_DERP_C) - 1, path)
      p = copyWords(out, p, own, common, commonEnd)
    }
    p = copyName(out, p, texts, addressCells, src)
    p = put3(out, p, DST_NAME_A, DST_NAME_B, DST_NAME_C) - 2
    if (path === PATH_NONE) p = copyName(out, p, texts, addressCells, dst)
    else if (path === PATH_DIRECT)
      p = copyAddress(out, p, texts, addressCells, addressCells[dst + ADDRESS_BARE]! * ADDRESS_CELLS)
    else p = writeNumber(out, put2(out, p, DERP_A, DERP_B) - 3, path)

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

/** Writes the line of the node point of a kind at `p`; returns where it ends. */
export function writeNodeLine(points: Points, prefixes: PrefixCache, kind: number, out: DataView, p: number): number {
  const { totals, exact } = points
  const { view: own, common, nodeTagsEnd, tail, tailEnd, nodeHead, nodeHeadEnd } = prefixes
  const key = kindKey(kind)
  p = copyWords(out, p, own, nodeHead, nodeHeadEnd)
  p = copyWords(out, p, FIXED, FIXED_STARTS[key]!, FIXED_STARTS[key + 1]!)
  p = copyWords(out, p, own, common, nodeTagsEnd)
  const at = kind * TOTALS
  if (exact !== undefined) p = writeExactCounters(out, p, exact.totals, at)
  else p = writeCounters(out, p, totals, at)
  p = writeNumber(out, put2(out, p, FLOWS_A, FLOWS_B), points.flows[kind]!)
  p = writeNumber(out, put2(out, p, PEERS_A, PEERS_B), points.peers[kind]!)
  if (kind === PHYSICAL) {
    p = put2(out, put2(out, p, DERP_TX_A, DERP_TX_B), DERP_TX_C, DERP_TX_D)
    p = exact ? writeInt64(out, p, exact.totals[at + 4]!) : writeNumber(out, p, totals[at + 4]!)
    p = put2(out, put2(out, p, DERP_RX_A, DERP_RX_B), DERP_RX_C, DERP_RX_D)
    p = exact ? writeInt64(out, p, exact.totals[at + 5]!) : writeNumber(out, p, totals[at + 5]!)
  }
  return copyWords(out, p, own, tail, tailEnd)
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
  if ((cells[cell + ADDRESS_MARKS]! & MARK_TEXT) === 0) return copyWords(out, p, texts, start, end)
  return copyEscaped(out, p, texts, start, end)
}

function copyName(out: DataView, p: number, texts: DataView, cells: Int32Array, cell: number): number {
  const start = cells[cell + ADDRESS_NAME_START]!
  const end = cells[cell + ADDRESS_NAME_END]!
  if ((cells[cell + ADDRESS_MARKS]! & MARK_NAME) === 0) return copyWords(out, p, texts, start, end)
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

/** ` tx_bytes=` and so on, up to the digits of rx_pkts. */
function writeCounters(out: DataView, p: number, counters: Float64Array, at: number): number {
  p = writeNumber(out, put3(out, p, TX_BYTES_A, TX_BYTES_B, TX_BYTES_C) - 2, counters[at]!)
  p = writeNumber(out, put3(out, p, TX_PKTS_A, TX_PKTS_B, TX_PKTS_C) - 2, counters[at + 1]!)
  p = writeNumber(out, put3(out, p, RX_BYTES_A, RX_BYTES_B, RX_BYTES_C) - 1, counters[at + 2]!)
  return writeNumber(out, put3(out, p, RX_PKTS_A, RX_PKTS_B, RX_PKTS_C) - 2, counters[at + 3]!)
}

function writeExactCounters(out: DataView, p: number, counters: BigInt64Array, at: number): number {
  p = writeInt64(out, put3(out, p, TX_BYTES_A, TX_BYTES_B, TX_BYTES_C) - 2, counters[at]!)
  p = writeInt64(out, put3(out, p, TX_PKTS_A, TX_PKTS_B, TX_PKTS_C) - 2, counters[at + 1]!)
  p = writeInt64(out, put3(out, p, RX_BYTES_A, RX_BYTES_B, RX_BYTES_C) - 1, counters[at + 2]!)
  return writeInt64(out, put3(out, p, RX_PKTS_A, RX_PKTS_B, RX_PKTS_C) - 2, counters[at + 3]!)
}
