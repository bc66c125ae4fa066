/** Hours and days: sums of the rows of the tier below, and the point that tells dashboards which tier to read. */
import { DAY, HOUR, MINUTE, MS } from '../../base/clock.ts'
import type { Tier, Unsettled } from '../../ledger/unsettled.ts'
import { encodeLine } from '../../sink/line-protocol/encode-line.ts'
import type { PartDeps, RollupOptions } from '../deps.ts'
import type { SkipReason } from '../metrics.ts'
import { finality } from '../points/coverage.ts'
import { changesOfTables, createChanges } from '../rows/row-changes.ts'
import { type Tables, type TierRows, tablesOf } from '../rows/row-series.ts'
import type { RowMeasurement } from '../rows/row-store.ts'
import { differs } from '../rows/row-table.ts'
import type { Readiness } from '../settle/readiness.ts'
import { ONCE_SHOWN_MS } from '../settle/settling.ts'
import type { HourSums } from './hour-sums.ts'
import type { MemorySums } from './memory-sums.ts'

export interface Tiers {
  /** Makes the hours and days that are due. `isLast`: nothing more will be read, so all that are on the list are. */
  settle(isLast: boolean): Promise<void>
  /** Writes `tailflux_tier`, once an hour. */
  describe(): Promise<void>
}

interface LongTier {
  readonly tier: Exclude<Tier, 'minute'>
  readonly suffix: '_1h' | '_1d'
  readonly lengthNs: bigint
  /** Tiers of which it is made, the one that is summed first. */
  readonly below: readonly Tier[]
  readonly belowSuffix: '' | '_1h'
  readonly belowNs: bigint
  readonly above: Tier | undefined
  /** While it runs it is written this often. */
  readonly runningMs: number
}

const HOURS: LongTier = {
  ...{ tier: 'hour', suffix: '_1h', lengthNs: HOUR, runningMs: 600_000 },
  ...{ below: ['minute'], belowSuffix: '', belowNs: MINUTE, above: 'day' },
}
const DAYS: LongTier = {
  ...{ tier: 'day', suffix: '_1d', lengthNs: DAY, runningMs: 3_600_000 },
  ...{ below: ['hour', 'minute'], belowSuffix: '_1h', belowNs: HOUR, above: undefined },
}
/** A finished one that changes is written this often. */
const CORRECTED_MS = 600_000
const DESCRIBED_MS = 3_600_000
const NO_ROWS: Tables = { edges: new Map(), nodes: new Map() }

/** Ranges up to this length read this tier: two days, 30 days, whatever is longer. Graphs have no shorter steps than `step`, and the 95th percentile is
 * one of means over `mean`. */
export const READ_UP_TO = [
  { tier: 'minutes', suffix: '', rangeNs: 2n * DAY, step: '1m', mean: '5m' },
  { tier: 'hours', suffix: '_1h', rangeNs: 30n * DAY, step: '1h', mean: '1h' },
  { tier: 'days', suffix: '_1d', rangeNs: 36_525n * DAY, step: '1d', mean: '1d' },
] as const

