/** Sums of hours, kept while this process makes their minutes, so that the rows of sixty minutes are not read back every time an hour is written. */
import { HOUR } from '../../base/clock.ts'
import { doubled } from '../../base/typed-array.ts'
import { createTuples } from '../points/tuples.ts'
import { type SeriesRows, seriesOf, TAGS, type TierRows } from '../rows/row-series.ts'
import { EDGE, NODE, type Shape } from '../rows/row-table.ts'
import { isExact } from '../rows/sums.ts'

/** The rows of a minute that stand, and the digest that its `tailflux_minute` has; undefined without one. */
export interface StandingMinute extends TierRows {
  readonly digest: string | undefined
}

export interface HourSums {
  /** Nothing stands of what begins at this time or later. */
  start(nowNs: bigint): void
  /** Rows of a minute are being written. */
  begin(startNs: bigint): void
  /** They were written. `before`: what stood until then. */
  replace(startNs: bigint, before: StandingMinute, now: StandingMinute): void
  /** The sums of an hour; undefined when this process does not know all of its minutes. */
  rows(hourNs: bigint): TierRows | undefined
  /** Forgets hours that ended before this time. */
  forget(nowNs: bigint): void
}

interface Hour {
  /** False: some minute is not known here. */
  isWhole: boolean
  /** A minute whose writing began and did not end: what stands of it is not known. */
  begun: bigint | undefined
  readonly digests: Map<bigint, string | undefined>
  readonly edges: Sum
  readonly nodes: Sum
}

export function createHourSums(): HourSums {
  const hours = new Map<bigint, Hour>()
  let firstNs: bigint | undefined

  function hourOf(startNs: bigint): Hour | undefined {
    const hourNs = startNs - (startNs % HOUR)
    if (firstNs === undefined || hourNs < firstNs) return undefined
    let hour = hours.get(hourNs)
    if (hour === undefined)
      hours.set(
        hourNs,
        (hour = {
          isWhole: true,
          begun: undefined,
          digests: new Map(),
          edges: createSum(EDGE),
          nodes: createSum(NODE),
        }),
      )
    return hour.isWhole ? hour : undefined
  }

  return {
    start(nowNs) {
      firstNs = nowNs
    },
    begin(startNs) {
      const hour = hourOf(startNs)
      if (hour === undefined) return
      if (hour.begun !== undefined) hour.isWhole = false
      hour.begun = startNs
    },
    replace(startNs, before, now) {
      const hour = hourOf(startNs)
      if (hour === undefined) return
      hour.begun = undefined
      hour.isWhole =
        hour.digests.get(startNs) === before.digest &&
        hour.edges.replace(before.edges, now.edges) &&
        hour.nodes.replace(before.nodes, now.nodes)
      hour.digests.set(startNs, now.digest)
    },
    rows(hourNs) {
      const hour = hours.get(hourNs)
      if (hour?.isWhole !== true || hour.begun !== undefined) return undefined
      const [edges, nodes] = [hour.edges.rows(), hour.nodes.rows()]
      return edges && nodes && { edges, nodes }
    },
    forget(nowNs) {
      for (const hourNs of hours.keys()) {
        if (hourNs + 2n * HOUR >= nowNs) continue
        hours.delete(hourNs)
        // What comes later for it is no whole sum.
        if (firstNs !== undefined && hourNs >= firstNs) firstNs = hourNs + HOUR
      }
    },
  }
}

interface Sum {
  /** False: the sum is no longer known. */
  replace(before: SeriesRows, now: SeriesRows): boolean
  /** Undefined: not exact as doubles. */
  rows(): SeriesRows | undefined
}

function createSum(shape: Shape): Sum {
  const width = shape.fields.length
  const largest = shape.fields.indexOf(shape.largest)
  const keys = createTuples(TAGS)
  let texts: SeriesRows['texts'] | undefined
  let sums = new Float64Array(64 * width)

  /** False: these rows cannot be added here. `each` gets the place of the sums of a row, and that of its values. */
  function eachRow(rows: SeriesRows, each: (to: number, values: Float64Array, at: number) => void): boolean {
    if (rows.count === 0) return true
    texts ??= rows.texts
    if (rows.texts !== texts || !(rows.values instanceof Float64Array)) return false
    for (let row = 0; row < rows.count; row++) {
      const to = keys.indexOf(rows.tags, row * TAGS) * width
      while (to + width > sums.length) sums = doubled(sums, Float64Array)
      each(to, rows.values, row * width)
    }
    return true
  }

  return {
    replace(before, now) {
      /** By row of the sums: the value before of the field of which the largest counts. It cannot be taken back. */
      const lowered = new Map<number, number>()
      const isTaken = eachRow(before, (to, values, at) => {
        for (let i = 0; i < width; i++) if (i !== largest) sums[to + i] = sums[to + i]! - values[at + i]!
        lowered.set(to, values[at + largest]!)
      })
      const isAdded = eachRow(now, (to, values, at) => {
        for (let i = 0; i < width; i++) if (i !== largest) sums[to + i] = sums[to + i]! + values[at + i]!
        const value = values[at + largest]!
        if (value > sums[to + largest]!) sums[to + largest] = value
        if (value >= (lowered.get(to) ?? 0)) lowered.delete(to)
      })
      return isTaken && isAdded && lowered.size === 0
    },
    rows() {
      if (texts === undefined) return undefined
      const values = sums.slice(0, keys.count * width)
      return isExact(values) ? seriesOf(shape, keys.cells.slice(0, keys.count * TAGS), values, texts) : undefined
    },
  }
}
