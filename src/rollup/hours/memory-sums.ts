/** Sums of hours and days for a database that cannot be asked: each is written once, from what this process made of all its minutes. */
import { DAY, HOUR } from '../../base/clock.ts'
import type { Tables } from '../rows/row-series.ts'
import { addTo, EDGE, NODE } from '../rows/row-table.ts'

export interface MemorySums {
  /** The rows of a minute, each minute once. */
  addMinute(startNs: bigint, rows: Tables): void
  /** The rows of an hour or a day; undefined when this process has not seen all of it. */
  rows(tier: 'hour' | 'day', startNs: bigint): Tables | undefined
  /** It was written, or it never will be. An hour counts for its day; what comes later for it is no whole sum. */
  end(tier: 'hour' | 'day', startNs: bigint): void
}

/** So many hours and days that ended are remembered. */
const ENDED_MAX = 10_000

export function createMemorySums(): MemorySums {
  const hours = new Map<bigint, Tables>()
  const days = new Map<bigint, Tables>()
  const ended = { hour: new Set<bigint>(), day: new Set<bigint>() }
  /** The first minute that was added: what began before it was not seen whole. */
  let firstNs: bigint | undefined

  function add(sums: Map<bigint, Tables>, startNs: bigint, { edges, nodes }: Tables): void {
    const sum = sums.get(startNs) ?? { edges: new Map(), nodes: new Map() }
    sums.set(startNs, sum)
    addTo(sum.edges, edges, EDGE)
    addTo(sum.nodes, nodes, NODE)
  }

  function rowsOf(tier: 'hour' | 'day', startNs: bigint): Tables | undefined {
    if (firstNs === undefined || startNs < firstNs) return undefined
    return (tier === 'hour' ? hours : days).get(startNs)
  }

  return {
    addMinute(startNs, rows) {
      if (firstNs === undefined || startNs < firstNs) firstNs = startNs
      const hourNs = startNs - (startNs % HOUR)
      if (!ended.hour.has(hourNs)) add(hours, hourNs, rows)
    },
    rows: rowsOf,
    end(tier, startNs) {
      const rows = rowsOf(tier, startNs)
      const dayNs = startNs - (startNs % DAY)
      if (tier === 'hour' && rows !== undefined && !ended.day.has(dayNs)) add(days, dayNs, rows)
      ;(tier === 'hour' ? hours : days).delete(startNs)
      ended[tier].add(startNs)
      for (const first of ended[tier]) if (ended[tier].size > ENDED_MAX) ended[tier].delete(first)
    },
  }
}
