/** The columns behind Points: one open-addressing table of distinct tag sets and their sums, kept from message to message. */

import { RowIndex } from '../base/hash-tables.ts'
import { PROTO_TAGS } from '../base/protocol.ts'
import { doubled } from '../base/typed-array.ts'
import { KINDS, type Kind, type QuarantinedPart } from '../source/parse/message.ts'
import { textOf } from '../source/parse/text.ts'
import { AddressTable } from './address-table.ts'
import type { ExactSums } from './exact-sums.ts'
import {
  ADDRESS_CELLS,
  ADDRESS_END,
  ADDRESS_START,
  type Entries,
  FLOW_CELLS,
  FLOW_COUNT,
  FLOW_DST,
  FLOW_DST_PORT,
  FLOW_KIND,
  FLOW_PATH,
  FLOW_PROTO,
  FLOW_SRC,
  FLOW_SRC_PORT,
  type FlowPoint,
  hashTags,
  type Points,
  pathTag,
  TOTALS,
} from './points.ts'

export class FlatPoints implements Points {
  count = 0
  digest = 0n
  tailnet = ''
  node = ''
  startNs = 0n
  loggedNs = 0n
  flowCells = new Int32Array(256 * FLOW_CELLS)
  flowCounters = new Float64Array(256 * 4)
  /** Set while a message is added whose counters need it. */
  exact: ExactSums | undefined
  protoTags: string[] = []
  readonly totals = new Float64Array(KINDS.length * TOTALS)
  readonly flows = new Int32Array(KINDS.length)
  quarantined: QuarantinedPart[] = []
  readonly table = new AddressTable()
  private readonly index = new RowIndex()
  private readonly checkSums = new Float64Array(KINDS.length * TOTALS)
  private readonly checkFlows = new Int32Array(KINDS.length)
  private readonly protoIndex = new Map<string, number>()

  get addressCells(): Int32Array {
    return this.table.cells
  }

  get textsView(): DataView {
    return this.table.view
  }

  get texts(): Uint8Array {
    return this.table.texts
  }

  /** A message begins. `tailnet` and `node`: tag values. */
  begin(message: Entries, tailnet: string, node: string): void {
    this.table.begin(message.entryCount * 2 + 1)
    this.index.clear(message.entryCount)
    this.startNs = message.startNs
    this.loggedNs = message.loggedNs
    this.tailnet = tailnet
    this.node = node
    this.count = 0
    this.exact = undefined
    if (this.protoTags.length > 0) this.protoTags = []
    if (this.protoIndex.size > 0) this.protoIndex.clear()
    this.totals.fill(0)
    this.flows.fill(0)
    if (this.quarantined.length > 0) this.quarantined = []
  }

  protoTag(tag: string): number {
    const known = this.protoIndex.get(tag)
    if (known !== undefined) return known
    this.protoIndex.set(tag, this.protoTags.length)
    return this.protoTags.push(tag) - 1
  }

  /** Index of the point with these tags, with one entry more in it. A new one has counters of 0. */
  add(kind: number, proto: number, src: number, dst: number, srcPort: number, dstPort: number, path: number): number {
    const index = this.index
    const cells = this.flowCells
    let place = index.first(hashTags(kind, proto, src, dst, srcPort, dstPort, path))
    for (let row = index.rowAt(place); row >= 0; row = index.rowAt(place)) {
      const cell = row * FLOW_CELLS
      if (
        cells[cell + FLOW_SRC] === src &&
        cells[cell + FLOW_DST] === dst &&
        cells[cell + FLOW_PROTO] === proto &&
        cells[cell + FLOW_KIND] === kind &&
        cells[cell + FLOW_SRC_PORT] === srcPort &&
        cells[cell + FLOW_DST_PORT] === dstPort &&
        cells[cell + FLOW_PATH] === path
      ) {
        cells[cell + FLOW_COUNT] = cells[cell + FLOW_COUNT]! + 1
        return row
      }
      place = index.next(place)
    }
    const row = this.count++
    index.put(place, row)
    const cell = row * FLOW_CELLS
    if (cell + FLOW_CELLS > cells.length) {
      this.flowCells = doubled(this.flowCells, Int32Array)
      this.flowCounters = doubled(this.flowCounters, Float64Array)
    }
    const grown = this.flowCells
    grown[cell + FLOW_KIND] = kind
    grown[cell + FLOW_PROTO] = proto
    grown[cell + FLOW_SRC] = src
    grown[cell + FLOW_DST] = dst
    grown[cell + FLOW_SRC_PORT] = srcPort
    grown[cell + FLOW_DST_PORT] = dstPort
    grown[cell + FLOW_PATH] = path
    grown[cell + FLOW_COUNT] = 1
    const at = row * 4
    const counters = this.flowCounters
    counters[at] = 0
    counters[at + 1] = 0
    counters[at + 2] = 0
    counters[at + 3] = 0
    return row
  }

