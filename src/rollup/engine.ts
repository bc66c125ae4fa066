/** One life of the rollup: what it knows of minutes, and one step of its work. The loop around it is in rollup.ts.
 *
 *   young minutes from memory -> hours and days -> one minute again from the database */
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Logger } from 'pino'
import { max } from '../base/bigint.ts'
import { type Clock, HOUR, MINUTE, MS } from '../base/clock.ts'
import { getOrInsert } from '../base/maps.ts'
import type { Directory } from '../directory/directory.ts'
import type { Ledger } from '../ledger/ledger.ts'
import type { Unsettled } from '../ledger/unsettled.ts'
import type { Observer } from '../observers/observers.ts'
import type { Sink } from '../sink/sink.ts'
import type { RollupOptions } from './deps.ts'
import { createHourSums } from './hours/hour-sums.ts'
import { createMemorySums } from './hours/memory-sums.ts'
import { createTiers, WRITTEN_ONCE_NS } from './hours/tiers.ts'
import type { Budget, BudgetLimits } from './make/budget.ts'
import type { RollupMetrics } from './metrics.ts'
import type { MinuteReader } from './minute-reader.ts'
import { createMinuteTeller, UNMADE_NS } from './minute-teller.ts'
import { finality, finalTo, isPassed } from './points/coverage.ts'
import type { HeldMinute } from './points/held-minutes.ts'
import { createReadMinutes } from './points/read-minutes.ts'
import { tablesOf } from './rows/row-series.ts'
import type { RowStore } from './rows/row-store.ts'
import { createRowWriter } from './rows/row-writer.ts'
import { createBudgets } from './settle/budgets.ts'
import { createClosedGaps } from './settle/closed-gaps.ts'
import { createMinuteFacts } from './settle/minute-facts.ts'
import type { Completeness } from './settle/minute-line.ts'
import { createMinutes, type SettledMinute } from './settle/minutes.ts'
import type { Unwritten } from './unwritten.ts'

export interface EngineDeps {
  readonly store: RowStore
  readonly sink: Pick<Sink, 'write' | 'label'>
  readonly ledger: Pick<Ledger, 'unsettled' | 'originNs' | 'settled' | 'gaps' | 'writer'>
  readonly directory: Pick<Directory, 'ready' | 'load' | 'refresh' | 'connected'>
  readonly limitsAt: (minuteNs: bigint) => BudgetLimits
  /** What stands after FROM in a query for a measurement. */
  readonly from: (measurement: string) => string
  /** Told of each minute that was made. They throw nothing. */
  readonly readers: readonly MinuteReader[]
  /** Keeps minutes that are told before they are written. */
  readonly unwritten: Pick<Unwritten, 'keep' | 'tidy'>
  readonly metrics: RollupMetrics
  readonly clock: Clock
  readonly log: Logger
  /** Ends whatever is in progress. */
  readonly signal: AbortSignal
}

export interface Engine {
  readonly observer: Observer
  /** Loads what the database knows. Rejects with a CollectorError, or with the signal's reason; may be called again then. */
  begin(): Promise<void>
  /** Does what can be done now. Resolves with the time until more can be done, ms; undefined: not before something is read. Rejects as `begin`. */
  step(): Promise<number | undefined>
  /** Nothing more will be read: from now on what can be made is made without rests. */
  finish(): void
  /** Minutes, hours and days that can be made now. */
  readonly due: number
  /** The series budget of the newest day. */
  readonly budget: Budget | undefined
  readonly newest: Completeness | undefined
  /** Rows of another writer were seen in the last quarter of an hour. */
  readonly isShared: boolean
}

/** The points of a settled minute stay in memory this long. */
const HELD_MS = 900_000
/** A minute in memory is made again after this time, then after twice as long, and so on. Nodes whose clocks are minutes off make nearly every minute late. */
const LATE_MS = 300_000
/** The database shows what it acknowledged after this time. Counted by monotonic time since this process saw the newest change: other clocks may be set back. */
const SHOWN_MS = 5_000
/** One minute is made again at most this often. */
const AGAIN_MS = 600_000
/** What was logged before the origin is read by a backfill alone. A minute of that time, of which records that came late or the ends of a backfill
 * have points, waits this long for the rest. */
