/** Rules over the stored past: the evaluation of the service on rows of minutes that the database has, to see when alerts would have fired. */
import { max, min } from '../base/bigint.ts'
import { DAY, HOUR, MINUTE, MS } from '../base/clock.ts'
import { merge, subtract } from '../ledger/intervals.ts'
import type { Interval } from '../ledger/ledger.ts'
import type { RowStore } from '../rollup/rows/row-store.ts'
import { createFill } from './evaluate/fill.ts'
import { inPortions } from './evaluate/portions.ts'
import { prune } from './evaluate/prune.ts'
import { createReadings } from './evaluate/readings.ts'
import { createJudge, type Transition } from './judge.ts'
import type { Rule } from './rules/rule.ts'

export interface ReplayOptions {
  /** Whole minutes, [fromNs, toNs). What has no rows yet at the end is not replayed. */
  readonly fromNs: bigint
  readonly toNs: bigint
  readonly seriesMax: number
  /** Names of `networks`. */
  readonly networks: readonly string[]
}

export interface ReplayDeps {
  readonly rows: Pick<RowStore, 'rows' | 'summed' | 'minutes'>
  /** Takes each alert that would have begun or ended, in the order of time within a rule. */
  readonly onTransition: (transition: Transition) => void
  /** So much is done, from 0 to 1. */
  readonly onProgress: (share: number) => void
  readonly monotonicMs: () => number
  readonly signal: AbortSignal
}

export interface ReplayResult {
  /** Begin of the first minute that has rows; undefined without any. */
  readonly oldestNs: bigint | undefined
  /** End of the last minute that was replayed. */
  readonly toNs: bigint
  /** Minutes from there on that were not read, or not completely. */
  readonly missingMinutes: number
}

/** A longer time without any row was not read: connected nodes send something every few minutes. */
const QUIET_NS = HOUR
/** As with late records in the service. */
const LATENESS_NS = HOUR
/** Records of minutes are read a day at a time. */
const RECORDS_STEP_NS = DAY

/** Rejects as RowStore does. Memory: what the rules keep, and one portion. */
export async function replay(rules: readonly Rule[], options: ReplayOptions, deps: ReplayDeps): Promise<ReplayResult> {
  const { fromNs, seriesMax } = options
  const { rows, signal } = deps
  const limits = { seriesMax, latenessNs: LATENESS_NS, networks: new Set(options.networks) }
  const { views, readings, numbers, peers } = createReadings(rules, limits)
  const backNs = readings.reduce((most, { spanNs, rule }) => max(most, max(spanNs, memoryNs(rule))), 0n)
  const records = await recordsOf(rows, fromNs - backNs, options.toNs, signal)
  const toNs = max(fromNs, records.toNs ?? options.toNs)
  const judge = createJudge({ readings, completeness: completenessOf(records, toNs), monotonicMs: deps.monotonicMs })
  const fill = createFill({
    ...{ rows, views, numbers, signal },
    isNode: () => false,
    isTold: () => false,
    waiting: () => [],
    seenSinceNs: () => (rules.some((rule) => memoryNs(rule) > 0n) ? fromNs - backNs : undefined),
  })
  await fill.run(fromNs, fromNs)
  judge.begin(fromNs)
  // What was seen before counts as remembered, as far as there are rows.
  for (const state of judge.rules) state.sinceNs = min(fromNs, records.oldestNs ?? fromNs)

  await inPortions('', fromNs, toNs, async (atNs, endNs) => {
    const count = await fill.minutes(atNs, endNs)
    for (const transition of await judge.run(endNs, endNs - LATENESS_NS)) deps.onTransition(transition)
    prune({ views, rules: judge.rules, peers, finalNs: endNs, horizonNs: endNs - LATENESS_NS })
    deps.onProgress(Number(endNs - fromNs) / Number(toNs - fromNs))
    return count
  })
  const oldestNs = records.oldestNs === undefined || toNs === fromNs ? undefined : max(records.oldestNs, fromNs)
  const range = [{ fromNs: oldestNs ?? fromNs, toNs }]
  const missing = subtract(range, subtract(range, records.missing))
  return { oldestNs, toNs, missingMinutes: Number(lengthOf(missing) / MINUTE) }
}

interface Records {
  /** Begin of the first minute that was made, and end of the last one; undefined without any. */
  readonly oldestNs: bigint | undefined
  readonly toNs: bigint | undefined
  /** Ranges that were not read completely. */
  readonly missing: readonly Interval[]
}

/** What is known of how minutes were made. */
async function recordsOf(
  rows: Pick<RowStore, 'minutes'>,
  fromNs: bigint,
  toNs: bigint,
  signal: AbortSignal,
): Promise<Records> {
  let oldestNs: bigint | undefined
  let knownToNs = fromNs
  const missing: Interval[] = []
  for (let atNs = fromNs; atNs < toNs; atNs += RECORDS_STEP_NS) {
    for (const { startNs, isGap } of await rows.minutes(atNs, min(atNs + RECORDS_STEP_NS, toNs), signal)) {
      oldestNs ??= startNs
      if (startNs - knownToNs >= QUIET_NS) missing.push({ fromNs: knownToNs, toNs: startNs })
      if (isGap) missing.push({ fromNs: startNs, toNs: startNs + MINUTE })
      knownToNs = startNs + MINUTE
    }
  }
  if (oldestNs !== undefined) return { oldestNs, toNs: knownToNs, missing: merge(missing) }
  return { oldestNs, toNs: undefined, missing: [{ fromNs, toNs }] }
}

function completenessOf({ missing }: Records, toNs: bigint) {
  const unread = (fromNs: bigint, endNs: bigint) =>
    subtract([{ fromNs, toNs: endNs }], subtract([{ fromNs: 0n, toNs }], missing))
  return {
    isComplete: (fromNs: bigint, endNs: bigint) => unread(fromNs, endNs).length === 0,
    unreadNs: (fromNs: bigint, endNs: bigint) => lengthOf(unread(fromNs, endNs)),
  }
}

function lengthOf(intervals: readonly Interval[]): bigint {
  return intervals.reduce((sum, one) => sum + one.toNs - one.fromNs, 0n)
}

function memoryNs({ form }: Rule): bigint {
  return BigInt(form.needs.memoryMs ?? 0) * MS
}
