/** A clock that a test owns. Time stands still until `advance`; sleepers wake in order of their time. */
import { setImmediate as turn } from 'node:timers/promises'
import { type Clock, MS } from '../../src/base/clock.ts'

export interface FakeClock extends Clock {
  /** Moves both clocks on, waking sleepers one by one and letting everything that they set off come to rest. */
  advance(ms: number): Promise<void>
  /** The wall clock jumps, as when it is set; monotonic time does not. */
  jump(ms: number): void
  /** Milliseconds until the next sleeper wakes; undefined when nothing sleeps. */
  nextWakeMs(): number | undefined
}

export const NOON_NS = 1_793_620_800_000_000_000n // 2026-11-02T12:00:00Z

/** `turns`: how many turns of the event loop things may take to come to rest; one is enough where all of them are promises. */
export function createFakeClock(startNs = NOON_NS, turns = 2): FakeClock {
  let wallNs = startNs
  let monotonic = 0
  let sleepers: { atMs: number; wake: () => void }[] = []
  return {
    now: () => wallNs,
    monotonicMs: () => monotonic,
    sleep(ms, signal) {
      return new Promise((resolve, reject) => {
        if (signal?.aborted) return reject(signal.reason)
        const sleeper = { atMs: monotonic + Math.max(0, ms), wake: () => undefined as unknown }
        const onAbort = () => {
          sleepers = sleepers.filter((one) => one !== sleeper)
          reject(signal?.reason)
        }
        sleeper.wake = () => {
          signal?.removeEventListener('abort', onAbort)
          resolve()
        }
        signal?.addEventListener('abort', onAbort, { once: true })
        sleepers.push(sleeper)
      })
    },
    async advance(ms) {
      const untilMs = monotonic + ms
      while (true) {
        await settle(turns)
        const next = sleepers.toSorted((one, other) => one.atMs - other.atMs)[0]
        const stepTo = next && next.atMs <= untilMs ? next.atMs : untilMs
        const step = Math.max(0, stepTo - monotonic)
        monotonic += step
        wallNs += BigInt(Math.round(step * 1e6))
        if (next === undefined || next.atMs > untilMs) break
        sleepers = sleepers.filter((one) => one !== next)
        next.wake()
      }
      await settle(turns)
    },
    jump(ms) {
      wallNs += BigInt(ms) * MS
    },
    nextWakeMs() {
      const next = sleepers.toSorted((one, other) => one.atMs - other.atMs)[0]
      return next && next.atMs - monotonic
    },
  }
}

/** Lets promises and immediates that are ready run out. */
async function settle(turns: number): Promise<void> {
  for (let index = 0; index < turns; index += 1) await turn()
}
