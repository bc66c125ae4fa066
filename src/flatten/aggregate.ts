/** The hot loop of flattening: the entries of a message become points, and the counters of entries with equal tags are summed. It is one function
 * that uses no variables of an outer function, as in source/parse/entries.ts, because those would be loaded from memory at each step. */

import { hashBytes, hashStep, hashText, secondHashStep } from '../base/hash.ts'
import { highOf, int64Of, lowOf } from '../base/int64.ts'
import {
  COUNTERS,
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
  PROTO,
  SRC,
} from '../source/parse/message.ts'
import { textIn } from '../source/parse/text.ts'
import { type AddressTable, NONE } from './address-table.ts'
import type { FlatPoints } from './flat-points.ts'
import { type Entries, PATH_DIRECT, PATH_NONE, TOTALS } from './points.ts'
import { NO_PORT, type Ports, servicePort } from './ports.ts'

export interface Aggregation {
  ports: Ports
  /** Protocol cell of the points for each of `message.protoNames`. */
  protoCells: readonly number[]
}

const PHYSICAL = KINDS.indexOf('physical')
/** The address that stands for "through a DERP relay"; its port is the region (tailscale tailcfg.DerpMagicIP). */
const DERP = new TextEncoder().encode('127.3.3.40')
const DERP_HASH = hashBytes(DERP, 0, DERP.length)

/** Adds entries `from` to `to` (exclusive) of the message, after `points.begin`. Returns the index of the flow point of the last one. */
export function aggregateEntries(
  message: Entries,
  from: number,
  to: number,
  points: FlatPoints,
  digest: MessageDigest,
  options: Aggregation,
): number {
  const { view, textStart, cells, counters, plain } = message
  const isFull = options.ports === 'full'
  const hasService = options.ports === 'service'
  const { table, totals, flows } = points
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
      ? endpointOf(table, view, textStart, cells, cell + SRC)
      : endpointOfAny(table, message, cell + SRC)
    const dst = plain
      ? endpointOf(table, view, textStart, cells, cell + DST)
      : endpointOfAny(table, message, cell + DST)

    let path = PATH_NONE
    if (physical) path = dstPort >= 0 && isDerp(message, cell + DST) ? dstPort : PATH_DIRECT
    let srcKept = NO_PORT
    let dstKept = NO_PORT
    if (isFull) {
      srcKept = srcPort
      dstKept = dstPort
    } else if (hasService) {
      const port = servicePort(kind, proto, srcPort, dstPort)
      if (srcPort === port) srcKept = port
      if (dstPort === port) dstKept = port
    }
    at = points.add(kind, proto, src, dst, srcKept, dstKept, path) * 4

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

    const tag = proto < 256 ? proto : hashText(points.protoTags[proto - 256]!)
    digest.add(cells, cell, tag, counters, c)
  }
  return at / 4
}

/** Index of the address of one endpoint of an entry. */
function endpointOf(table: AddressTable, view: DataView, textStart: number, cells: Int32Array, at: number): number {
  if (cells[at + END_TEXT_START] === cells[at + END_TEXT_END]) return NONE
  const start = textStart + cells[at + END_ADDRESS_START]!
  return table.intern(view, start, textStart + cells[at + END_ADDRESS_END]!, cells[at + END_HASH]!)
}

/** The same in a message whose texts may not be valid tag values. */
function endpointOfAny(table: AddressTable, message: Entries, at: number): number {
  const { cells } = message
  if (cells[at + END_TEXT_START] === cells[at + END_TEXT_END]) return NONE
  return table.internText(textIn(message, cells[at + END_ADDRESS_START]!, cells[at + END_ADDRESS_END]!))
}

function isDerp(message: Entries, at: number): boolean {
  const { cells, text } = message
  if (cells[at + END_HASH] !== DERP_HASH) return false
  const start = cells[at + END_ADDRESS_START]!
  if (cells[at + END_ADDRESS_END]! - start !== DERP.length) return false
  for (let i = 0; i < DERP.length; i++) if (text[message.textStart + start + i] !== DERP[i]) return false
  return true
}

