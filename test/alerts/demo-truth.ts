/** What a simulated tailnet did, minute by minute, from its own truth: the oracle for rules over it. */
import { createTailnet, type Tailnet } from '../simulator/tailnet.ts'
import type { TruthPoint } from '../simulator/truth.ts'
import { MIN } from './world.ts'

export interface DemoTruth {
  readonly tailnet: Tailnet
  readonly points: readonly TruthPoint[]
}

export function demoTruth(tailnet: Tailnet, fromNs: bigint, toNs: bigint): TruthPoint[] {
  return [...tailnet.truth(fromNs, toNs, { nameAsOf: () => undefined })]
}

export { createTailnet }

/** Sums per group and minute. */
export type Minutes = ReadonlyMap<string, ReadonlyMap<number, number>>

export function minutesOf(
  points: Iterable<TruthPoint>,
  group: (point: TruthPoint) => string | undefined,
  value: (point: TruthPoint) => number,
): Minutes {
  const groups = new Map<string, Map<number, number>>()
  for (const point of points) {
    const key = group(point)
    if (key === undefined) continue
    const minutes = groups.get(key) ?? new Map<number, number>()
    groups.set(key, minutes)
    const minute = Number(point.timestampNs / MIN)
    minutes.set(minute, (minutes.get(minute) ?? 0) + value(point))
  }
  return groups
}

/** The sum over the minutes [to - count, to). */
export function windowSum(minutes: ReadonlyMap<number, number>, to: number, count: number): number {
  let sum = 0
  for (let minute = to - count; minute < to; minute++) sum += minutes.get(minute) ?? 0
  return sum
}

/** Readers of points. */
export const field = (name: string) => (point: TruthPoint) => Number(point.fields[name] ?? 0n)
export const tag = (name: string) => (point: TruthPoint) => point.tags[name]
/** Sent and received. */
export const both = (point: TruthPoint) => field('tx_bytes')(point) + field('rx_bytes')(point)
