/** Fills the rings from the rows in the database: minutes as long as rules look at minutes, longer slots from sums of minutes, hours and days. What was told
 * meanwhile is newer than the database, and stays. */

import { max, min } from '../../base/bigint.ts'
import { DAY, HOUR, MINUTE } from '../../base/clock.ts'
import { getOrInsert } from '../../base/maps.ts'
import { subtract } from '../../ledger/intervals.ts'
import type { Interval } from '../../ledger/ledger.ts'
import type { EdgeRow, NodeRow } from '../../rollup/rows/row.ts'
import type { RowMeasurement, RowStore } from '../../rollup/rows/row-store.ts'
import { edgeOf, nodeOf } from '../../rollup/rows/stored-row.ts'
import { inPortions, type Tier } from './portions.ts'
import type { Rows, View } from './view.ts'

export interface FillDeps {
  readonly rows: Pick<RowStore, 'rows' | 'summed'>
  readonly views: readonly View[]
  readonly numbers: Rows
  /** The directory has a node of this id. */
  readonly isNode: (id: string) => boolean
  /** The minute (its begin) was told to this process. */
  readonly isTold: (startNs: bigint) => boolean
  /** What was seen since then is not in the index of any rule; undefined without such rules. */
  readonly seenSinceNs: () => bigint | undefined
  /** Hours and days that wait to be written, as ranges in any order: sums of the tier below take their place. */
  readonly waiting: (tier: 'hour' | 'day') => readonly Interval[]
  readonly signal: AbortSignal
}

/** Rows of hours are complete once the hour was over for this long. */
const HOURS_READY_NS = 2n * HOUR
/** Minutes are read no further back. */
const MINUTES_MAX_NS = 48n * HOUR

/** Edges whose texts are remembered. */
const TEXTS_MAX = 50_000

