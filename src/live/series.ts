/** How many series of the database points were written to within the last day, estimated: what the database keeps in memory, and what a port
 * scan or `ports: full` drives up. HyperLogLog (Flajolet, Fusy, Gandouet, Meunier 2007): of many random numbers the one with the most leading
 * zeros tells how many different ones there were, and saying one twice changes nothing. One sketch per hour and measurement; their union is
 * the day.
 *
 * Names are left out, because they follow from the address: a device that is renamed counts once, though it begins new series. */
import { HOUR } from '../base/clock.ts'
import { avalanche, hashStep, hashText } from '../base/hash.ts'
import { hashOfFlow, type Points } from '../flatten/points.ts'
import { KINDS } from '../source/parse/message.ts'

export const MEASUREMENTS = ['tailnet_flow', 'tailnet_node'] as const
export type Measurement = (typeof MEASUREMENTS)[number]

export interface Series {
  /** Counts the points of a message; those of a window that fails too, because the database may have taken some of them. */
  take(points: Points, nowNs: bigint): void
  /** Distinct series of the last 23 to 24 hours, or since the start; the standard error is 1.6 %, and less below some thousand. */
  estimate(measurement: Measurement, nowNs: bigint): number
}

const HOURS = 24
const BITS = 12
const REGISTERS = 1 << BITS
/** Corrects the mean of so many registers. */
const ALPHA = 0.7213 / (1 + 1.079 / REGISTERS)

export function createSeries(): Series {
  const flows = Array.from({ length: HOURS }, () => new Uint8Array(REGISTERS))
  const nodes = Array.from({ length: HOURS }, () => new Uint8Array(REGISTERS))
  let place = 0
  let hourEndNs = 0n

  /** Forgets what is a day old. A clock that was set back goes on in the hour that it was in. */
  function turn(nowNs: bigint): void {
    if (nowNs < hourEndNs) return
    const hours = (nowNs - hourEndNs) / HOUR + 1n
    for (let count = 0; count < hours && count < HOURS; count += 1) {
      place = (place + 1) % HOURS
      flows[place]!.fill(0)
      nodes[place]!.fill(0)
    }
    hourEndNs += hours * HOUR
  }

  return {
    take(points, nowNs) {
      turn(nowNs)
      const node = avalanche(hashText(points.node))
      const flowSketch = flows[place]!
      for (let index = 0; index < points.flowCount; index += 1) put(flowSketch, node ^ hashOfFlow(points, index))
      for (let kind = 0; kind < KINDS.length; kind += 1)
        if (points.flows[kind]! > 0) put(nodes[place]!, hashStep(node, kind + 1))
    },
    estimate(measurement, nowNs) {
      turn(nowNs)
      return estimateOf(measurement === 'tailnet_flow' ? flows : nodes)
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
