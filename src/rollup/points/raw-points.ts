/** The raw points (`tailnet_flow`) of one minute of `start`, summed by their tags: rows need no more of them. What every single point was goes into the digest. */
import { MINUTE } from '../../base/clock.ts'
import { avalanche, HASH_SEED, hashStep, secondHashStep } from '../../base/hash.ts'
import { wordOf } from '../../base/int64.ts'
import { doubled } from '../../base/typed-array.ts'
import { KINDS, type Kind } from '../../source/parse/message.ts'
import type { TextIds } from './text-ids.ts'
import { createTuples } from './tuples.ts'

/** One raw point. All texts are tag values. */
export interface RawPoint {
  readonly node: string
  readonly kind: Kind
  readonly proto: string
  readonly src: string
  readonly dst: string
  /** -1 for `none`. */
  readonly srcPort: number
  readonly dstPort: number
  readonly path: string
  /** The node's clock, ns. */
  readonly startNs: bigint
  readonly txBytes: bigint
  readonly txPkts: bigint
  readonly rxBytes: bigint
  readonly rxPkts: bigint
  readonly flows: number
}

/** Cells of one series in `cells`. Texts are numbers of `TextIds`. */
export const CELLS = 6
export const NODE = 0
/** Kind, protocol and path, as a label of `TextIds`. */
export const LABEL = 1
export const SRC = 2
export const DST = 3
export const SRC_PORT = 4
export const DST_PORT = 5

/** Counters of a point, in this order. */
export const TX_BYTES = 0
export const RX_BYTES = 2
export const COUNTERS = 4

export interface RawPoints {
  /** Begin of the minute, ns. */
  readonly minuteNs: bigint
  readonly count: number
  /** A series is all points with the same tags. */
  readonly seriesCount: number
  readonly cells: Int32Array
  /** Four sums per series: doubles while they hold all of them exactly, else int64, where a larger sum is kept as 2^63-1. */
  readonly counters: Float64Array | BigInt64Array
  readonly flows: Float64Array
  /** Adds a point; each once. Throws a RangeError when it is not of this minute. */
  put(point: RawPoint): void
  /** A point follows, or several, of this time after the minute's begin. */
  begin(second: number, ns: number): void
  /** Adds a point: its CELLS from `cell` on, its counters from `at` on; `exact` the same ones, where doubles are rounded. */
  add(
    from: Int32Array,
    cell: number,
    values: Float64Array,
    at: number,
    exact: BigInt64Array | undefined,
    flows: number,
  ): void
  /** Memory that it takes, about. */
  readonly bytes: number
  /** Sum modulo 2^64 of a hash of each point, identity and values: 16 hexadecimal digits, the same in any order and on any machine. */
  digest(): string
}

const TWO_32 = 0x1_0000_0000
const SAFE = Number.MAX_SAFE_INTEGER
const MINUTE_NS = Number(MINUTE)
const SUM_MAX = (1n << 63n) - 1n
const SAFE_MAX = BigInt(Number.MAX_SAFE_INTEGER)

