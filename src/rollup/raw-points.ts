/** The raw points (`tailnet_flow`) of one minute of `start`, in columns. A point is kept by its identity, tags and time: a copy takes the place of the
 * one before, as in the database. Points of one message differ, so identities are compared only where a message comes again. */
import { MINUTE } from '../base/clock.ts'
import { avalanche, HASH_SEED, hashStep, secondHashStep } from '../base/hash.ts'
import { RowIndex } from '../base/hash-tables.ts'
import { doubled } from '../base/typed-array.ts'
import { KINDS, type Kind } from '../source/parse/message.ts'
import type { TextIds } from './text-ids.ts'

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

/** Cells of one point in `cells`. Texts are numbers of `TextIds`. */
export const CELLS = 6
/** Index of its message: node and time. */
export const MESSAGE = 0
/** Kind, protocol and path, as a label of `TextIds`. */
export const LABEL = 1
export const SRC = 2
export const DST = 3
export const SRC_PORT = 4
export const DST_PORT = 5

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
  /** Text of the node of each message. */
  readonly nodes: Int32Array
  /** Four per point. Exact where they are at most 2^53-1; `wideCounter` has the others. */
  readonly counters: Float64Array
  /** A counter above 2^53-1, by its index in `counters`. */
  wideCounter(at: number): bigint | undefined
  readonly flows: Float64Array
  /** Adds the point, or takes it in place of the one with its identity. Throws a RangeError when it is not of this minute. */
  put(point: RawPoint): void
  /** A message of a node follows, whose points differ: `offset` is its time after the minute's begin, ns. */
  begin(node: number, offset: number): void
  /** The next point of that message: `tuple` has its CELLS (without MESSAGE), `values` its counters from `at` on; `exact` the same ones, where doubles are
   * rounded. */
  add(tuple: Int32Array, values: Float64Array, at: number, exact: BigInt64Array | undefined, count: number): void
  /** Puts all points of another table of this minute, made with the same `TextIds`. */
  putAll(other: RawPoints): void
  /** Memory that it takes, about. */
  readonly bytes: number
  /** Sum modulo 2^64 of a hash of each point, identity and values: 16 hexadecimal digits, the same in any order and on any machine. */
  digest(): string
}

interface Messages {
  readonly count: number
  /** Text of the node, and the time after the minute's begin in ns, of each. */
  readonly nodes: Int32Array
  readonly offsets: Float64Array
  /** Index of a message; a new one gets the next number. */
  indexOf(node: number, offset: number): number
}

const SAFE_MAX = BigInt(Number.MAX_SAFE_INTEGER)
const TWO_32 = 0x1_0000_0000

