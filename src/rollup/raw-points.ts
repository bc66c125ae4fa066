/** The raw points (`tailnet_flow`) of one minute of `start`, in columns. A point is kept by its identity, tags and time: a copy takes the place of the
 * one before, as in the database. */
import { avalanche, HASH_SEED, hashStep, secondHashStep } from '../base/hash.ts'
import { doubled } from '../base/typed-array.ts'
import { KINDS, type Kind } from '../source/parse/message.ts'
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

export const MINUTE_NS = 60_000_000_000n

/** Cells of one point in `cells`. Texts are numbers of `TextIds`. */
export const CELLS = 10
export const NODE = 0
/** Index into KINDS. */
export const KIND = 1
export const PROTO = 2
export const SRC = 3
export const DST = 4
export const SRC_PORT = 5
export const DST_PORT = 6
export const PATH = 7
/** `start` less the minute's begin, ns: seconds, and what is beyond them. */
const SECOND = 8
const NANOSECOND = 9

/** Counters of a point, in this order. */
export const TX_BYTES = 0
export const TX_PKTS = 1
export const RX_BYTES = 2
export const RX_PKTS = 3
export const COUNTERS = 4

export interface RawPoints {
  /** Begin of the minute, ns. */
  readonly minuteNs: bigint
  readonly count: number
  readonly cells: Int32Array
  /** Four per point. Exact where they are at most 2^53-1; `wideCounter` has the others. */
  readonly counters: Float64Array
  /** A counter above 2^53-1, by its index in `counters`. */
  wideCounter(at: number): bigint | undefined
  readonly flows: Float64Array
  /** Adds the point, or takes it in place of the one with its identity. Throws a RangeError when it is not of this minute. */
  put(point: RawPoint): void
  /** The same for a point in columns: `tuple` has its CELLS, `values` its counters from `at` on; `exact` the same ones, where doubles are rounded. */
  putCells(tuple: Int32Array, values: Float64Array, at: number, exact: BigInt64Array | undefined, count: number): void
  /** Puts all points of another table of this minute, made with the same `TextIds`. */
  putAll(other: RawPoints): void
  /** Memory that it takes, about. */
  readonly bytes: number
  /** Sum modulo 2^64 of a hash of each point, identity and values: 16 hexadecimal digits, the same in any order and on any machine. */
  digest(): string
}

const SAFE_MAX = BigInt(Number.MAX_SAFE_INTEGER)
const TWO_32 = 0x1_0000_0000

/** Writes the cells of a time: `offset` ns after the minute's begin. */
export function putOffset(tuple: Int32Array, offset: number): void {
  tuple[SECOND] = Math.floor(offset / 1e9)
  tuple[NANOSECOND] = offset % 1e9
}