  /** The kind whose points do not hold what its entries held, if there is one. */
  firstImbalance(): Kind | undefined {
    const { checkSums: sums, checkFlows: flows } = this
    sums.fill(0)
    flows.fill(0)
    const cells = this.flowCells
    const counters = this.flowCounters
    for (let i = 0; i < this.count; i++) {
      const kind = cells[i * FLOW_CELLS + FLOW_KIND]!
      const derp = cells[i * FLOW_CELLS + FLOW_PATH]! >= 0
      const at = kind * TOTALS
      flows[kind] = flows[kind]! + cells[i * FLOW_CELLS + FLOW_COUNT]!
      addAll(sums, at, counters, i * 4, derp)
    }
    for (let kind = 0; kind < KINDS.length; kind++) {
      if (flows[kind] !== this.flows[kind]) return KINDS[kind]
      if (flows[kind] === 0 || this.exact !== undefined) continue
      for (let k = kind * TOTALS; k < (kind + 1) * TOTALS; k++) {
        if (sums[k] !== this.totals[k]) return KINDS[kind]
      }
    }
    return this.exact?.firstImbalance(cells, this.count)
  }

  flow(index: number): FlowPoint {
    if (!(index >= 0 && index < this.count)) throw new RangeError(`no point ${index} of ${this.count}`)
    const cell = index * FLOW_CELLS
    const [kind, proto, src, dst, srcPort, dstPort, region, flows] = this.flowCells.subarray(
      cell,
      cell + FLOW_CELLS,
    ) as unknown as number[]
    return {
      kind: KINDS[kind!]!,
      proto: proto! < 256 ? PROTO_TAGS[proto!]! : this.protoTags[proto! - 256]!,
      src: this.text(src!),
      dst: this.text(dst!),
      srcPort: portText(srcPort!),
      dstPort: portText(dstPort!),
      path: pathTag(region!),
      ...fourCounters(this.exact?.flows ?? this.flowCounters, index * 4),
      flows: flows!,
    }
  }

  private text(address: number): string {
    const cell = address * ADDRESS_CELLS
    return textOf(this.texts, this.addressCells[cell + ADDRESS_START]!, this.addressCells[cell + ADDRESS_END]!)
  }
}

function portText(port: number): string {
  return port < 0 ? 'none' : String(port)
}

/** Adds four counters, and again the bytes of what went through DERP. */
function addAll(sums: Float64Array, at: number, counters: Float64Array, from: number, derp: boolean): void {
  for (let k = 0; k < 4; k++) sums[at + k] = sums[at + k]! + counters[from + k]!
  if (!derp) return
  sums[at + 4] = sums[at + 4]! + counters[from]!
  sums[at + 5] = sums[at + 5]! + counters[from + 2]!
}

function fourCounters(counters: Float64Array | BigInt64Array, at: number) {
  const [txBytes, txPkts, rxBytes, rxPkts] = Array.from(counters.subarray(at, at + 4), BigInt)
  return { txBytes: txBytes!, txPkts: txPkts!, rxBytes: rxBytes!, rxPkts: rxPkts! }
}
