/** One life of the rollup: what it knows of minutes, and one step of its work. The loop around it is in rollup.ts.
 *
 *   young minutes from memory -> hours and days -> one minute again from the database */
import type { Logger } from 'pino'
import { max } from '../base/bigint.ts'
import { type Clock, MINUTE, MS } from '../base/clock.ts'
import type { Directory } from '../directory/directory.ts'
import type { Ledger } from '../ledger/ledger.ts'
import type { Unsettled } from '../ledger/unsettled.ts'
import type { Observer } from '../observers/observers.ts'
import type { Sink } from '../sink/sink.ts'
import type { RollupOptions } from './deps.ts'
import { createHourSums } from './hours/hour-sums.ts'
import { createMemorySums } from './hours/memory-sums.ts'
import { createTiers } from './hours/tiers.ts'
import type { Budget, BudgetLimits } from './make/budget.ts'
import type { RollupMetrics } from './metrics.ts'
import type { MinuteReader } from './minute-reader.ts'
import { createMinuteTeller, UNMADE_NS } from './minute-teller.ts'
import { createReadMinutes } from './points/read-minutes.ts'
import type { RowStore } from './rows/row-store.ts'
import { createRowWriter } from './rows/row-writer.ts'
import { createBudgets } from './settle/budgets.ts'
import { createClosedGaps } from './settle/closed-gaps.ts'
import { createFromDatabase } from './settle/from-database.ts'
import { createFromMemory } from './settle/from-memory.ts'
import { createMinuteFacts } from './settle/minute-facts.ts'
import type { Completeness } from './settle/minute-line.ts'
import { createMinuteStates } from './settle/minute-states.ts'
import { createMinutes, type SettledMinute } from './settle/minutes.ts'
import { createReadiness } from './settle/readiness.ts'
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
/** Between two steps when nothing more will be read: the database may not show yet what it acknowledged. */
const FINISHING_MS = 200
/** Reading that is further behind than this catches up. */
const BEHIND_NS = 15n * MINUTE

export function createEngine(options: RollupOptions, deps: EngineDeps): Engine {
  const { ledger, clock, log, metrics, signal } = deps
  const { unsettled } = ledger
  const facts = createMinuteFacts()
  const states = createMinuteStates()
  /** Minutes on the list whose rows an earlier process made. */
  let madeBefore: ReadonlySet<bigint> = new Set()
  const sums = createMemorySums()
  let reads: Awaited<ReturnType<RowStore['reads']>> = 'all'
  const canQuery = () => reads !== 'nothing'
  const isOnce = () => reads !== 'all'
  let isFinishing = false

  const parts = {
    ...{ store: deps.store, unsettled, directory: deps.directory, limitsAt: deps.limitsAt },
    ...{ writer: createRowWriter(deps.sink), writerId: ledger.writer, metrics, clock, log, signal },
    ...{ settled: ledger.settled, gaps: ledger.gaps, from: deps.from },
    ...{ canQuery, isOnce, sums, hours: createHourSums() },
  }
  const budgets = createBudgets(parts)
  const closedGaps = createClosedGaps(parts)
  const read = createReadMinutes({ ledger, facts, metrics, canQuery, onDropped: states.drop })
  const minutes = createMinutes(options, { ...parts, facts, budgets, clockOffsets: read.clockOffsets })
  const teller = createMinuteTeller(deps.readers, ledger)
  const isShared = () => minutes.otherWriterMs !== undefined && clock.monotonicMs() - minutes.otherWriterMs < HELD_MS
  const readiness = createReadiness({ ledger, isOnce, clock })
  const tiers = createTiers(options, { ...parts, readiness, isShared })
  const settling = {
    ...{ unsettled, clock, signal, canQuery, isOnce, readiness, states, read, minutes, teller, sums, hasRows, skip },
    isFinishing: () => isFinishing,
    keepUnwritten(startNs: bigint, { made: { columns }, hasGap }: SettledMinute) {
      deps.unwritten.keep(startNs, { tailnet: options.tailnetAt(startNs), columns, hasGap })
    },
  }
  const fromMemory = createFromMemory(settling)
  const fromDatabase = createFromDatabase(settling)

  /** Records of older minutes are forgotten, also while a minute is on the list again. */
  function hasRows(startNs: bigint): boolean {
    return states.find(startNs)?.settledMs !== undefined || minutes.hasRecord(startNs)
  }

  function isMade({ startNs }: Unsettled): boolean {
    const isTold = states.find(startNs)?.told !== undefined
    return hasRows(startNs) || isTold || fromDatabase.hasMade(startNs) || madeBefore.has(startNs)
  }

  /** The database has no queries, or keeps what it has: strikes off what cannot be made. */
  function skip(entry: Unsettled, reason: 'no_queries' | 'written_once'): void {
    minutes.skip(entry, reason)
    if (!hasRows(entry.startNs)) teller.unknown(entry.startNs)
  }

  /** Gives back memory: of minutes that were settled a while ago, and the oldest ones beyond the limit. */
  function tidy(): void {
    const nowMs = clock.monotonicMs()
    const isListed = (startNs: bigint) => unsettled.find('minute', startNs) !== undefined
    const isOver = (startNs: bigint) => {
      const settledMs = states.find(startNs)?.settledMs
      return settledMs !== undefined && nowMs - settledMs > HELD_MS
    }
    metrics.held(read.tidy((startNs) => states.find(startNs) !== undefined, isOver))
    states.keepOnly((startNs) => read.has(startNs) || isListed(startNs))
    fromDatabase.forget()
    minutes.forget(clock.now(), read.has)
    deps.unwritten.tidy(isListed, nowMs)
  }

  /** Minutes of the list that an earlier process made, and that those who read minutes need not wait for. */
  async function madeOfListed(): Promise<ReadonlySet<bigint>> {
    const toNs = readiness.readToNs()
    const listed = unsettled.all('minute').filter(({ startNs }) => startNs >= toNs - UNMADE_NS && startNs < toNs)
    const [first, last] = [listed[0], listed.at(-1)]
    return first && last ? await minutes.madeIn(first.startNs, last.startNs + MINUTE) : new Set()
  }

  /** Where rows are written once, what is not due yet is left to whoever comes later. */
  function dueMinutes(): number {
    return unsettled.all('minute').filter((one) => readiness.isFinal(one) && (!isOnce() || readiness.isDueOnce(one)))
      .length
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
      const others = await fromMemory.settle()
      // While minutes are still made, an hour would be made again for each of them.
      await tiers.settle(isFinishing && dueMinutes() === 0)
      const hasMore = await fromDatabase.settle(others)
      teller.finalTo(isMade, clock.now() - readiness.readToNs() > BEHIND_NS)
      tidy()
      measure(others)
      if (isFinishing) return hasMore ? 0 : FINISHING_MS
      return hasMore ? Math.max(0, fromDatabase.restUntilMs - clock.monotonicMs()) : undefined
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