export function createRawPoints(minuteNs: bigint, texts: TextIds): RawPoints {
  const tuples = createTuples(CELLS)
  const tuple = new Int32Array(CELLS)
  let counters = new Float64Array(64 * COUNTERS)
  let flows = new Float64Array(64)
  const wide = new Map<number, bigint>()

  /** Index of the point of `tuple`, with place for its values. */
  function place(): number {
    const index = tuples.indexOf(tuple)
    if (index === flows.length) {
      counters = doubled(counters, Float64Array)
      flows = doubled(flows, Float64Array)
    }
    return index
  }

  function setCounter(at: number, value: bigint): void {
    counters[at] = Number(value)
    if (value > SAFE_MAX) wide.set(at, value)
    else if (wide.size > 0) wide.delete(at)
  }

  return {
    minuteNs,
    get count() {
      return tuples.count
    },
    get cells() {
      return tuples.cells
    },
    get counters() {
      return counters
    },
    get flows() {
      return flows
    },
    get bytes() {
      return tuples.bytes + counters.byteLength + flows.byteLength
    },
    wideCounter: (at) => (wide.size === 0 ? undefined : wide.get(at)),
    put(point) {
      const offsetNs = point.startNs - minuteNs
      if (offsetNs < 0n || offsetNs >= MINUTE_NS)
        throw new RangeError(`a point of ${point.startNs} is not of minute ${minuteNs}`)
      tuple[NODE] = texts.idOf(point.node)
      tuple[KIND] = KINDS.indexOf(point.kind)
      tuple[PROTO] = texts.idOf(point.proto)
      tuple[SRC] = texts.idOf(point.src)
      tuple[DST] = texts.idOf(point.dst)
      tuple[SRC_PORT] = point.srcPort
      tuple[DST_PORT] = point.dstPort
      tuple[PATH] = texts.idOf(point.path)
      putOffset(tuple, Number(offsetNs))
      const index = place()
      const at = index * COUNTERS
      setCounter(at + TX_BYTES, point.txBytes)
      setCounter(at + TX_PKTS, point.txPkts)
      setCounter(at + RX_BYTES, point.rxBytes)
      setCounter(at + RX_PKTS, point.rxPkts)
      flows[index] = point.flows
    },
    putCells(from, values, valuesAt, exact, count) {
      tuple.set(from)
      const index = place()
      const at = index * COUNTERS
      if (exact === undefined) {
        for (let k = 0; k < COUNTERS; k++) counters[at + k] = values[valuesAt + k]!
        if (wide.size > 0) for (let k = 0; k < COUNTERS; k++) wide.delete(at + k)
      } else for (let k = 0; k < COUNTERS; k++) setCounter(at + k, exact[valuesAt + k]!)
      flows[index] = count
    },
    putAll(other) {
      if (other.minuteNs !== minuteNs) throw new RangeError(`points of ${other.minuteNs} are not of minute ${minuteNs}`)
      for (let from = 0; from < other.count; from++) {
        tuple.set(other.cells.subarray(from * CELLS, (from + 1) * CELLS))
        const index = place()
        flows[index] = other.flows[from]!
        for (let counter = 0; counter < COUNTERS; counter++) {
          const [at, source] = [index * COUNTERS + counter, from * COUNTERS + counter]
          counters[at] = other.counters[source]!
          const exact = other.wideCounter(source)
          if (exact !== undefined) wide.set(at, exact)
          else if (wide.size > 0) wide.delete(at)
        }
      }
    },
    digest() {
      let low = 0
      let high = 0
      const halves = new Int32Array(2)
      for (let index = 0; index < tuples.count; index++) {
        hashPoint(index, halves)
        low += halves[0]! >>> 0
        high = (high + (halves[1]! >>> 0) + (low >= TWO_32 ? 1 : 0)) % TWO_32
        low %= TWO_32
      }
      return high.toString(16).padStart(8, '0') + low.toString(16).padStart(8, '0')
    },
  }

  /** The two halves of the hash of a point: the same values, mixed in two ways. */
  function hashPoint(index: number, halves: Int32Array): void {
    const { cells } = tuples
    const { low, high } = texts
    let one = HASH_SEED
    let other = HASH_SEED
    const mix = (a: number, b: number) => {
      one = hashStep(one, a)
      other = secondHashStep(other, b)
    }
    for (let cell = 0; cell < CELLS; cell++) {
      const value = cells[index * CELLS + cell]!
      if (cell === NODE || cell === PROTO || cell === SRC || cell === DST || cell === PATH)
        mix(low[value]!, high[value]!)
      else mix(value, value)
    }
    for (let at = index * COUNTERS; at < (index + 1) * COUNTERS; at++) {
      const value = wide.get(at)
      const [bottom, top] =
        value === undefined
          ? [counters[at]! | 0, Math.floor(counters[at]! / TWO_32)]
          : [Number(BigInt.asIntN(32, value)), Number(value >> 32n)]
      mix(bottom, bottom)
      mix(top, top)
    }
    mix(flows[index]!, flows[index]!)
    halves[0] = avalanche(one)
    halves[1] = avalanche(other)
  }
}
