/** Traffic by kind over the last hour, in a ring of buckets. Kinds are never added up: physical traffic is the other kinds once more, encrypted. */
import { SECOND, secondsOf } from '../base/clock.ts'
import type { Interval } from '../ledger/ledger.ts'
import { KINDS, type Kind } from '../source/parse/message.ts'

export const BUCKET_SECONDS = 30
export const BUCKETS = 120
const BUCKET_NS = BigInt(BUCKET_SECONDS) * SECOND
/** Per kind bytes sent and received. */
const CELLS = 2 * KINDS.length
const BUCKETS_HELD = BUCKETS + 16

/** A record of a node is logged within seconds of its start: a bucket is whole when so much more has been read. */
const SETTLE_NS = 15n * SECOND
/** Clocks of nodes that are off by more must not fill the memory. */
const AHEAD_MAX = 10

type Series = Readonly<Record<Kind, readonly (number | null)[]>>

/** Bytes per second, as all reporting nodes count them together, oldest first; null for what was not read (yet). */
export interface ThroughputView {
  readonly bucketSeconds: number
  /** Begin of the oldest bucket, seconds since the epoch (the nodes' clocks). */
  readonly fromSeconds: number
  readonly tx: Series
  readonly rx: Series
}

/** Sums of one window, until it is known whether the window counts. */
export type Sums = Map<number, Float64Array>

export interface Throughput {
  add(sums: Sums, nowNs: bigint): void
  /** `covered`: ranges of `logged` time that were added. */
  view(covered: readonly Interval[], nowNs: bigint): ThroughputView
}

/** Where a time lies, seconds since the epoch. Numbers: a BigInt per message is more garbage than all the rest of the line makes. */
export function bucketOf(seconds: number): number {
  return Math.floor(seconds / BUCKET_SECONDS)
}

/** Adds bytes sent and received of one kind (its index in KINDS). */
export function addTo(sums: Sums, bucket: number, kind: number, tx: number, rx: number): void {
  let cells = sums.get(bucket)
  if (cells === undefined) {
    if (sums.size >= BUCKETS_HELD) return
    cells = new Float64Array(CELLS)
    sums.set(bucket, cells)
  }
  cells[2 * kind]! += tx
  cells[2 * kind + 1]! += rx
}

export function createThroughput(): Throughput {
  const buckets: Sums = new Map()

  return {
    add(sums, nowNs) {
      const now = bucketOf(secondsOf(nowNs))
      const first = now - BUCKETS
      for (const [bucket, cells] of sums) {
        if (bucket < first || bucket > now + AHEAD_MAX) continue
        const mine = buckets.get(bucket) ?? new Float64Array(CELLS)
        for (let cell = 0; cell < CELLS; cell += 1) mine[cell]! += cells[cell] ?? 0
        buckets.set(bucket, mine)
      }
      for (const bucket of buckets.keys()) if (bucket < first) buckets.delete(bucket)
    },

    view(covered, nowNs) {
      const first = bucketOf(secondsOf(nowNs)) - BUCKETS
      const numbers = Array.from({ length: BUCKETS }, (_, index) => first + index)
      const isWhole = numbers.map((bucket) => {
        const fromNs = BigInt(bucket) * BUCKET_NS
        const toNs = fromNs + BUCKET_NS + SETTLE_NS
        return covered.some((one) => one.fromNs <= fromNs && toNs <= one.toNs)
      })
      const series = (direction: number): Series =>
        Object.fromEntries(
          KINDS.map((kind, index) => [
            kind,
            numbers.map((bucket, at) =>
              isWhole[at] ? Math.round((buckets.get(bucket)?.[2 * index + direction] ?? 0) / BUCKET_SECONDS) : null,
            ),
          ]),
        ) as unknown as Series
      return {
        bucketSeconds: BUCKET_SECONDS,
        fromSeconds: first * BUCKET_SECONDS,
        tx: series(0),
        rx: series(1),
      }
    },
  }
}
