/** The columns behind Points: one open-addressing table of distinct tag sets and their sums, kept from message to message. */

import { RowIndex } from '../base/hash-tables.ts'
import { PROTO_TAGS } from '../base/protocol.ts'
import { doubled } from '../base/typed-array.ts'
import { KINDS, type Kind, type Message, type QuarantinedPart } from '../source/parse/message.ts'
import { textOf } from '../source/parse/text.ts'
import { AddressTable } from './address-table.ts'
import type { ExactSums } from './exact-sums.ts'
import {
  ADDRESS_BARE,
  ADDRESS_CELLS,
  ADDRESS_END,
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
  type FlowPoint,
  hashTags,
  type NodePoint,
  PATH_NONE,
  type Points,
  TOTALS,
} from './points.ts'

export class FlatPoints implements Points {
  count = 0
  digest = 0n
  readonly tailnet: string
  node = ''
  nodeName = ''
  startNs = 0n
  loggedNs = 0n
  flowCount = 0
  flowCells = new Int32Array(256 * FLOW_CELLS)
  flowCounters = new Float64Array(256 * 4)
  /** Set while a message is added whose counters need it. */
  exact: ExactSums | undefined
  protoTags: string[] = []
  readonly totals = new Float64Array(KINDS.length * TOTALS)
  readonly flows = new Int32Array(KINDS.length)
  readonly peers = new Int32Array(KINDS.length)
  quarantined: QuarantinedPart[] = []
  readonly table = new AddressTable()
  private readonly index = new RowIndex()
  private readonly checkSums = new Float64Array(KINDS.length * TOTALS)
  private readonly checkFlows = new Int32Array(KINDS.length)
  private readonly protoIndex = new Map<string, number>()

  constructor(tailnet: string) {
    this.tailnet = tailnet
  }

  get addressCells(): Int32Array {
    return this.table.cells
  }

  get textsView(): DataView {
    return this.table.view
  }

  get texts(): Uint8Array {
    return this.table.texts
  }

  begin(message: Message, addressesMax: number): void {
    this.table.begin(addressesMax)
    this.index.clear(message.entryCount)
    this.startNs = message.startNs
    this.loggedNs = message.loggedNs
    this.flowCount = 0
    this.exact = undefined
    if (this.protoTags.length > 0) this.protoTags = []
    if (this.protoIndex.size > 0) this.protoIndex.clear()
    this.totals.fill(0)
    this.flows.fill(0)
    this.peers.fill(0)
    if (this.quarantined.length > 0) this.quarantined = []
  }

  protoTag(tag: string): number {
    const known = this.protoIndex.get(tag)
    if (known !== undefined) return known
    this.protoIndex.set(tag, this.protoTags.length)
    return this.protoTags.push(tag) - 1
  }

  /** Index of the point with these tags, with one entry more in it. A new one has counters of 0. */
  add(kind: number, proto: number, src: number, dst: number, port: number, path: number): number {
    const index = this.index
    const cells = this.flowCells
    let place = index.first(hashTags(kind, proto, src, dst, port, path))
    for (let row = index.rowAt(place); row >= 0; row = index.rowAt(place)) {
      const cell = row * FLOW_CELLS
      if (
        cells[cell + FLOW_SRC] === src &&
        cells[cell + FLOW_DST] === dst &&
        cells[cell + FLOW_PROTO] === proto &&
        cells[cell + FLOW_KIND] === kind &&
        cells[cell + FLOW_PORT] === port &&
        cells[cell + FLOW_PATH] === path
      ) {
        cells[cell + FLOW_COUNT] = cells[cell + FLOW_COUNT]! + 1
        return row
      }
      place = index.next(place)
    }
    const row = this.flowCount++
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
    grown[cell + FLOW_PORT] = port
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

  /** All entries are added. */
  finish(digest: bigint): void {
    this.digest = digest
    this.count = this.flowCount
    for (let kind = 0; kind < KINDS.length; kind++) if (this.flows[kind]! > 0) this.count += 1
  }

  /** The kind whose points do not hold what its entries held, if there is one. */
  firstImbalance(): Kind | undefined {
    const { checkSums: sums, checkFlows: flows } = this
    sums.fill(0)
    flows.fill(0)
    const cells = this.flowCells
    const counters = this.flowCounters
    for (let i = 0; i < this.flowCount; i++) {
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
    return this.exact?.firstImbalance(cells, this.flowCount)
  }

  flow(index: number): FlowPoint {
    if (!(index >= 0 && index < this.flowCount)) throw new RangeError(`no point ${index} of ${this.flowCount}`)
    const cell = index * FLOW_CELLS
    const [kind, proto, src, dst, port, region, flows] = this.flowCells.subarray(
      cell,
      cell + FLOW_CELLS,
    ) as unknown as number[]
    const kindName = KINDS[kind!]!
    const path = region === PATH_NONE ? 'none' : region! >= 0 ? `derp-${region}` : 'direct'
    return {
      kind: kindName,
      proto: proto! < 256 ? PROTO_TAGS[proto!]! : this.protoTags[proto! - 256]!,
      src: this.text(src!, ADDRESS_START),
      dst: this.text(dst!, ADDRESS_START),
      port: port! < 0 ? 'none' : String(port),
      path,
      srcName: this.text(src!, ADDRESS_NAME_START),
      dstName:
        region! >= 0
          ? path
          : kindName === 'physical'
            ? this.text(this.addressCells[dst! * ADDRESS_CELLS + ADDRESS_BARE]!, ADDRESS_START)
            : this.text(dst!, ADDRESS_NAME_START),
      ...fourCounters(this.exact?.flows ?? this.flowCounters, index * 4),
      flows: flows!,
    }
  }

  nodePoint(kind: Kind): NodePoint | undefined {
    const index = KINDS.indexOf(kind)
    if (this.flows[index] === 0) return undefined
    const at = index * TOTALS
    const totals = this.exact?.totals ?? this.totals
    return {
      kind,
      ...fourCounters(totals, at),
      flows: this.flows[index]!,
      peers: this.peers[index]!,
      derpTxBytes: BigInt(totals[at + 4]!),
      derpRxBytes: BigInt(totals[at + 5]!),
    }
  }

  /** `start`: ADDRESS_START or ADDRESS_NAME_START; the end lies in the cell after it. */
  private text(address: number, start: typeof ADDRESS_START | typeof ADDRESS_NAME_START): string {
    const cell = address * ADDRESS_CELLS + start
    return textOf(this.texts, this.addressCells[cell]!, this.addressCells[cell + ADDRESS_END - ADDRESS_START]!)
  }
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
