/** Sums of hours and days for a database that cannot be asked: each is written once, from what this process made of all its minutes. */
import { DAY, HOUR } from '../../base/clock.ts'
import type { Tables } from '../rows/row-series.ts'
import { addTo, EDGE, NODE } from '../rows/row-table.ts'

export interface MemorySums {
  /** The rows of a minute, each minute once. */
  addMinute(startNs: bigint, rows: Tables): void
  /** The rows of an hour or a day, in the order of time, each once; undefined when this process has not seen all of it. An hour counts for its day. */
  take(tier: 'hour' | 'day', startNs: bigint): Tables | undefined
}

export function createMemorySums(): MemorySums {
  const hours = new Map<bigint, Tables>()
  const days = new Map<bigint, Tables>()
  /** End of the newest hour and day that were taken: what comes later for them is no whole sum. */
  const takenTo = { hour: 0n, day: 0n }
  /** The first minute that was added: what began before it was not seen whole. */
  let firstNs: bigint | undefined

  function add(sums: Map<bigint, Tables>, startNs: bigint, { edges, nodes }: Tables): void {
    const sum = sums.get(startNs) ?? { edges: new Map(), nodes: new Map() }
    sums.set(startNs, sum)
    addTo(sum.edges, edges, EDGE)
    addTo(sum.nodes, nodes, NODE)
  }

  return {
    addMinute(startNs, rows) {
      if (firstNs === undefined || startNs < firstNs) firstNs = startNs
      if (startNs >= takenTo.hour) add(hours, startNs - (startNs % HOUR), rows)
    },
    take(tier, startNs) {
      const sums = tier === 'hour' ? hours : days
      const rows = sums.get(startNs)
      sums.delete(startNs)
      const endNs = startNs + (tier === 'hour' ? HOUR : DAY)
      if (endNs > takenTo[tier]) takenTo[tier] = endNs
      if (rows === undefined || firstNs === undefined || startNs < firstNs) return undefined
      if (tier === 'hour') add(days, startNs - (startNs % DAY), rows)
      return rows
    },
  }
}