export function createFill(deps: FillDeps) {
  const { rows, views, numbers, signal } = deps
  const edges = new Map<string, EdgeRow>()
  const nodes = new Map<string, NodeRow>()
  let oldestNs: bigint | undefined
  /** Begins of minutes that have rows. */
  let withRows = new Set<bigint>()

  /** Rows as they are stored, as numbers. Their texts are read once. */
  function put(source: View['source'], key: string, fields: readonly bigint[]): void {
    const [txBytes = 0n, rxBytes = 0n, txPkts = 0n, rxPkts = 0n] = fields
    if (source === 'edges') {
      const known = getOrInsert(edges, key, () => edgeOf(key, fields, deps.isNode))
      numbers.edges.edge({ ...known, txBytes, rxBytes, txPkts, rxPkts })
    } else {
      const known = getOrInsert(nodes, key, () => nodeOf(key, fields))
      const [derpTxBytes = 0n, derpRxBytes = 0n] = fields.slice(6)
      numbers.nodes.node({ ...known, txBytes, rxBytes, txPkts, rxPkts, derpTxBytes, derpRxBytes })
    }
  }

  /** Reads a range, and calls `each` for each time that has rows, with the rows in `numbers`. */
  async function read(
    source: View['source'],
    tier: Tier,
    fromNs: bigint,
    toNs: bigint,
    each: (timeNs: bigint) => void,
  ): Promise<number> {
    let count = 0
    const measurement = `tailnet_${source === 'edges' ? 'edge' : 'node'}${tier}` as RowMeasurement
    const byTime = new Map<bigint, (readonly [string, readonly bigint[]])[]>()
    await rows.rows(
      measurement,
      fromNs,
      toNs,
      (timeNs, key, fields) => {
        getOrInsert(byTime, timeNs, () => []).push([key, [...fields]])
        count += 1
      },
      signal,
    )
    for (const [timeNs, all] of [...byTime].toSorted(([one], [other]) => (one < other ? -1 : 1))) {
      if (oldestNs === undefined || timeNs < oldestNs) oldestNs = timeNs
      if (tier === '') withRows.add(timeNs)
      numbers[source].begin()
      for (const [key, fields] of all) put(source, key, fields)
      each(timeNs)
    }
    return count
  }

  /** Hours, and days where whole days are wanted. */
  async function readLong(
    source: View['source'],
    fromNs: bigint,
    toNs: bigint,
    each: (timeNs: bigint) => void,
    canUseDays: boolean,
  ): Promise<void> {
    const days = canUseDays ? { fromNs: fromNs - (fromNs % DAY), toNs: toNs - (toNs % DAY) } : { fromNs, toNs: fromNs }
    const waiting = subtract([days], subtract([days], deps.waiting('day')))
    for (const one of subtract([days], waiting))
      await inPortions('_1d', one.fromNs, one.toNs, (atNs, endNs) => read(source, '_1d', atNs, endNs, each))
    for (const one of [...waiting, { fromNs: floor(days.toNs, HOUR), toNs }]) await readHours(source, one, each)
  }

  /** In steps of this length, or shorter ones that divide it. */
  async function readSteps(
    source: View['source'],
    fromNs: bigint,
    toNs: bigint,
    stepMinutes: number,
    each: (timeNs: bigint) => void,
    canUseDays: boolean,
  ): Promise<void> {
    if (stepMinutes % 60 === 0) return await readLong(source, fromNs, toNs, each, canUseDays)
    const stepNs = BigInt(stepMinutes) * MINUTE
    for (let atNs = fromNs; atNs < toNs; atNs += stepNs) await summed(source, atNs, stepNs, () => each(atNs))
  }

  async function readHours(source: View['source'], range: Interval, each: (timeNs: bigint) => void): Promise<void> {
    const written = subtract([range], deps.waiting('hour'))
    for (const one of written)
      await inPortions('_1h', one.fromNs, one.toNs, (atNs, endNs) => read(source, '_1h', atNs, endNs, each))
    for (const { fromNs, toNs } of subtract([range], written))
      for (let atNs = fromNs; atNs < toNs; atNs += HOUR) await summed(source, atNs, HOUR, () => each(atNs))
  }

  async function fillSource(source: View['source'], finalNs: bigint, newestNs: bigint): Promise<void> {
    const mine = views.filter((view) => view.source === source)
    if (mine.length === 0) return
    const keptNs = (kept: (view: View) => readonly number[]) =>
      BigInt(mine.flatMap(kept).reduce((most, one) => Math.max(most, one), 0)) * MINUTE
    const minutesNs = keptNs(({ sums, items }) => [
      ...sums.map(({ minutes }) => minutes.keep),
      ...items.map(({ keep }) => keep),
    ])
    const wantedNs = max(min(minutesNs, MINUTES_MAX_NS), HOURS_READY_NS)
    const beginNs = floor(finalNs - wantedNs, HOUR)

    // Longer ago: into slots of each length, from rows of at most that length.
    const slots = mine.flatMap(({ sums }) => sums.flatMap(({ longer }) => longer))
    for (const stepMinutes of new Set(slots.map((one) => one.minutes))) {
      const keep = Math.max(...slots.filter((one) => one.minutes === stepMinutes).map((one) => one.keep))
      const stepNs = BigInt(stepMinutes) * MINUTE
      const fromNs = floor(finalNs - BigInt(keep) * stepNs, stepNs)
      const each = (timeNs: bigint) => toLonger(mine, timeNs, stepMinutes)
      await readSteps(source, fromNs, beginNs, stepMinutes, each, stepMinutes % 1440 === 0)
    }
    // What is counted by items has minutes alone: those of a step that is over are one.
    const items = mine.flatMap((view) => view.items)
    for (const stepMinutes of new Set(items.map((one) => one.stepMinutes))) {
      const keep = Math.max(...items.filter((one) => one.stepMinutes === stepMinutes).map((one) => one.keep))
      const fromNs = floor(finalNs - BigInt(keep) * MINUTE, BigInt(stepMinutes) * MINUTE)
      const each = (timeNs: bigint) => toItems(mine, timeNs, stepMinutes)
      await readSteps(source, fromNs, beginNs, stepMinutes, each, false)
    }
    // What was seen since the rules were evaluated last is not in their index of what was seen.
    const seenNs = source === 'edges' ? deps.seenSinceNs() : undefined
    if (seenNs !== undefined && seenNs < beginNs)
      await readLong(source, seenNs, beginNs, (timeNs) => toSeen(mine, timeNs), false)

    await inPortions('', beginNs, newestNs, (atNs, endNs) =>
      read(source, '', atNs, endNs, (startNs) => {
        if (!deps.isTold(startNs)) toMinute(mine, startNs)
      }),
    )
  }

  async function summed(source: View['source'], fromNs: bigint, lengthNs: bigint, each: () => void): Promise<void> {
    const measurement = source === 'edges' ? 'tailnet_edge' : 'tailnet_node'
    const table = await rows.summed(measurement, fromNs, fromNs + lengthNs, signal)
    if (table.size === 0) return
    numbers[source].begin()
    for (const [key, fields] of table) put(source, key, fields)
    each()
  }

  return {
    /** Fills what rules at `finalNs` look back at, and what was made of minutes from there to `newestNs`: these are not told again. Rejects with a
     * CollectorError, and may be called again then. */
    async run(
      finalNs: bigint,
      newestNs: bigint,
    ): Promise<{ readonly oldestNs: bigint | undefined; hasRows(startNs: bigint): boolean }> {
      for (const { sums } of views) for (const ring of sums) ring.resetLonger()
      await fillSource('nodes', finalNs, newestNs)
      await fillSource('edges', finalNs, newestNs)
      edges.clear()
      nodes.clear()
      const found = withRows
      withRows = new Set()
      return { oldestNs, hasRows: (startNs) => found.has(startNs) }
    },
    /** Puts the minutes of a range into the rings. Returns how many rows they had. */
    async minutes(fromNs: bigint, toNs: bigint): Promise<number> {
      let count = 0
      for (const source of ['nodes', 'edges'] as const) {
        const mine = views.filter((view) => view.source === source)
        if (mine.length > 0) count += await read(source, '', fromNs, toNs, (startNs) => toMinute(mine, startNs))
      }
      if (edges.size > TEXTS_MAX) edges.clear()
      withRows.clear()
      return count
    },
  }
}

