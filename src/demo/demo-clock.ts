/** The clock of a demo: as the real one, ahead of or behind it, or faster. */

export interface DemoClockOptions {
  /** Demo seconds per real second. */
  readonly speed?: number
  /** Added to the real time at the start, ms. */
  readonly offsetMs?: number
}

/** Now, in ns since the epoch. It runs from the moment of this call. */
export function createDemoClock({ speed = 1, offsetMs = 0 }: DemoClockOptions = {}): () => bigint {
  if (!(speed > 0)) throw new RangeError(`speed must be above 0, not ${speed}`)
  const beganMs = performance.now()
  const beganNs = BigInt(Math.round((Date.now() + offsetMs) * 1000)) * 1000n
  return () => beganNs + BigInt(Math.round((performance.now() - beganMs) * speed * 1000)) * 1000n
}
