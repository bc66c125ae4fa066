/** Settles minutes: makes their rows, writes what differs from the rows that stand, then `tailflux_minute`, and strikes them off the list.
 *
 * The order matters. A crash after any step leaves the minute on the list, and it is made again. Points come from memory (`fromMemory`) or from the
 * database (`fromDatabase`); everything after that is the same. */
import { HOUR, MINUTE, MS } from '../../base/clock.ts'
import type { DirectoryView } from '../../directory/view.ts'
import type { Causes, Listed, Unsettled } from '../../ledger/unsettled.ts'
import type { PartDeps, RollupOptions } from '../deps.ts'
import type { HourSums, StandingMinute } from '../hours/hour-sums.ts'
import { unknownUsers } from '../make/claims.ts'
import { type MadeMinute, makeMinute } from '../make/make-minute.ts'
import type { SkipReason } from '../metrics.ts'
import type { ClockOffsets } from '../points/clock-offsets.ts'
import { finality } from '../points/coverage.ts'
import type { HeldMinute } from '../points/held-minutes.ts'
import { createRawPoints } from '../points/raw-points.ts'
import { createTextIds } from '../points/text-ids.ts'
import { type Changes, changesOfTables, createChanges } from '../rows/row-changes.ts'
import { seriesOfTables, type Tables, tablesOf } from '../rows/row-series.ts'
import type { MinuteRecord } from '../rows/row-store.ts'
import { exists, tagOf } from '../rows/row-table.ts'
import type { Budgets } from './budgets.ts'
import { createLookBack, minuteOf, nsOf } from './look-back.ts'
import { LOOK_BACK_MINUTES, type MinuteFacts } from './minute-facts.ts'
import { type Completeness, createMinuteLines } from './minute-line.ts'

export interface Minutes {
  /** Loads what the database knows of the last hours. */
  start(nowNs: bigint): Promise<void>
  /** Makes a minute that memory holds completely. `isUncertain`: some of its rows may stand already. Resolves with undefined when its rows stand and are not
   * replaced. */
  fromMemory(entry: Unsettled, held: HeldMinute, isUncertain: boolean): Promise<SettledMinute | undefined>
  /** The same, but writes nothing. */
  preview(held: HeldMinute): Promise<SettledMinute>
  /** Makes a minute again from its raw points in the database, unless the digest of what was read again shows that nothing is new. Resolves with undefined
   * when it was not made. `isWritten` false: makes it, and writes nothing. */
  fromDatabase(entry: Unsettled, held: HeldMinute | undefined, isWritten: boolean): Promise<SettledMinute | undefined>
  /** Begins of minutes of a range whose rows were made. Rejects with a CollectorError, or with the signal's reason. */
  madeIn(fromNs: bigint, toNs: bigint): Promise<ReadonlySet<bigint>>
  /** False: its rows were never made, as far as is known. */
  hasRecord(startNs: bigint): boolean
  /** The database has no queries: strikes off what cannot be made. */
  skip(entry: Unsettled, reason: SkipReason): void
  /** The rows of an earlier process stand, and are not replaced: strikes the minute off. */
  skipWritten(entry: Unsettled): void
  /** When rows of another writer were seen last, ms of monotonic time. */
  readonly otherWriterMs: number | undefined
  /** What the newest minute said about completeness. */
  readonly newest: Completeness | undefined
  /** Forgets what is not needed after this time. `isHeld`: memory holds points of the minute that begins then. */
  forget(nowNs: bigint, isHeld: (startNs: bigint) => boolean): void
}

/** What was made of a minute and written. */
export interface SettledMinute {
  readonly made: MadeMinute
  /** Some of it is in a named gap, or was read before the origin. */
  readonly hasGap: boolean
}

/** Texts of tags that are kept for the next minute. */
const TAGS_MAX = 50_000

/** A minute is young for so long. */
const YOUNG_NS = HOUR

/** What stood of a minute before it was made. */
interface Before extends StandingMinute {
  /** Nodes that had a row which counts anything. */
  readonly reporters: ReadonlySet<string>
}

const hourOf = (startNs: bigint): Listed => ({ tier: 'hour', startNs: startNs - (startNs % HOUR) })

/** Nodes with a row that counts anything. */
function nodesOf({ nodes }: Tables): ReadonlySet<string> {
  return new Set([...nodes].filter(([, fields]) => exists(fields)).map(([key]) => tagOf(key, 'node')))
}

