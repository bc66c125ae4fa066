/** The past in a hurry: what fires there now may be over in a moment. Told is what is so at the end; but nobody waits for ever. */
import { type Clock, MINUTE, MS } from '../base/clock.ts'

/** Catching up holds news back for at most so long. */
const CATCH_UP_MS_MAX = 900_000

/** `normalLagMs`: how far behind the present final minutes are when all is well. */
export function createCatchUp(clock: Clock, normalLagMs: number) {
  let isCatchingUp = true
  let catchUpMs = 0
  let lastRunMs = clock.monotonicMs()
  let lastNs = 0n
  return {
    /** Rules are judged from here on. */
    begin(judgedNs: bigint): void {
      lastNs = judgedNs
    },
    get isCatchingUp() {
      return isCatchingUp
    },
    /** Rules were judged up to here. */
    follow(judgedNs: bigint): void {
      const nowMs = clock.monotonicMs()
      const lagNs = clock.now() - judgedNs
      const isBehind = lagNs > BigInt(2 * normalLagMs) * MS + 10n * MINUTE
      if (!isBehind) catchUpMs = 0
      else if (judgedNs > lastNs) catchUpMs += Math.min(nowMs - lastRunMs, 60_000)
      isCatchingUp = isBehind && catchUpMs < CATCH_UP_MS_MAX
      lastRunMs = nowMs
      lastNs = judgedNs
    },
  }
}
