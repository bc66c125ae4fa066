/** One simulated clock for two processes of this machine: both compute it from the wall clock at which it began. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Clock } from '../../src/base/clock.ts'

export interface SharedTime {
  readonly startNs: bigint
  /** Wall clock at `startNs`, ms. */
  readonly beganMs: number
  readonly speed: number
}

export function createSharedClock({ startNs, beganMs, speed }: SharedTime): Clock {
  const elapsedMs = () => (performance.timeOrigin + performance.now() - beganMs) * speed
  return {
    now: () => startNs + BigInt(Math.floor(elapsedMs())) * 1_000_000n,
    monotonicMs: elapsedMs,
    async sleep(ms, signal) {
      signal?.throwIfAborted()
      await sleep(Math.max(0, ms / speed), undefined, signal ? { signal } : {}).catch((error) => {
        signal?.throwIfAborted()
        throw error
      })
    },
  }
}