const HISTORY_NS = 10n * MINUTE
/** Making minutes again takes at most one part in this many of the time. */
const AGAIN_SHARE = 5
/** Between two steps when nothing more will be read: the database may not show yet what it acknowledged. */
const FINISHING_MS = 200
/** Reading that is further behind than this catches up. */
const BEHIND_NS = 15n * MINUTE

/** What is known of a minute beside its points. */
interface Known {
  /** The change of the list up to which it was told before it was written, and when. Only where rows are written once. */
  told: { readonly number: number; readonly ms: number } | undefined
  /** Writing its rows began then and did not end: some may stand. */
  uncertainMs: number | undefined
  settledMs: number | undefined
  /** How far everything had been read then, from the origin on, ns. */
  settledToNs: bigint
  /** How often its rows were made from memory. */
  made: number
  /** The newest change of the list that was seen, and when. */
  seen: { readonly number: number; readonly ms: number } | undefined
}

const UNKNOWN: Known = {
  ...{ told: undefined, uncertainMs: undefined, settledMs: undefined, settledToNs: 0n },
  ...{ made: 0, seen: undefined },
}

export function createEngine(options: RollupOptions, deps: EngineDeps): Engine {
  const { ledger, clock, log, metrics, signal } = deps
  const { unsettled } = ledger
  const known = new Map<bigint, Known>()
  const facts = createMinuteFacts()
  /** When each was made from the database, ms of monotonic time, and how far everything had been read then. */
  const againAt = new Map<bigint, { readonly ms: number; readonly toNs: bigint }>()
  /** Minutes on the list whose rows an earlier process made. */
  let madeBefore: ReadonlySet<bigint> = new Set()
  const sums = createMemorySums()
  let reads: Awaited<ReturnType<RowStore['reads']>> = 'all'
  const canQuery = () => reads !== 'nothing'
  const isOnce = () => reads !== 'all'
  let restUntilMs = 0
  let isNewestTurn = false
  let isFinishing = false

  const parts = {
    ...{ store: deps.store, unsettled, directory: deps.directory, limitsAt: deps.limitsAt },
    ...{ writer: createRowWriter(deps.sink), writerId: ledger.writer, metrics, clock, log, signal },
    settled: ledger.settled,
    originNs: ledger.originNs,
    gaps: ledger.gaps,
    from: deps.from,
    ...{ canQuery, isOnce, sums, hours: createHourSums() },
  }
  const budgets = createBudgets(parts)
  const closedGaps = createClosedGaps(parts)
  const read = createReadMinutes({ ledger, facts, metrics, canQuery, onDropped: (startNs) => known.delete(startNs) })
  const minutes = createMinutes(options, { ...parts, facts, budgets, clockOffsets: read.clockOffsets })
  const teller = createMinuteTeller(deps.readers, ledger)
  const isShared = () => minutes.otherWriterMs !== undefined && clock.monotonicMs() - minutes.otherWriterMs < HELD_MS
  const tiers = createTiers(options, { ...parts, isShared })

  const knownOf = (startNs: bigint): Known => getOrInsert(known, startNs, () => ({ ...UNKNOWN }))

  /** Around a minute everything was read that will be. */
  function isReadAround({ startNs, sinceNs }: Unsettled, fromNs: bigint, toNs: bigint): boolean {
    const range = { fromNs, toNs }
    const originNs = ledger.originNs() ?? 0n
    const mayWait = startNs < originNs && sinceNs + HISTORY_NS > clock.now()
    return isPassed(range, ledger, 'any') && (!mayWait || isPassed(range, ledger, 'read'))
  }

  function isFinal(entry: Unsettled): boolean {
    const { startNs, sinceNs } = entry
    const [settled, gaps] = [parts.settled(), parts.gaps()]
    // What the hour before says decides about rows that are never corrected; without queries it must be in memory.
    if (isOnce() && !isReadAround(entry, startNs - HOUR, startNs)) return false
    if (finality(startNs, settled, gaps).isFinal) return true
    const originNs = ledger.originNs()
    if (originNs === undefined || startNs >= originNs || sinceNs + HISTORY_NS > clock.now()) return false
    return finality(startNs, [...settled, { fromNs: 0n, toNs: originNs }], gaps).isFinal
  }

  /** Makes every minute that is final and in memory. Returns those that only the database has. */
  async function settleYoung(): Promise<readonly Unsettled[]> {
    const others: Unsettled[] = []
    for (const { startNs } of unsettled.all('minute')) {
      // A window that is done has told its observers before the next turn.
      await nextTurn()
      signal.throwIfAborted()
      const entry = unsettled.find('minute', startNs)
      if (entry === undefined || !isFinal(entry)) continue
      const minute = read.whole(entry)
      if (minute === undefined) others.push(entry)
      else if (isOnce()) await settleOnce(entry, minute, knownOf(startNs))
      else if (!isResting(knownOf(startNs))) await settleOne(entry, minute, knownOf(startNs))
    }
    return others
  }

  /** What comes late is collected, so that a minute is not made again for each of its messages: the later it is, the longer. Hours that are read in a moment
   * count as hours: alerts do not take what comes when they are an hour further. */
  function isResting({ settledMs, settledToNs, made }: Known): boolean {
    if (isFinishing || settledMs === undefined) return false
    const restMs = LATE_MS * 2 ** (made - 1)
    return clock.monotonicMs() - settledMs < restMs && readToNs() - settledToNs < BigInt(restMs) * MS
  }

  /** Everything was read up to here, from the origin on. */
  function readToNs(): bigint {
    const originNs = ledger.originNs()
    return originNs === undefined ? 0n : finalTo(originNs, parts.settled(), parts.gaps())
  }

  /** What is late has come, also when all of it is read a day later. */
  function isDueOnce(entry: Unsettled): boolean {
    const { startNs } = entry
    const toNs = startNs + WRITTEN_ONCE_NS
    return clock.now() >= toNs && isReadAround(entry, startNs, toNs)
  }

  function keepUnwritten({ startNs }: Unsettled, { made: { columns }, hasGap }: SettledMinute): void {
    deps.unwritten.keep(startNs, { tailnet: options.tailnetAt(startNs), columns, hasGap })
  }

  /** Where rows cannot be corrected: told when it is final, written once, when late points have come. Corrections are told and counted. */
  async function settleOnce(entry: Unsettled, minute: HeldMinute, state: Known): Promise<void> {
    const { startNs } = entry
    const isWritten = hasRows(startNs)
    if (!isDueOnce(entry) || isWritten) {
      const { told } = state
      const isResting = told !== undefined && clock.monotonicMs() - told.ms < LATE_MS && !isWritten
      if (told?.number !== entry.read && !isResting) {
        const preview = await minutes.preview(minute)
        teller.made(startNs, preview)
        if (!isWritten) keepUnwritten(entry, preview)
        state.told = { number: entry.read, ms: clock.monotonicMs() }
      }
      if (isWritten) skip(entry, 'written_once')
      return
    }
    const { uncertainMs } = state
    if (uncertainMs !== undefined && clock.monotonicMs() - uncertainMs < SHOWN_MS) return
    state.uncertainMs = clock.monotonicMs()
    const settled = await minutes.fromMemory(entry, minute, uncertainMs !== undefined)
    state.uncertainMs = undefined
    if (settled === undefined) return
    if (!canQuery()) sums.addMinute(startNs, tablesOf(settled.made))
    teller.made(startNs, settled)
    state.settledMs = clock.monotonicMs()
  }

  async function settleOne(entry: Unsettled, minute: HeldMinute, state: Known): Promise<void> {
    const wasUncertain = state.uncertainMs !== undefined
    state.uncertainMs = clock.monotonicMs()
    state.settledToNs = readToNs()
    const settled = await minutes.fromMemory(entry, minute, wasUncertain)
    if (settled !== undefined) teller.made(entry.startNs, settled)
    state.uncertainMs = undefined
    state.settledMs = clock.monotonicMs()
    state.made += 1
  }

  /** The database shows everything that the list knows of. */
  function isShown(entry: Unsettled): boolean {
    const state = knownOf(entry.startNs)
    const number = Math.max(entry.read, entry.must)
    if (state.seen?.number !== number) state.seen = { number, ms: clock.monotonicMs() }
    return clock.monotonicMs() - state.seen.ms >= SHOWN_MS
  }

  /** By turns the newest minute and the one that has waited longest. */
  function nextAgain(others: readonly Unsettled[]): Unsettled | undefined {
    const nowMs = clock.monotonicMs()
    const shown = others.filter(isShown)
    const toNs = readToNs()
    const isRested = ({ startNs }: Unsettled) => {
      const last = againAt.get(startNs)
      return last === undefined || nowMs - last.ms >= AGAIN_MS || toNs - last.toNs >= BigInt(AGAIN_MS) * MS
    }
    // Where rows are written once, it was only told before.
    const ready = shown.filter((one) => isFinishing || (isOnce() && isDueOnce(one)) || isRested(one))
    isNewestTurn = !isNewestTurn
    const entry = isNewestTurn
      ? ready.at(-1)
      : ready.reduce<Unsettled | undefined>(
          (first, one) => (first === undefined || one.sinceNs < first.sinceNs ? one : first),
          undefined,
        )
    if (entry === undefined || !isOnce() || !isDueOnce(entry)) return entry
    // Who reported in the hour before decides about its rows, so those of that hour come first.
    let first = entry
    for (const one of others.toReversed())
      if (one.startNs < first.startNs && first.startNs - one.startNs <= HOUR && isDueOnce(one)) first = one
    return ready.find(({ startNs }) => startNs === first.startNs)
  }

  async function settleAgain(others: readonly Unsettled[]): Promise<boolean> {
    if (!canQuery()) {
      for (const entry of others) skip(entry, 'no_queries')
      return false
    }
    if (isOnce()) {
      for (const entry of others) {
        if (!hasRows(entry.startNs)) continue
        if (entry.must !== 0 && known.get(entry.startNs)?.settledMs === undefined) minutes.skipWritten(entry)
        else skip(entry, 'written_once')
      }
      others = others.filter((one) => !hasRows(one.startNs) && (isDueOnce(one) || !isTold(one.startNs)))
    }
    const beganMs = clock.monotonicMs()
    if (!isFinishing && beganMs < restUntilMs) return others.length > 0
    const [entry, beganToNs] = [nextAgain(others), readToNs()]
    if (entry === undefined) return false
    try {
      // What an earlier process put on the list is a must since the start, so only what was read here counts. An attempt that failed may have written the
      // record and nothing after it, so it says nothing then.
      const state = knownOf(entry.startNs)
      const again = state.uncertainMs === undefined ? read.current(entry) : undefined
      state.uncertainMs = clock.monotonicMs()
      const isWritten = !isOnce() || isDueOnce(entry)
      const settled = await minutes.fromDatabase(entry, again, isWritten)
      state.uncertainMs = undefined
      if (settled !== undefined) teller.made(entry.startNs, settled)
      if (!isWritten && settled !== undefined) {
        keepUnwritten(entry, settled)
        knownOf(entry.startNs).told = { number: entry.read, ms: clock.monotonicMs() }
      }
      againAt.set(entry.startNs, { ms: clock.monotonicMs(), toNs: beganToNs })
    } finally {
      const endedMs = clock.monotonicMs()
      restUntilMs = endedMs + (AGAIN_SHARE - 1) * (endedMs - beganMs)
    }
    return others.length > 1
  }

  const isMade = ({ startNs }: Unsettled) =>
    hasRows(startNs) || isTold(startNs) || againAt.has(startNs) || madeBefore.has(startNs)
  const isTold = (startNs: bigint) => known.get(startNs)?.told !== undefined
  /** Its rows were made and written. Records of older minutes are forgotten, also while a minute is on the list again. */
  const hasRows = (startNs: bigint) => known.get(startNs)?.settledMs !== undefined || minutes.hasRecord(startNs)

  /** The database has no queries, or keeps what it has: strikes off what cannot be made. */
  function skip(entry: Unsettled, reason: 'no_queries' | 'written_once'): void {
    minutes.skip(entry, reason)
    if (!hasRows(entry.startNs)) teller.unknown(entry.startNs)
  }

  /** Gives back memory: of minutes that were settled a while ago, and the oldest ones beyond the limit. */
  function tidy(): void {
    const nowMs = clock.monotonicMs()
    const isOver = (startNs: bigint) => {
      const settledMs = known.get(startNs)?.settledMs
      return settledMs !== undefined && nowMs - settledMs > HELD_MS
    }
    metrics.held(read.tidy((startNs) => known.has(startNs), isOver))
    for (const startNs of known.keys())
      if (!read.has(startNs) && unsettled.find('minute', startNs) === undefined) known.delete(startNs)
    for (const [startNs, { ms }] of againAt) if (nowMs - ms > AGAIN_MS) againAt.delete(startNs)
    minutes.forget(clock.now(), read.has)
    deps.unwritten.tidy((startNs) => unsettled.find('minute', startNs) !== undefined, nowMs)
  }

  /** Minutes of the list that an earlier process made, and that those who read minutes need not wait for. */
  async function madeOfListed(): Promise<ReadonlySet<bigint>> {
    const toNs = readToNs()
    const listed = unsettled.all('minute').filter(({ startNs }) => startNs >= toNs - UNMADE_NS && startNs < toNs)
    const [first, last] = [listed[0], listed.at(-1)]
    return first && last ? await minutes.madeIn(first.startNs, last.startNs + MINUTE) : new Set()
  }

  /** Where rows are written once, what is not due yet is left to whoever comes later. */
  function dueMinutes(): number {
    return unsettled.all('minute').filter((one) => isFinal(one) && (!isOnce() || isDueOnce(one))).length
  }

  function measure(others: readonly Unsettled[]): void {
    const oldestNs = others.reduce<bigint | undefined>(
      (first, { sinceNs }) => (first === undefined || sinceNs < first ? sinceNs : first),
      undefined,
    )
    const waitsMs = oldestNs === undefined ? 0 : Number((clock.now() - oldestNs) / MS)
    metrics.waiting(unsettled.all('minute').length, waitsMs / 1000)
    metrics.edges(budgets.newest?.edges ?? 0, budgets.newest?.refused ?? 0)
  }

  return {
    observer: read.observer,
    async begin() {
      reads = await deps.store.reads(signal)
      await deps.directory.ready(signal)
      // What an earlier process read is not in memory.
      const listed = unsettled.all('minute').filter(({ must }) => must === 0)
      unsettled.must(
        listed.map(({ startNs }) => ({ tier: 'minute', startNs })),
        clock.now(),
      )
      // A clock that is behind will be set: minutes up to what was read may have rows.
      await minutes.start(max(clock.now(), parts.settled().at(-1)?.toNs ?? 0n))
      madeBefore = await madeOfListed()
    },
    async step() {
      if (!isOnce()) {
        await tiers.describe()
        await closedGaps.follow()
      }
      const others = await settleYoung()
      // While minutes are still made, an hour would be made again for each of them.
      await tiers.settle(isFinishing && dueMinutes() === 0)
      const hasMore = await settleAgain(others)
      teller.finalTo(isMade, clock.now() - readToNs() > BEHIND_NS)
      tidy()
      measure(others)
      if (isFinishing) return hasMore ? 0 : FINISHING_MS
      return hasMore ? Math.max(0, restUntilMs - clock.monotonicMs()) : undefined
    },
    finish() {
      isFinishing = true
    },
    get due() {
      return dueMinutes() + (isOnce() ? 0 : unsettled.all('hour').length + unsettled.all('day').length)
    },
    get budget() {
      return budgets.newest
    },
    get newest() {
      return minutes.newest
    },
    get isShared() {
      return isShared()
    },
  }
}