export function createMinutes(
  options: RollupOptions,
  deps: PartDeps & {
    readonly facts: MinuteFacts
    readonly budgets: Budgets
    readonly clockOffsets: ClockOffsets
    readonly hours: HourSums
  },
): Minutes {
  const { store, writer, unsettled, facts, directory, clock, log, metrics, signal } = deps
  const lookBack = createLookBack(deps)
  const minuteLines = createMinuteLines(options, deps)
  /** Of minutes whose points are in memory, so that their rows need not be read back when late points come. */
  const written = new Map<number, Before>()
  let tags = createTextIds()
  const changesSince = createChanges()

  /** Which nodes are connected now, and how their clocks are, is true of the minute too. */
  const isYoung = (startNs: bigint) => clock.now() - startNs < YOUNG_NS

  /** Two writers give a minute the same names only if each knows what the other has learnt. */
  async function viewAt(startNs: bigint): Promise<DirectoryView> {
    if (lookBack.isOtherWriterNear()) await directory.refresh(signal)
    return await directory.load(startNs, true, signal)
  }

  async function make(held: HeldMinute, view: DirectoryView): Promise<MadeMinute> {
    const minute = minuteOf(held.startNs)
    const budget = await deps.budgets.of(held.startNs)
    const before = await lookBack.hourBefore(minute, unknownUsers(held.points, held.texts, view))
    const limits = deps.limitsAt(held.startNs)
    if (tags.count > TAGS_MAX) tags = createTextIds()
    const tailnet = options.tailnetAt(held.startNs)
    return makeMinute(held, { tailnet, directory: view, before, budget, limits, tags })
  }

  /** What this process wrote of a minute, if nothing else can stand. */
  function writtenBefore(minute: number, isUncertain: boolean): Before | undefined {
    if (!deps.canQuery()) return nothing()
    if (isUncertain || lookBack.isOtherWriterNear()) return undefined
    const record = facts.record(minute)
    if (record === undefined) return nothing()
    const mine = written.get(minute)
    return mine?.digest === record.digest && record.writer === deps.writerId ? mine : undefined
  }

  function nothing(): Before {
    const none: Tables = { edges: new Map(), nodes: new Map() }
    return { ...seriesOfTables(none, tags), digest: undefined, reporters: new Set() }
  }

  async function standingRows(startNs: bigint): Promise<Tables> {
    return {
      edges: await store.standing('tailnet_edge', startNs, signal),
      nodes: await store.standing('tailnet_node', startNs, signal),
    }
  }

  /** Writes what differs from the rows that stand in the database. */
  async function settleStanding(startNs: bigint, upTo: Causes, made: MadeMinute, isYoung: boolean) {
    const standing = await standingRows(startNs)
    const digest = facts.record(minuteOf(startNs))?.digest
    const before = { ...seriesOfTables(standing, tags), digest, reporters: nodesOf(standing) }
    const changes = changesOfTables(standing, tablesOf(made), '', startNs, deps.isOnce())
    return { ...(await settle(startNs, upTo, made, before, changes, isYoung)), rows: changes.rows }
  }

  /** Writes the rows that differ, then `tailflux_minute`, and strikes the minute off. */
  async function settle(
    startNs: bigint,
    upTo: Causes,
    made: MadeMinute,
    before: Before,
    changes: Changes,
    isYoung: boolean,
  ): Promise<SettledMinute> {
    const minute = minuteOf(startNs)
    const changed = before.reporters.symmetricDifference(made.reporters)
    const moved = lookBack.movedAddresses(minute, made)
    const early = await lookBack.followers(minute, changed, moved)
    unsettled.must(early, clock.now())
    deps.hours.begin(startNs)
    if (changes.rows > 0) for (const lines of changes.lines) await writer.write('minutes', lines, signal)
    facts.setReporting(minute, made.reporters)
    facts.setUsers(minute, made.users)
    const hasGap = hasGapIn(startNs)
    await writer.write('main', minuteLines.lineOf(startNs, made, hasGap, isYoung), signal)
    lookBack.setRecord(minute, recordOf(startNs, made))
    deps.hours.replace(startNs, before, made)
    // The hour follows also when no row changed: an earlier process may have been killed before it put the hour onto the list.
    const follow: Listed[] = [...(await lookBack.followers(minute, changed, moved)), hourOf(startNs)]
    unsettled.strikeOff({ tier: 'minute', startNs }, upTo, follow, clock.now())
    return { made, hasGap }
  }

  function hasGapIn(startNs: bigint): boolean {
    const { isFinal, hasGap } = finality(startNs, deps.settled(), deps.gaps())
    // Some of a minute before the origin may never be read.
    return hasGap || !isFinal
  }

  function recordOf(startNs: bigint, made: MadeMinute): MinuteRecord {
    const { digest, points } = made
    return { startNs, digest, points, rows: made.edges.count + made.nodes.count, writer: deps.writerId, isGap: false }
  }

  function skip({ startNs, read, must }: Unsettled, reason: SkipReason, follow: readonly Listed[] = []): void {
    metrics.skipped(reason)
    unsettled.strikeOff({ tier: 'minute', startNs }, { read, must }, follow, clock.now())
  }

  /** An earlier process wrote its rows. It may have been killed before it put the hour onto the list. */
  function skipWritten(entry: Unsettled): void {
    skip(entry, 'written_once', [hourOf(entry.startNs)])
  }

  /** Minutes that the look-back of a minute needs are no longer kept. */
  function isBeyondRetention(startNs: bigint): boolean {
    if (options.minutesKeptMs === undefined) return false
    return startNs - BigInt(LOOK_BACK_MINUTES) * MINUTE < clock.now() - BigInt(options.minutesKeptMs) * MS
  }

  return {
    async start(nowNs) {
      deps.hours.start(nowNs)
      await lookBack.start(nowNs)
    },

    async fromMemory(entry, held, isUncertain) {
      const beganMs = clock.monotonicMs()
      const { startNs, read, must } = entry
      const minute = minuteOf(startNs)
      lookBack.near(minute)
      const record = await lookBack.askRecord(startNs)
      if (deps.isOnce() && record !== undefined) {
        skipWritten(entry)
        return undefined
      }
      const made = await make(held, await viewAt(startNs))
      const before = writtenBefore(minute, isUncertain)
      const changes = before && changesSince(before, made, '', startNs)
      const settled =
        before === undefined || changes === undefined
          ? await settleStanding(startNs, { read, must }, made, isYoung(startNs))
          : { ...(await settle(startNs, { read, must }, made, before, changes, isYoung(startNs))), rows: changes.rows }
      const { edges, nodes, digest, reporters } = made
      written.set(minute, { edges, nodes, digest, reporters })
      metrics.made('memory', clock.monotonicMs() - beganMs, settled.rows)
      return settled
    },

    async preview(held) {
      const made = await make(held, await viewAt(held.startNs))
      if (isYoung(held.startNs)) minuteLines.look(held.startNs, made)
      return { made, hasGap: hasGapIn(held.startNs) }
    },

    async fromDatabase(entry, held, isWritten) {
      const beganMs = clock.monotonicMs()
      const { startNs, read, must } = entry
      lookBack.near(minuteOf(startNs))
      const record = await lookBack.askRecord(startNs)
      const isSame = record !== undefined && held !== undefined && held.points.digest() === record.digest
      if (isSame && must === 0 && !lookBack.isOtherWriterNear()) {
        unsettled.strikeOff({ tier: 'minute', startNs }, { read, must }, [], clock.now())
        metrics.unchanged()
        return undefined
      }
      if (deps.isOnce() && record !== undefined) {
        skipWritten(entry)
        return undefined
      }
      if (isBeyondRetention(startNs)) {
        skip(entry, 'beyond_retention')
        return undefined
      }
      const texts = createTextIds()
      const points = createRawPoints(startNs, texts)
      await store.rawPoints(startNs, points.put, signal)
      if (record !== undefined && points.count < record.points) {
        log.warn(
          { minute: startNs, was: record.points, now: points.count },
          'minute is not made again from fewer points',
        )
        skip(entry, 'fewer_points')
        return undefined
      }
      const made = await make({ startNs, texts, points }, await viewAt(startNs))
      if (!isWritten) {
        // Its rows will say so, and later ones may be made before.
        facts.addHeard(minuteOf(startNs), made.reporters)
        return { made, hasGap: hasGapIn(startNs) }
      }
      const settled = await settleStanding(startNs, { read, must }, made, false)
      metrics.made('database', clock.monotonicMs() - beganMs, settled.rows)
      return settled
    },
    async madeIn(fromNs, toNs) {
      if (!deps.canQuery()) return new Set()
      return new Set((await store.minutes(fromNs, toNs, signal)).map(({ startNs }) => startNs))
    },
    hasRecord: (startNs) => facts.record(minuteOf(startNs)) !== undefined,

    skip,
    skipWritten,
    get otherWriterMs() {
      return lookBack.otherWriterMs
    },
    get newest() {
      return minuteLines.newest
    },
    forget(nowNs, isHeld) {
      for (const minute of written.keys()) if (!isHeld(nsOf(minute))) written.delete(minute)
      lookBack.forget(nowNs, isHeld)
    },
  }
}
