/** How many series of `tailnet_flow` points were written to within the last day, estimated: what the database keeps in memory, and what a port
 * scan or `ports: full` drives up. HyperLogLog (Flajolet, Fusy, Gandouet, Meunier 2007): of many random numbers the one with the most leading
 * zeros tells how many different ones there were, and saying one twice changes nothing. One sketch per hour; their union is the day. */
import type { Clock } from '../base/clock.ts'
import { avalanche, hashText } from '../base/hash.ts'
import { hashOfFlow, type Points } from '../flatten/points.ts'
import type { Instance } from '../observers/observers.ts'

export interface Series extends Instance {
  /** Distinct series of the last 23 to 24 hours, or since the start; the standard error is 1.6 %, and less below some thousand. */
  estimate(): number
}

const HOURS = 24
const HOUR_MS = 3_600_000
const BITS = 12
const REGISTERS = 1 << BITS
/** Corrects the mean of so many registers. */
const ALPHA = 0.7213 / (1 + 1.079 / REGISTERS)

export function createSeries(clock: Pick<Clock, 'monotonicMs'>): Series {
  const sketches = Array.from({ length: HOURS }, () => new Uint8Array(REGISTERS))
  let hour = Math.floor(clock.monotonicMs() / HOUR_MS)

  /** Forgets what is a day old. */
  function turn(): void {
    const now = Math.floor(clock.monotonicMs() / HOUR_MS)
    for (let next = Math.max(hour + 1, now - HOURS + 1); next <= now; next += 1) sketches[next % HOURS]!.fill(0)
    hour = Math.max(hour, now)
  }

  /** Those of a window that fails count too, because the database may have taken some of them. */
  function take(points: Points): void {
    turn()
    const node = avalanche(hashText(points.node))
    const sketch = sketches[hour % HOURS]!
    for (let index = 0; index < points.count; index += 1) put(sketch, node ^ hashOfFlow(points, index))
  }

  return {
    observer: { points: (_window, points) => take(points), done: () => undefined, failed: () => undefined },
    estimate() {
      turn()
      return estimateOf(sketches)
    },
  }
}

function put(sketch: Uint8Array, hash: number): void {
  const even = avalanche(hash)
  const register = even >>> (32 - BITS)
  const zeros = Math.clz32((even << BITS) | (1 << (BITS - 1))) + 1
  if (zeros > sketch[register]!) sketch[register] = zeros
}

function estimateOf(sketches: readonly Uint8Array[]): number {
  let sum = 0
  let empty = 0
  for (let register = 0; register < REGISTERS; register += 1) {
    let most = 0
    for (const sketch of sketches) if (sketch[register]! > most) most = sketch[register]!
    sum += 2 ** -most
    if (most === 0) empty += 1
  }
  const raw = (ALPHA * REGISTERS * REGISTERS) / sum
  // While registers are empty, how many are tells better.
  return Math.round(raw <= 2.5 * REGISTERS && empty > 0 ? REGISTERS * Math.log(REGISTERS / empty) : raw)
}
