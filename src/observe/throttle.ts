/** Holds repeats back: a database that is away must not fill a disk with its log. */
import type { Clock } from '../base/clock.ts'

export interface Throttle {
  /** How many with this key were held back since the last one that passed (0 most of the time); undefined: hold this one back. */
  pass(key: string): number | undefined
}

const PERIOD_MS = 10_000
/** This many with one key pass in each period. */
const BURST = 10
/** Keys are constant texts and codes; this bounds them even so. */
const KEYS_MAX = 1_000

export function createThrottle(clock: Pick<Clock, 'monotonicMs'>): Throttle {
  const seen = new Map<string, { beganMs: number; passed: number; held: number }>()
  return {
    pass(key) {
      const nowMs = clock.monotonicMs()
      const entry = seen.get(key)
      if (entry !== undefined && nowMs - entry.beganMs < PERIOD_MS) {
        if (entry.passed < BURST) {
          entry.passed += 1
          return 0
        }
        entry.held += 1
        return undefined
      }
      if (seen.size >= KEYS_MAX) seen.clear()
      seen.set(key, { beganMs: nowMs, passed: 1, held: 0 })
      return entry?.held ?? 0
    },
  }
}