export function createRawPoints(minuteNs: bigint, texts: TextIds): RawPoints {
  const messages = createMessages()
  let count = 0
  let cells = new Int32Array(64 * CELLS)
  let counters = new Float64Array(64 * COUNTERS)
  let flows = new Float64Array(64)
  const wide = new Map<number, bigint>()
  /** Points by their cells, as far as they were needed: all points up to `indexed`. */
  let index: RowIndex | undefined
  let indexRows = 0
  let indexed = 0
  /** The message that is being added, and whether it was there before. */
  let message = -1
  let isKnown = false
  const key = new Int32Array(CELLS)

  function grow(): void {
    cells = doubled(cells, Int32Array)
    counters = doubled(counters, Float64Array)
    flows = doubled(flows, Float64Array)
  }

  function hashOf(from: Int32Array, at: number): number {
    let hash = HASH_SEED
    for (let cell = at; cell < at + CELLS; cell++) hash = hashStep(hash, from[cell]!)
    return hash
  }

  function placeOf(places: RowIndex, from: Int32Array, at: number): number {
    let place = places.first(hashOf(from, at))
    for (let row = places.rowAt(place); row >= 0; row = places.rowAt(place)) {
      let cell = 0
      while (cell < CELLS && cells[row * CELLS + cell] === from[at + cell]) cell++
      if (cell === CELLS) return place
      place = places.next(place)
    }
    return place
  }

  /** Index of the point with the cells of `key`; a new one when there is none. */
  function findOrAdd(): number {
    if (index === undefined || indexRows <= count) {
      indexRows = Math.max(64, count * 2)
      index = new RowIndex(indexRows)
      indexed = 0
    }
    for (; indexed < count; indexed++) index.put(placeOf(index, cells, indexed * CELLS), indexed)
    const place = placeOf(index, key, 0)
    const row = index.rowAt(place)
    if (row >= 0) return row
    index.put(place, count)
    indexed = count + 1
    return append()
  }

  function append(): number {
    if (count === flows.length) grow()
    const at = count * CELLS
    for (let cell = 0; cell < CELLS; cell++) cells[at + cell] = key[cell]!
    return count++
  }

  function setCounter(at: number, value: bigint): void {
    counters[at] = Number(value)
    if (value > SAFE_MAX) wide.set(at, value)
    else if (wide.size > 0) wide.delete(at)
  }

  function begin(node: number, offset: number): void {
    const before = messages.count
    message = messages.indexOf(node, offset)
    isKnown = message < before
    key[MESSAGE] = message
  }

  function set(row: number, values: Float64Array, from: number, flowCount: number): void {
    const at = row * COUNTERS
    for (let k = 0; k < COUNTERS; k++) counters[at + k] = values[from + k]!
    if (wide.size > 0) for (let k = 0; k < COUNTERS; k++) wide.delete(at + k)
    flows[row] = flowCount
  }

  return {
    minuteNs,
    get count() {
      return count
    },
    get cells() {
      return cells
    },
    get nodes() {
      return messages.nodes
    },
    get counters() {
      return counters
    },
    get flows() {
      return flows
    },
    get bytes() {
      return cells.byteLength + counters.byteLength + flows.byteLength + (index?.bytes ?? 0) + messages.count * 64
    },
    wideCounter: (at) => (wide.size === 0 ? undefined : wide.get(at)),
    put(point) {
      const offset = point.startNs - minuteNs
      if (offset < 0n || offset >= MINUTE)
        throw new RangeError(`a point of ${point.startNs} is not of minute ${minuteNs}`)
      begin(texts.idOf(point.node), Number(offset))
      key[LABEL] = texts.labelOf(KINDS.indexOf(point.kind), texts.idOf(point.proto), texts.idOf(point.path))
      key[SRC] = texts.idOf(point.src)
      key[DST] = texts.idOf(point.dst)
      key[SRC_PORT] = point.srcPort
      key[DST_PORT] = point.dstPort
      const row = findOrAdd()
      const at = row * COUNTERS
      setCounter(at + TX_BYTES, point.txBytes)
      setCounter(at + TX_PKTS, point.txPkts)
      setCounter(at + RX_BYTES, point.rxBytes)
      setCounter(at + RX_PKTS, point.rxPkts)
      flows[row] = point.flows
    },
    begin,
    add(tuple, values, from, exact, flowCount) {
      for (let cell = LABEL; cell < CELLS; cell++) key[cell] = tuple[cell]!
      const row = isKnown ? findOrAdd() : append()
      set(row, values, from, flowCount)
      if (exact !== undefined) for (let k = 0; k < COUNTERS; k++) setCounter(row * COUNTERS + k, exact[from + k]!)
    },
    putAll(other) {
      if (other.minuteNs !== minuteNs) throw new RangeError(`points of ${other.minuteNs} are not of minute ${minuteNs}`)
      const { offsets } = other as Own
      /** By message of the other table: its number here, and whether it was here before. */
      const numbers = new Int32Array(other.nodes.length).fill(-1)
      const known = new Uint8Array(other.nodes.length)
      for (let from = 0; from < other.count; from++) {
        const its = other.cells[from * CELLS + MESSAGE]!
        if (numbers[its] === -1) {
          begin(other.nodes[its]!, offsets[its]!)
          numbers[its] = message
          known[its] = isKnown ? 1 : 0
        }
        for (let cell = LABEL; cell < CELLS; cell++) key[cell] = other.cells[from * CELLS + cell]!
        key[MESSAGE] = numbers[its]!
        const row = known[its] === 1 ? findOrAdd() : append()
        set(row, other.counters, from * COUNTERS, other.flows[from]!)
        for (let k = 0; k < COUNTERS; k++) {
          const exact = other.wideCounter(from * COUNTERS + k)
          if (exact !== undefined) setCounter(row * COUNTERS + k, exact)
        }
      }
    },
    digest() {
      let low = 0
      let high = 0
      const halves = new Int32Array(2)
      for (let row = 0; row < count; row++) {
        hashPoint(row, halves)
        low += halves[0]! >>> 0
        high = (high + (halves[1]! >>> 0) + (low >= TWO_32 ? 1 : 0)) % TWO_32
        low %= TWO_32
      }
      return high.toString(16).padStart(8, '0') + low.toString(16).padStart(8, '0')
    },
    get offsets() {
      return messages.offsets
    },
  } as Own

  /** The two halves of the hash of a point: the same values, mixed in two ways. */
  function hashPoint(row: number, halves: Int32Array): void {
    const { low, high, labels } = texts
    const at = row * CELLS
    const its = cells[at + MESSAGE]!
    const label = cells[at + LABEL]! * 3
    const offset = messages.offsets[its]!
    const [second, rest] = [Math.floor(offset / 1e9), offset % 1e9]
    const words = [messages.nodes[its]!, labels[label + 1]!, labels[label + 2]!, cells[at + SRC]!, cells[at + DST]!]
    let one = hashStep(hashStep(HASH_SEED, second), rest)
    let other = secondHashStep(secondHashStep(HASH_SEED, second), rest)
    for (let i = 0; i < 5; i++) {
      one = hashStep(one, low[words[i]!]!)
      other = secondHashStep(other, high[words[i]!]!)
    }
    for (const value of [labels[label]!, cells[at + SRC_PORT]!, cells[at + DST_PORT]!, flows[row]!]) {
      one = hashStep(one, value)
      other = secondHashStep(other, value)
    }
    for (let counter = row * COUNTERS; counter < (row + 1) * COUNTERS; counter++) {
      const exact = wide.size === 0 ? undefined : wide.get(counter)
      const value = counters[counter]!
      const bottom = exact === undefined ? value | 0 : Number(BigInt.asIntN(32, exact))
      const top = exact === undefined ? Math.floor(value / TWO_32) : Number(exact >> 32n)
      one = hashStep(hashStep(one, bottom), top)
      other = secondHashStep(secondHashStep(other, bottom), top)
    }
    halves[0] = avalanche(one)
    halves[1] = avalanche(other)
  }
}

/** What only another table of points sees. */
interface Own extends RawPoints {
  readonly offsets: Float64Array
}

function createMessages(): Messages {
  let count = 0
  let nodes = new Int32Array(64)
  let offsets = new Float64Array(64)
  /** By node: its messages by time. */
  const byNode = new Map<number, Map<number, number>>()
  return {
    get count() {
      return count
    },
    get nodes() {
      return nodes
    },
    get offsets() {
      return offsets
    },
    indexOf(node, offset) {
      let mine = byNode.get(node)
      if (mine === undefined) byNode.set(node, (mine = new Map()))
      const known = mine.get(offset)
      if (known !== undefined) return known
      if (count === nodes.length) {
        nodes = doubled(nodes, Int32Array)
        offsets = doubled(offsets, Float64Array)
      }
      nodes[count] = node
      offsets[count] = offset
      mine.set(offset, count)
      return count++
    },
  }
}