/** `sizeHint`: so many series are expected. */
export function createRawPoints(minuteNs: bigint, texts: TextIds, sizeHint = 64): RawPoints {
  const series = createTuples(CELLS, sizeHint)
  let count = 0
  let doubles = new Float64Array(sizeHint * COUNTERS)
  /** In place of `doubles`, once a sum is beyond 2^53-1. */
  let wide: BigInt64Array | undefined
  let flows = new Float64Array(sizeHint)
  /** Hash of the tags of each series, in two halves. */
  let low = new Int32Array(sizeHint)
  let high = new Int32Array(sizeHint)
  /** Hash of the time of the points that are being added. */
  let timeLow = 0
  let timeHigh = 0
  /** The digest so far. */
  let digestLow = 0
  let digestHigh = 0

  function begin(second: number, ns: number): void {
    timeLow = hashStep(hashStep(HASH_SEED, second), ns)
    timeHigh = secondHashStep(secondHashStep(HASH_SEED, second), ns)
  }

  function add(
    from: Int32Array,
    cell: number,
    values: Float64Array,
    at: number,
    exact: BigInt64Array | undefined,
    pointFlows: number,
  ): void {
    const before = series.count
    const row = series.indexOf(from, cell)
    if (row === before) addSeries(row)
    count += 1
    flows[row] = flows[row]! + pointFlows
    if (exact !== undefined) addWide(row, exact, at)
    else if (wide !== undefined || !addDoubles(row, values, at)) addWide(row, values, at)
    let one = hashStep(hashStep(low[row]!, timeLow), pointFlows)
    let other = secondHashStep(secondHashStep(high[row]!, timeHigh), pointFlows)
    for (let k = at; k < at + COUNTERS; k++) {
      const word = wordOf(exact === undefined ? values[k]! : exact[k]!)
      one = hashStep(one, word)
      other = secondHashStep(other, word)
    }
    digestLow += avalanche(one) >>> 0
    digestHigh += (avalanche(other) >>> 0) + (digestLow >= TWO_32 ? 1 : 0)
    if (digestLow >= TWO_32) digestLow -= TWO_32
    if (digestHigh >= TWO_32) digestHigh -= TWO_32
  }

  /** False, and nothing is added: a sum would no longer be exact. */
  function addDoubles(row: number, values: Float64Array, at: number): boolean {
    const sum = row * COUNTERS
    const tx = doubles[sum]! + values[at]!
    const txPkts = doubles[sum + 1]! + values[at + 1]!
    const rx = doubles[sum + 2]! + values[at + 2]!
    const rxPkts = doubles[sum + 3]! + values[at + 3]!
    if (!(tx <= SAFE && txPkts <= SAFE && rx <= SAFE && rxPkts <= SAFE)) return false
    doubles[sum] = tx
    doubles[sum + 1] = txPkts
    doubles[sum + 2] = rx
    doubles[sum + 3] = rxPkts
    return true
  }

  function addWide(row: number, values: Float64Array | BigInt64Array, at: number): void {
    wide ??= BigInt64Array.from(doubles, BigInt)
    for (let k = 0; k < COUNTERS; k++) {
      const sum = wide[row * COUNTERS + k]! + BigInt(values[at + k]!)
      wide[row * COUNTERS + k] = sum > SUM_MAX ? SUM_MAX : sum
    }
  }

  /** A new series: room for its sums, and the hash of its tags. */
  function addSeries(row: number): void {
    if (row === flows.length) {
      doubles = doubled(doubles, Float64Array)
      if (wide !== undefined) wide = doubled(wide, BigInt64Array)
      flows = doubled(flows, Float64Array)
      low = doubled(low, Int32Array)
      high = doubled(high, Int32Array)
    }
    const { cells } = series
    const { labels } = texts
    const [at, label] = [row * CELLS, cells[row * CELLS + LABEL]! * 3]
    let one = HASH_SEED
    let other = HASH_SEED
    for (const number of [labels[label]!, cells[at + SRC_PORT]!, cells[at + DST_PORT]!]) {
      one = hashStep(one, number)
      other = secondHashStep(other, number)
    }
    for (const text of [
      cells[at + NODE]!,
      labels[label + 1]!,
      labels[label + 2]!,
      cells[at + SRC]!,
      cells[at + DST]!,
    ]) {
      one = hashStep(one, texts.low[text]!)
      other = secondHashStep(other, texts.high[text]!)
    }
    low[row] = one
    high[row] = other
  }

  const key = new Int32Array(CELLS)
  const four = new Float64Array(COUNTERS)

  return {
    minuteNs,
    get count() {
      return count
    },
    get seriesCount() {
      return series.count
    },
    get cells() {
      return series.cells
    },
    get counters() {
      return wide ?? doubles
    },
    get flows() {
      return flows
    },
    put({ node, kind, proto, src, dst, srcPort, dstPort, path, startNs, ...point }) {
      const offset = Number(startNs - minuteNs)
      if (offset < 0 || offset >= MINUTE_NS) throw new RangeError(`a point of ${startNs} is not of minute ${minuteNs}`)
      begin(Math.floor(offset / 1e9), offset % 1e9)
      key[NODE] = texts.idOf(node)
      key[LABEL] = texts.labelOf(KINDS.indexOf(kind), texts.idOf(proto), texts.idOf(path))
      key[SRC] = texts.idOf(src)
      key[DST] = texts.idOf(dst)
      key[SRC_PORT] = srcPort
      key[DST_PORT] = dstPort
      const counters = [point.txBytes, point.txPkts, point.rxBytes, point.rxPkts]
      const isWide = counters.some((value) => value > SAFE_MAX)
      for (let k = 0; k < COUNTERS; k++) four[k] = Number(counters[k]!)
      add(key, 0, four, 0, isWide ? BigInt64Array.from(counters) : undefined, point.flows)
    },
    begin,
    add,
    get bytes() {
      return series.bytes + doubles.byteLength + (wide?.byteLength ?? 0) + flows.byteLength + 2 * low.byteLength
    },
    digest: () => digestHigh.toString(16).padStart(8, '0') + digestLow.toString(16).padStart(8, '0'),
  }
}
