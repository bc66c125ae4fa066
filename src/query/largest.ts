/** The largest of many, in the memory of a few. */
import { compare } from '../base/order.ts'

export interface FlowCounters {
  /** What `src` sent. */
  readonly txBytes: bigint
  readonly rxBytes: bigint
  readonly txPkts: bigint
  readonly rxPkts: bigint
}

export interface Largest<T> {
  add(flow: T): void
  /** Most bytes first. */
  take(): readonly T[]
}

export function bytesOf({ txBytes, rxBytes }: FlowCounters): bigint {
  return txBytes + rxBytes
}

/** Keeps `count`. Of equal bytes the one that sent more comes first, then the order of `identity` decides, so that the result is always the same. */
export function createLargest<T extends FlowCounters>(count: number, identity: (flow: T) => string): Largest<T> {
  let kept: T[] = []
  function order(one: T, other: T): number {
    const difference = bytesOf(other) - bytesOf(one) || other.txBytes - one.txBytes
    if (difference !== 0n) return difference > 0n ? 1 : -1
    return compare(identity(one), identity(other))
  }
  const cut = () => {
    kept = kept.toSorted(order).slice(0, count)
  }
  return {
    add(flow) {
      kept.push(flow)
      if (kept.length > count * 2 + 1_000) cut()
    },
    take() {
      cut()
      return kept
    },
  }
}