export function createTiers(
  options: RollupOptions,
  deps: PartDeps & {
    readonly sums: MemorySums
    readonly hours: HourSums
    readonly readiness: Pick<Readiness, 'isDueOnce'>
    /** Another service writes rows too. */
    readonly isShared: () => boolean
    readonly from: (measurement: string) => string
  },
): Tiers {
  const { store, writer, unsettled, clock, signal, metrics } = deps
  /** When each was written last, and whether it was finished then. */
  const written = new Map<string, { readonly ms: number; readonly wasFinished: boolean }>()
  /** Where each is written once: when its newest change was seen, ms of monotonic time. */
  const seenMs = new Map<string, number>()
  /** What this process wrote of an hour whose sum it keeps. */
  const writtenHours = new Map<bigint, TierRows>()
  const changesSince = createChanges()
  let describedMs = Number.NEGATIVE_INFINITY

  /** `isBusy`: something of the tier below in it is not settled. */
  function isDue(
    long: LongTier,
    entry: Unsettled,
    isBusy: boolean,
    isLast: boolean,
  ): { isFinished: boolean } | undefined {
    const { startNs } = entry
    if (deps.isOnce()) {
      const isOver = deps.readiness.isDueOnce(entry, long.lengthNs)
      return isOver && !isBusy && isShown(long, entry) ? { isFinished: true } : undefined
    }
    const isFinished = !isBusy && finality(startNs + long.lengthNs - MINUTE, deps.settled(), deps.gaps()).isFinal
    const last = written.get(`${long.tier} ${startNs}`)
    const passedMs = last === undefined ? Number.POSITIVE_INFINITY : clock.monotonicMs() - last.ms
    const isDueNow = isFinished ? last?.wasFinished !== true || passedMs >= CORRECTED_MS : passedMs >= long.runningMs
    return isDueNow || isLast ? { isFinished } : undefined
  }

  /** The database shows the rows of the tier below. */
  function isShown({ tier }: LongTier, { startNs, read, must }: Unsettled): boolean {
    if (!deps.canQuery()) return true
    const key = `${tier} ${startNs} ${Math.max(read, must)}`
    const sinceMs = seenMs.get(key) ?? clock.monotonicMs()
    seenMs.set(key, sinceMs)
    return clock.monotonicMs() - sinceMs >= ONCE_SHOWN_MS
  }

  /** Rows of the tier below may be gone, so a sum of them could be less than what stands. */
  function isBelowGone(long: LongTier, startNs: bigint): boolean {
    const keptMs = long.tier === 'hour' ? options.minutesKeptMs : options.restKeptMs
    return keptMs !== undefined && startNs < clock.now() - BigInt(keptMs) * MS
  }

  async function rowsOf(startNs: bigint, suffix: string, sum?: bigint): Promise<Tables> {
    const read = (name: 'edge' | 'node') => {
      const measurement = `tailnet_${name}${suffix}` as RowMeasurement
      if (sum === undefined) return store.standing(measurement, startNs, signal)
      return store.summed(measurement, startNs, startNs + sum, signal)
    }
    return { edges: await read('edge'), nodes: await read('node') }
  }

  async function settleOne(long: LongTier, entry: Unsettled, isFinished: boolean): Promise<void> {
    const { startNs, read, must } = entry
    const listed = { tier: long.tier, startNs }
    const once = deps.canQuery() ? undefined : deps.sums.rows(long.tier, startNs)
    if (once === undefined && !deps.canQuery()) return skip('no_queries')
    if (isBelowGone(long, startNs)) return skip('beyond_retention')
    const kept =
      once === undefined && long.tier === 'hour' && !deps.isOnce() && !deps.isShared()
        ? deps.hours.rows(startNs)
        : undefined
    const before = kept && writtenHours.get(startNs)
    writtenHours.delete(startNs)
    const since = kept && before && changesSince(before, kept, long.suffix, startNs)
    const { rows, lines } = since ?? (await changesOfStanding())
    if (rows > 0) for (const piece of lines) await writer.write('main', piece, signal)
    if (kept !== undefined) writtenHours.set(startNs, kept)
    written.set(`${long.tier} ${startNs}`, { ms: clock.monotonicMs(), wasFinished: isFinished })
    const above = long.above && { tier: long.above, startNs: startNs - (startNs % DAY) }
    unsettled.strikeOff(listed, { read, must }, above === undefined ? [] : [above], clock.now())
    deps.sums.end(long.tier, startNs)

    function skip(reason: SkipReason): void {
      metrics.skipped(reason)
      unsettled.strikeOff(listed, { read, must }, [], clock.now())
      deps.sums.end(long.tier, startNs)
    }

    async function changesOfStanding() {
      const wanted = once ?? (kept ? tablesOf(kept) : await rowsOf(startNs, long.belowSuffix, long.lengthNs))
      const standing = once === undefined ? await rowsOf(startNs, long.suffix) : NO_ROWS
      if (deps.isOnce() && (differs(standing.edges, wanted.edges) || differs(standing.nodes, wanted.nodes)))
        metrics.skipped('written_once')
      return changesOfTables(standing, wanted, long.suffix, startNs, deps.isOnce())
    }
  }

  return {
    async settle(isLast) {
      for (const long of [HOURS, DAYS]) {
        const below = long.below.flatMap((tier) => unsettled.all(tier))
        const busy = new Set(below.map(({ startNs }) => startNs - (startNs % long.lengthNs)))
        for (const entry of unsettled.all(long.tier)) {
          const due = isDue(long, entry, busy.has(entry.startNs), isLast)
          if (due !== undefined) await settleOne(long, entry, due.isFinished)
        }
      }
      for (const [key, ms] of seenMs) if (clock.monotonicMs() - ms > 2 * DESCRIBED_MS) seenMs.delete(key)
      for (const startNs of writtenHours.keys()) if (startNs + 2n * HOUR < clock.now()) writtenHours.delete(startNs)
      deps.hours.forget(clock.now())
      for (const [key, { ms }] of written) if (clock.monotonicMs() - ms > 2 * DESCRIBED_MS) written.delete(key)
    },

    async describe() {
      if (clock.monotonicMs() - describedMs < DESCRIBED_MS) return
      const nowNs = clock.now()
      // Days are read for whatever is older than the others hold, so that every range finds a tier.
      const kept = [options.minutesKeptMs, options.restKeptMs, undefined]
      const lines: Uint8Array[] = []
      for (const [index, { tier, suffix, rangeNs, step, mean }] of READ_UP_TO.entries()) {
        const keptMs = kept[index]
        const fields = {
          max_ms: rangeNs / MS,
          oldest_ms: keptMs === undefined ? 0n : nowNs / MS - BigInt(keptMs),
          edge: deps.from(`tailnet_edge${suffix}`),
          node: deps.from(`tailnet_node${suffix}`),
          flow: deps.from('tailnet_flow'),
          step,
          mean,
        }
        lines.push(encodeLine('tailflux_tier', { tailnet: options.tailnetAt(nowNs), tier }, fields, nowNs))
      }
      await writer.write('main', Buffer.concat(lines), signal)
      describedMs = clock.monotonicMs()
    },
  }
}
