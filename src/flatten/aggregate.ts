/** The hot loop of flattening: the entries of a message become points, and the counters of entries with equal tags are summed. It is one function
 * that uses no variables of an outer function, as in source/parse/entries.ts, because those would be loaded from memory at each step. */

import { hashBytes, hashStep, hashText } from '../base/hash.ts'
import {
  DST,
  END_ADDRESS_END,
  END_ADDRESS_START,
  END_HASH,
  END_PORT,
  END_TEXT_END,
  END_TEXT_START,
  ENTRY_CELLS,
  KIND,
  KINDS,
  type Message,
  PROTO,
  SRC,
} from '../source/parse/message.ts'
import { textIn } from '../source/parse/text.ts'
import { type AddressTable, NONE } from './address-table.ts'
import type { MessageDigest } from './digest.ts'
import type { FlatPoints } from './flat-points.ts'
import { PATH_DIRECT, PATH_NONE, TOTALS } from './points.ts'
import { NO_PORT, servicePort } from './ports.ts'

export interface Aggregation {
  readonly full: boolean
  readonly keepsPort: boolean
  /** Protocol cell of the points for each of `message.protoNames`. */
  protoCells: readonly number[]
}

const PHYSICAL = KINDS.indexOf('physical')
/** The address that stands for "through a DERP relay"; its port is the region (tailscale tailcfg.DerpMagicIP). */
const DERP = new TextEncoder().encode('127.3.3.40')
const DERP_HASH = hashBytes(DERP, 0, DERP.length)

/** Adds entries `from` to `to` (exclusive) of the message, after `points.begin`. Returns the index of the flow point of the last one. */
export function aggregateEntries(
  message: Message,
  from: number,
  to: number,
  points: FlatPoints,
  digest: MessageDigest,
  options: Aggregation,
): number {
  const { view, textStart, cells, counters, plain } = message
  const { full, keepsPort } = options
  const { table, totals, flows, peers } = points
  let at = 0
  for (let i = from; i < to; i++) {
    const cell = i * ENTRY_CELLS
    const kind = cells[cell + KIND]!
    const wire = cells[cell + PROTO]!
    const proto = wire < 256 ? wire : options.protoCells[wire - 256]!
    const physical = kind === PHYSICAL
    const srcPort = cells[cell + SRC + END_PORT]!
    const dstPort = cells[cell + DST + END_PORT]!

    const src = plain
      ? endpointOf(table, view, textStart, cells, cell + SRC, full)
      : endpointOfAny(table, message, cell + SRC, full)
    const dst = plain
      ? endpointOf(table, view, textStart, cells, cell + DST, full)
      : endpointOfAny(table, message, cell + DST, full)
    const bareSrc = full ? table.bare(src) : src
    const bareDst = full ? table.bare(dst) : dst
    table.needName(bareSrc)
    if (!physical) table.needName(bareDst)

    let path = PATH_NONE
    if (physical) path = dstPort >= 0 && isDerp(message, cell + DST) ? dstPort : PATH_DIRECT
    const port = keepsPort ? servicePort(kind, proto, srcPort, dstPort) : NO_PORT
    at = points.add(kind, proto, src, dst, port, path) * 4

    const c = i * 4
    const txBytes = counters[c]!
    const txPkts = counters[c + 1]!
    const rxBytes = counters[c + 2]!
    const rxPkts = counters[c + 3]!
    const sums = points.flowCounters
    sums[at] = sums[at]! + txBytes
    sums[at + 1] = sums[at + 1]! + txPkts
    sums[at + 2] = sums[at + 2]! + rxBytes
    sums[at + 3] = sums[at + 3]! + rxPkts
    const t = kind * TOTALS
    totals[t] = totals[t]! + txBytes
    totals[t + 1] = totals[t + 1]! + txPkts
    totals[t + 2] = totals[t + 2]! + rxBytes
    totals[t + 3] = totals[t + 3]! + rxPkts
    if (path >= 0) {
      totals[t + 4] = totals[t + 4]! + txBytes
      totals[t + 5] = totals[t + 5]! + rxBytes
    }
    flows[kind] = flows[kind]! + 1
    const peer = physical ? bareSrc : bareDst
    if (peer !== NONE && table.isNewPeer(peer, kind)) peers[kind] = peers[kind]! + 1

    const tag = proto < 256 ? proto : hashText(points.protoTags[proto - 256]!)
    digest.add(cells, cell, tag, counters, c)
  }
  return at / 4
}

/** Index of one endpoint of an entry: of its address, or with `full` of its text with the port. */
function endpointOf(
  table: AddressTable,
  view: DataView,
  textStart: number,
  cells: Int32Array,
  at: number,
  full: boolean,
): number {
  const start = cells[at + END_TEXT_START]!
  const end = cells[at + END_TEXT_END]!
  if (start === end) return NONE
  const hash = cells[at + END_HASH]!
  const addressStart = cells[at + END_ADDRESS_START]!
  const addressEnd = cells[at + END_ADDRESS_END]!
  const address = table.intern(view, textStart + addressStart, textStart + addressEnd, hash)
  // Without brackets and port the text is the address, and must not get an index of its own.
  if (!full || end - start === addressEnd - addressStart) return address
  // The hash may be any function of the text.
  const whole = table.intern(view, textStart + start, textStart + end, hashStep(hash, cells[at + END_PORT]!))
  table.setBare(whole, address)
  return whole
}

/** The same in a message whose texts may not be valid tag values. */
function endpointOfAny(table: AddressTable, message: Message, at: number, full: boolean): number {
  const { cells } = message
  if (cells[at + END_TEXT_START] === cells[at + END_TEXT_END]) return NONE
  const address = table.internText(textIn(message, cells[at + END_ADDRESS_START]!, cells[at + END_ADDRESS_END]!))
  if (!full) return address
  const whole = table.internText(textIn(message, cells[at + END_TEXT_START]!, cells[at + END_TEXT_END]!))
  table.setBare(whole, address)
  return whole
}

function isDerp(message: Message, at: number): boolean {
  const { cells, text } = message
  if (cells[at + END_HASH] !== DERP_HASH) return false
  const start = cells[at + END_ADDRESS_START]!
  if (cells[at + END_ADDRESS_END]! - start !== DERP.length) return false
  for (let i = 0; i < DERP.length; i++) if (text[message.textStart + start + i] !== DERP[i]) return false
  return true
}
