/** Sums of counters: as doubles while all of them stay exact, else as whole numbers of any size, which are several times slower. */
import { type RawPoints, RX_BYTES, RX_PKTS, TX_BYTES, TX_PKTS } from './raw-points.ts'

/** The four counters of a row, 0 to 2^63-1; a larger sum is kept as that. */
export interface RowCounters {
  readonly txBytes: bigint
  readonly txPkts: bigint
  readonly rxBytes: bigint
  readonly rxPkts: bigint
}

export interface Sums {
  /** False: some sum went beyond 2^53-1, and is not exact. */
  readonly isExact: boolean
  /** Adds a counter of a point, by its index in `points.counters`. */
  addCounter(at: number, points: RawPoints, counter: number): void
  /** Adds a whole number. */
  add(at: number, value: number): void
  /** At most 2^63-1, which is all that a field can hold. */
  value(at: number): bigint
}

const FIELD_MAX = (1n << 63n) - 1n

export function bounded(sum: bigint): bigint {
  return sum > FIELD_MAX ? FIELD_MAX : sum
}

export function createSums(): Sums {
  let sums = new Float64Array(1024)
  let isExact = true

  function add(at: number, value: number): void {
    while (at >= sums.length) {
      const more = new Float64Array(sums.length * 2)
      more.set(sums)
      sums = more
    }
    const sum = sums[at]! + value
    if (sum > Number.MAX_SAFE_INTEGER) isExact = false
    sums[at] = sum
  }

  return {
    get isExact() {
      return isExact
    },
    addCounter: (at, points, counter) => add(at, points.counters[counter]!),
    add,
    value: (at) => BigInt(sums[at] ?? 0),
  }
}

export function createBigSums(): Sums {
  const sums = new Map<number, bigint>()
  const add = (at: number, value: bigint) => void sums.set(at, (sums.get(at) ?? 0n) + value)
  return {
    isExact: true,
    addCounter: (at, points, counter) => add(at, points.wideCounter(counter) ?? BigInt(points.counters[counter]!)),
    add: (at, value) => add(at, BigInt(value)),
    value(at) {
      return bounded(sums.get(at) ?? 0n)
    },
  }
}

/** Four sums in the order of a point's counters: what was sent from `tx` on, what was received from `rx` on. */
export function countersOf(sums: Sums, tx: number, rx: number): RowCounters {
  return {
    txBytes: sums.value(tx + TX_BYTES),
    txPkts: sums.value(tx + TX_PKTS),
    rxBytes: sums.value(rx + RX_BYTES),
    rxPkts: sums.value(rx + RX_PKTS),
  }
}

/** Only such rows exist. */
export function hasCounted({ txBytes, txPkts, rxBytes, rxPkts }: RowCounters): boolean {
  return txBytes > 0n || txPkts > 0n || rxBytes > 0n || rxPkts > 0n
}