function toMinute(views: readonly View[], startNs: bigint): void {
  const minute = Number(startNs / MINUTE)
  for (const view of views) {
    view.take(minute)
    for (const ring of [...view.sums, ...view.items]) ring.commit(minute)
  }
}

function toLonger(views: readonly View[], timeNs: bigint, stepMinutes: number): void {
  const minute = Number(timeNs / MINUTE)
  for (const view of views) {
    if (!view.sums.some(({ longer }) => longer.some(({ minutes }) => minutes === stepMinutes))) continue
    view.take(minute)
    for (const ring of view.sums) ring.commitOlder(minute, stepMinutes)
    for (const ring of view.items) ring.discard()
  }
}

function toItems(views: readonly View[], timeNs: bigint, stepMinutes: number): void {
  const minute = Number(timeNs / MINUTE)
  for (const view of views) {
    if (!view.items.some((ring) => ring.stepMinutes === stepMinutes)) continue
    view.take(minute)
    for (const ring of view.sums) ring.discard()
    for (const ring of view.items) {
      if (ring.stepMinutes === stepMinutes) ring.commit(minute)
      else ring.discard()
    }
  }
}

function toSeen(views: readonly View[], timeNs: bigint): void {
  for (const view of views) if (view.seen.length > 0) view.take(Number(timeNs / MINUTE))
}

function floor(ns: bigint, stepNs: bigint): bigint {
  return ns - (ns % stepNs)
}