/** A 64-bit digest of a message: two independent 32-bit sums over its entries, so that their order does not matter. It shows that a message
 * has changed. It is not safe against a node that wants to hide a change, but a node could only do that to its own messages. */

export interface MessageDigest {
  begin(): void
  /** Adds an entry: its cells from `cell` on, a number that stands for its protocol, its four counters from `c` on. */
  add(cells: Int32Array, cell: number, proto: number, counters: Float64Array, c: number): void
  /** Adds the exact counters of the entry that was added last, where doubles are rounded. */
  addExact(counters: BigInt64Array): void
  of(nodeId: string, startNs: bigint): bigint
}

/** Each step takes a hash and returns the next one, so that the hashes of an entry are local variables. As variables of the closure they would be
 * loaded and stored nine times per entry. */
export function createDigest(): MessageDigest {
  let sumA = 0
  let sumB = 0
  let lastA = 0
  let lastB = 0

  return {
    begin() {
      sumA = 0
      sumB = 0
    },
    add(cells, cell, proto, counters, c) {
      const first = cells[cell + KIND]! * 0x1000000 + proto
      let a = hashStep(0x2545f491, first)
      let b = secondHashStep(0x6c8e9cf5, first)
      for (let at = cell + SRC; at <= cell + DST; at += DST - SRC) {
        const hash = cells[at + END_HASH]!
        const rest = cells[at + END_PORT]! * 0x10000 + cells[at + END_TEXT_END]! - cells[at + END_TEXT_START]!
        a = hashStep(hashStep(a, hash), rest)
        b = secondHashStep(secondHashStep(b, hash), rest)
      }
      for (let i = c; i < c + 4; i++) {
        const value = counters[i]!
        const high = upper(value)
        a = hashStep(a, value | 0)
        b = secondHashStep(b, value | 0)
        if (high === 0) continue
        a = hashStep(a, high)
        b = secondHashStep(b, high)
      }
      lastA = a
      lastB = b
      sumA = (sumA + a) | 0
      sumB = (sumB + b) | 0
    },
    addExact(counters) {
      for (const value of counters) {
        for (const half of [lowOf(value), highOf(value)]) {
          lastA = hashStep(lastA, half)
          lastB = secondHashStep(lastB, half)
        }
      }
      sumA = (sumA + lastA) | 0
      sumB = (sumB + lastB) | 0
    },
    of(nodeId, startNs) {
      let a = sumA
      let b = sumB
      for (let i = 0; i < nodeId.length; i += 2) {
        const letters = nodeId.charCodeAt(i) * 65_536 + (i + 1 < nodeId.length ? nodeId.charCodeAt(i + 1) : 0)
        a = hashStep(a, letters)
        b = secondHashStep(b, letters)
      }
      const low = lowOf(startNs)
      const high = highOf(startNs)
      return BigInt.asUintN(64, int64Of(hashStep(hashStep(a, low), high), secondHashStep(secondHashStep(b, low), high)))
    },
  }
}

/** The part above the lower 32 bits. */
function upper(value: number): number {
  return value < 4294967296 ? 0 : (value / 4294967296) | 0
}

/** An entry as JSON again, for quarantine. */
export function entryText(message: Entries, index: number, counters: BigInt64Array): string {
  const cell = index * ENTRY_CELLS
  const proto = message.cells[cell + PROTO]!
  const parts = [`"proto":${proto < 256 ? proto : JSON.stringify(message.protoNames[proto - 256])}`]
  for (const [name, at] of [['src', cell + SRC] as const, ['dst', cell + DST] as const]) {
    const text = textIn(message, message.cells[at + END_TEXT_START]!, message.cells[at + END_TEXT_END]!)
    if (text !== '') parts.push(`"${name}":${JSON.stringify(text)}`)
  }
  counters.forEach((value, k) => {
    parts.push(`"${COUNTERS[k]}":${value}`)
  })
  return `{${parts.join()}}`
}
