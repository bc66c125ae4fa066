import { setTimeout as sleep } from 'node:timers/promises'

/** Time as a dependency: components never read a clock or set a timer by themselves, so a test can own time. */
export interface Clock {
  /** The local wall clock in ns since the epoch (millisecond resolution). May jump either way. */
  now(): bigint
  /** Milliseconds that never go back, for measuring durations only. */
  monotonicMs(): number
  /** Resolves after `ms`; rejects with the signal's reason when it is aborted first. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
}

export const systemClock: Clock = {
  now: () => BigInt(Date.now()) * 1_000_000n,
  monotonicMs: () => performance.now(),
  sleep: async (ms, signal) => {
    try {
      await sleep(ms, undefined, signal ? { signal } : {})
    } catch (error) {
      signal?.throwIfAborted()
      throw error
    }
  },
}

export const MS = 1_000_000n
export const SECOND = 1_000n * MS
export const MINUTE = 60n * SECOND
export const HOUR = 60n * MINUTE
export const DAY = 24n * HOUR
/** The last time that InfluxDB can store, ns. */
export const END_OF_TIME = (1n << 63n) - 1n

/** The same time in seconds, good to a microsecond: a number is no garbage where a BigInt per message would be. */
export function secondsOf(ns: bigint): number {
  return Number(ns) / 1e9
}
