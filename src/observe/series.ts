/** How many series of `tailnet_flow` points were written to within the last day, estimated: what the database keeps in memory, and what a port
 * scan or `ports: full` drives up. HyperLogLog (Flajolet, Fusy, Gandouet, Meunier 2007): of many random numbers the one with the most leading
 * zeros tells how many different ones there were, and saying one twice changes nothing. One sketch per hour; their union is the day. */
import { HOUR } from '../base/clock.ts'
import { avalanche, hashText } from '../base/hash.ts'
import { hashOfFlow, type Points } from '../flatten/points.ts'

export interface Series {
  /** Counts the points of a message; those of a window that fails too, because the database may have taken some of them. */
  take(points: Points, nowNs: bigint): void
  /** Distinct series of the last 23 to 24 hours, or since the start; the standard error is 1.6 %, and less below some thousand. */
  estimate(nowNs: bigint): number
}

const HOURS = 24
const BITS = 12
const REGISTERS = 1 << BITS
/** Corrects the mean of so many registers. */
const ALPHA = 0.7213 / (1 + 1.079 / REGISTERS)

export function createSeries(): Series {
  const flows = Array.from({ length: HOURS }, () => new Uint8Array(REGISTERS))
  let place = 0
  let hourEndNs = 0n

  /** Forgets what is a day old. A clock that was set back goes on in the hour that it was in. */
  function turn(nowNs: bigint): void {
    if (nowNs < hourEndNs) return
    const hours = (nowNs - hourEndNs) / HOUR + 1n
    for (let count = 0; count < hours && count < HOURS; count += 1) {
      place = (place + 1) % HOURS
      flows[place]!.fill(0)
    }
    hourEndNs += hours * HOUR
  }

  return {
    take(points, nowNs) {
      turn(nowNs)
      const node = avalanche(hashText(points.node))
      const flowSketch = flows[place]!
      for (let index = 0; index < points.count; index += 1) put(flowSketch, node ^ hashOfFlow(points, index))
    },
    estimate(nowNs) {
      turn(nowNs)
      return estimateOf(flows)
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
