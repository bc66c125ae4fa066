/** Sums of counters: as doubles while all of them stay exact, else as whole numbers of any size, which are several times slower. */
import { COUNTERS, type RawPoints, RX_BYTES, RX_PKTS, TX_BYTES, TX_PKTS } from './raw-points.ts'

/** The four counters of a row, 0 to 2^63-1; a larger sum is kept as that. */
export interface RowCounters {
  readonly txBytes: bigint
  readonly txPkts: bigint
  readonly rxBytes: bigint
  readonly rxPkts: bigint
}

/** Sums by index. */
export interface Sums {
  /** False: some sum went beyond 2^53-1, and is not exact. */
  isExact(): boolean
  /** Adds a point: the bytes and packets that were sent at `tx` and after it, those received at `rx` and after it. */
  addPoint(tx: number, rx: number, points: RawPoints, point: number): void
  /** Adds what was sent and received in bytes alone, at `at` and after it. */
  addBytes(at: number, points: RawPoints, point: number): void
  /** Adds a whole number. */
  add(at: number, value: number): void
  isAbove0(at: number): boolean
  /** At most 2^63-1, which is all that a field can hold. */
  value(at: number): bigint
  /** Of two sums together, in the same way. */
  both(at: number, other: number): bigint
}

const FIELD_MAX = (1n << 63n) - 1n

export function bounded(sum: bigint): bigint {
  return sum > FIELD_MAX ? FIELD_MAX : sum
}

export function createSums(): Sums {
  let sums = new Float64Array(4096)

  function grow(at: number): void {
    while (at + COUNTERS >= sums.length) {
      const more = new Float64Array(sums.length * 2)
      more.set(sums)
      sums = more
    }
  }

  return {
    // Sums only grow, so one that was not exact on the way is too large in the end.
    isExact: () => sums.every((sum) => sum <= Number.MAX_SAFE_INTEGER),
    addPoint(tx, rx, { counters }, point) {
      grow(tx > rx ? tx : rx)
      const from = point * COUNTERS
      sums[tx] = sums[tx]! + counters[from]!
      sums[tx + 1] = sums[tx + 1]! + counters[from + 1]!
      sums[rx] = sums[rx]! + counters[from + 2]!
      sums[rx + 1] = sums[rx + 1]! + counters[from + 3]!
    },
    addBytes(at, { counters }, point) {
      grow(at)
      sums[at] = sums[at]! + counters[point * COUNTERS + TX_BYTES]!
      sums[at + 1] = sums[at + 1]! + counters[point * COUNTERS + RX_BYTES]!
    },
    add(at, value) {
      grow(at)
      sums[at] = sums[at]! + value
    },
    isAbove0: (at) => (sums[at] ?? 0) > 0,
    value: (at) => BigInt(sums[at] ?? 0),
    both: (at, other) => BigInt(sums[at] ?? 0) + BigInt(sums[other] ?? 0),
  }
}

export function createBigSums(): Sums {
  const sums = new Map<number, bigint>()
  const sum = (at: number) => sums.get(at) ?? 0n
  const add = (at: number, value: bigint) => void sums.set(at, sum(at) + value)
  const counter = (points: RawPoints, at: number) => points.wideCounter(at) ?? BigInt(points.counters[at]!)
  return {
    isExact: () => true,
    addPoint(tx, rx, points, point) {
      const from = point * COUNTERS
      for (const [k, at] of [tx, tx + 1, rx, rx + 1].entries()) add(at, counter(points, from + k))
    },
    addBytes(at, points, point) {
      add(at, counter(points, point * COUNTERS + TX_BYTES))
      add(at + 1, counter(points, point * COUNTERS + RX_BYTES))
    },
    add: (at, value) => add(at, BigInt(value)),
    isAbove0: (at) => sum(at) > 0n,
    value: (at) => bounded(sum(at)),
    both: (at, other) => bounded(sum(at) + sum(other)),
  }
}

/** Four sums in the order of a point's counters: what was sent from `tx` on, what was received from `rx` on. */
export function countersOf(sums: Sums, at: number): RowCounters {
  return {
    txBytes: sums.value(at + TX_BYTES),
    txPkts: sums.value(at + TX_PKTS),
    rxBytes: sums.value(at + RX_BYTES),
    rxPkts: sums.value(at + RX_PKTS),
  }
}

/** Only such rows exist. */
export function hasCounted({ txBytes, txPkts, rxBytes, rxPkts }: RowCounters): boolean {
  return txBytes > 0n || txPkts > 0n || rxBytes > 0n || rxPkts > 0n
}
