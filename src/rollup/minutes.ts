/** Settles minutes: makes their rows, writes what differs from the rows that stand, then `tailflux_minute`, and strikes them off the list.
 *
 * The order matters. A crash after any step leaves the minute on the list, and it is made again. Points come from memory (`fromMemory`) or from the
 * database (`fromDatabase`); everything after that is the same. */
import { DAY, HOUR, MINUTE, MS } from '../base/clock.ts'
import type { DirectoryView } from '../directory/view.ts'
import type { Causes, Listed, Unsettled } from '../ledger/unsettled.ts'
import { encodeLine } from '../sink/line-protocol/encode-line.ts'
import type { Budgets } from './budgets.ts'
import { unknownUsers } from './claims.ts'
import type { ClockOffsets } from './clock-offsets.ts'
import { finality } from './coverage.ts'
import type { PartDeps, RollupOptions } from './deps.ts'
import type { HeldMinute } from './held-minutes.ts'
import type { HourSums, StandingMinute } from './hour-sums.ts'
import { type MadeMinute, makeMinute } from './make-minute.ts'
import type { SkipReason } from './metrics.ts'
import { LOOK_BACK_MINUTES, type MinuteFacts, type Users } from './minute-facts.ts'
import { createRawPoints } from './raw-points.ts'
import type { HourBefore } from './row.ts'
import { type Changes, changesOfTables, createChanges } from './row-changes.ts'
import { seriesOfTables, type Tables, tablesOf } from './row-series.ts'
import type { MinuteRecord } from './row-store.ts'
import { exists, tagOf } from './row-table.ts'
import { createTextIds } from './text-ids.ts'

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
  /** False: its rows were never made, as far as is known. */
  hasRecord(startNs: bigint): boolean
  /** The database has no queries: strikes off what cannot be made. */
  skip(entry: Unsettled, reason: SkipReason): void
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

export interface Completeness {
  /** Begin of the minute, ns. */
  readonly startNs: bigint
  /** Nodes that the device list shows as connected, and those of them that do not report; undefined without a list. */
  readonly nodes: number | undefined
  readonly nodesSilent: number | undefined
  readonly edges: number
  readonly edgesBoth: number
  readonly clockOff: number
}

/** How far back the facts of minutes are kept, in minutes: a look-back of an hour for minutes that settle up to two hours late. */
const FACTS_MINUTES = 180
/** And around minutes that are made again: an hour back, an hour ahead. */
const NEAR_MINUTES = 130
/** As long after a second writer was seen, an equal digest proves nothing. */
const OTHER_WRITER_MS = 24 * 3_600_000
/** Texts of tags that are kept for the next minute. */
const TAGS_MAX = 50_000

/** What stood of a minute before it was made. */
interface Before extends StandingMinute {
  /** Nodes that had a row which counts anything. */
  readonly reporters: ReadonlySet<string>
}

const nsOf = (minute: number) => BigInt(minute) * MINUTE
const minuteOf = (ns: bigint) => Number(ns / MINUTE)

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
  /** From this minute on the facts are known without asking. */
  let knownFrom = Number.POSITIVE_INFINITY
  let otherWriterMs: number | undefined
  /** The minutes that were made from the database last: the newest ones and the longest waiting ones take turns, and their neighbours follow. */
  let again: readonly number[] = []
  let newest: Completeness | undefined
  /** Of minutes whose points are in memory, so that their rows need not be read back when late points come. */
  const written = new Map<number, Before>()
  let tags = createTextIds()
  const changesSince = createChanges()

  /** Which nodes reported, in a range of minutes, both ends included. */
  async function loadReporting(from: number, to: number): Promise<void> {
    const unknown: number[] = []
    for (let minute = from; minute <= Math.min(to, knownFrom - 1); minute++)
      if (!facts.hasReporting(minute)) unknown.push(minute)
    const [first, last] = [unknown[0], unknown.at(-1)]
    if (first === undefined || last === undefined || !deps.canQuery()) return
    const found = await store.reporting(nsOf(first), nsOf(last + 1), signal)
    for (const minute of unknown) facts.setReporting(minute, found.get(nsOf(minute)) ?? [])
  }

  async function loadRecords(from: number, to: number): Promise<void> {
    const isUnknown = (minute: number) => minute < knownFrom && !facts.hasRecord(minute)
    let [first, last] = [from, to]
    while (first <= last && !isUnknown(first)) first += 1
    while (first <= last && !isUnknown(last)) last -= 1
    if (first > last || !deps.canQuery()) return
    const found = await store.minutes(nsOf(first), nsOf(last + 1), signal)
    const byMinute = new Map(found.map((record) => [minuteOf(record.startNs), record]))
    for (let minute = first; minute <= last; minute++) if (isUnknown(minute)) setRecord(minute, byMinute.get(minute))
  }

  function setRecord(minute: number, record: MinuteRecord | undefined): void {
    facts.setRecord(minute, record)
    // The database may keep no texts.
    const isOther = record !== undefined && record.writer !== '' && record.writer !== deps.writerId
    if (isOther && isRecent(minute)) otherWriterMs = clock.monotonicMs()
  }

  /** Another writer may have made this minute just now. */
  async function askRecord(startNs: bigint): Promise<MinuteRecord | undefined> {
    if (!deps.canQuery()) return undefined
    const [record] = await store.minutes(startNs, startNs + MINUTE, signal)
    setRecord(minuteOf(startNs), record)
    return record
  }

  /** Two writers give a minute the same names only if each knows what the other has learnt. */
  async function viewAt(startNs: bigint): Promise<DirectoryView> {
    if (isOtherWriterNear()) await directory.refresh(signal)
    return await directory.load(startNs, true, signal)
  }

  const isRecent = (minute: number) => nsOf(minute) > clock.now() - DAY

  /** What the hour before says; `users`: addresses of this minute that the directory does not know. */
  async function hourBefore(minute: number, users: Users): Promise<HourBefore> {
    const [from, to] = [minute - LOOK_BACK_MINUTES, minute - 1]
    await loadReporting(from, to)
    const before = facts.before(minute)
    if (users.size === 0 || !deps.canQuery()) return before
    let [first, last] = [from, to]
    while (first <= last && facts.hasUsers(first)) first += 1
    while (first <= last && facts.hasUsers(last)) last -= 1
    if (first > last) return before
    const asked = await store.usersOf([...users.keys()], nsOf(first), nsOf(last + 1), signal)
    return {
      hasReported: before.hasReported,
      wasUsedByOther: (address, node) =>
        before.wasUsedByOther(address, node) || [...(asked.get(address) ?? [])].some((user) => user !== node),
    }
  }

  async function make(held: HeldMinute, view: DirectoryView): Promise<MadeMinute> {
    const minute = minuteOf(held.startNs)
    const budget = await deps.budgets.of(held.startNs)
    const before = await hourBefore(minute, unknownUsers(held.points, held.texts, view))
    const limits = deps.limitsAt(held.startNs)
    if (tags.count > TAGS_MAX) tags = createTextIds()
    const tailnet = options.tailnetAt(held.startNs)
    return makeMinute(held, { tailnet, directory: view, before, budget, limits, tags })
  }

  /** Settled minutes whose rows look back at `minute` and say something else when `nodes` report in it, or no longer do, or when others use `addresses`. */
  async function followers(
    minute: number,
    nodes: ReadonlySet<string>,
    addresses: ReadonlySet<string>,
  ): Promise<Listed[]> {
    if (nodes.size === 0 && addresses.size === 0) return []
    const last = minute + LOOK_BACK_MINUTES
    await loadRecords(minute + 1, last)
    const later: number[] = []
    for (let one = minute + 1; one <= last; one++) if (facts.record(one) !== undefined) later.push(one)
    if (later.length === 0) return []
    if (nodes.size > 0) await loadReporting(minute - LOOK_BACK_MINUTES + 1, later.at(-1)!)
    const looksBack = (one: number) =>
      [...nodes].some((node) => !facts.hasRowIn(node, one - LOOK_BACK_MINUTES, one, minute)) ||
      (addresses.size > 0 && facts.mayUse(one, addresses))
    return later.filter(looksBack).map((one) => ({ tier: 'minute', startNs: nsOf(one) }))
  }

  /** What this process wrote of a minute, if nothing else can stand. */
  function writtenBefore(minute: number, isUncertain: boolean): Before | undefined {
    if (!deps.canQuery()) return nothing()
    if (isUncertain || isOtherWriterNear()) return undefined
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

  /** Addresses outside of the directory that other nodes use than when the minute was made last. */
  function movedAddresses(minute: number, { users, digest }: MadeMinute): ReadonlySet<string> {
    const isAsBefore = facts.record(minute)?.digest === digest
    return facts.changedUsers(minute, users) ?? new Set(isAsBefore ? [] : users.keys())
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
    const moved = movedAddresses(minute, made)
    const early = await followers(minute, changed, moved)
    unsettled.must(early, clock.now())
    deps.hours.begin(startNs)
    if (changes.rows > 0) for (const lines of changes.lines) await writer.write('minutes', lines, signal)
    facts.setReporting(minute, made.reporters)
    facts.setUsers(minute, made.users)
    const hasGap = hasGapIn(startNs)
    await writer.write('main', minuteLine(startNs, made, hasGap, isYoung), signal)
    setRecord(minute, recordOf(startNs, made))
    deps.hours.replace(startNs, before, made)
    // The hour follows also when no row changed: an earlier process may have been killed before it put the hour onto the list.
    const follow: Listed[] = [
      ...(await followers(minute, changed, moved)),
      { tier: 'hour', startNs: startNs - (startNs % HOUR) },
    ]
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

  function minuteLine(startNs: bigint, made: MadeMinute, hasGap: boolean, isYoung: boolean): Uint8Array {
    const fields: Record<string, bigint | boolean | string> = {
      ...(deps.isOnce() ? {} : { digest: made.digest, writer: deps.writerId }),
      points: BigInt(made.points),
      rows: BigInt(made.edges.count + made.nodes.count),
      gap: hasGap,
      edges: BigInt(made.edgeCount),
      edges_both: BigInt(made.bothCount),
    }
    if (isYoung) {
      const { nodes, nodesSilent, clockOff } = completenessOf(startNs, made)
      fields['clock_off'] = BigInt(clockOff)
      if (nodes !== undefined && nodesSilent !== undefined) {
        fields['nodes'] = BigInt(nodes)
        fields['nodes_silent'] = BigInt(nodesSilent)
      }
    }
    return encodeLine('tailflux_minute', { tailnet: options.tailnetAt(startNs) }, fields, startNs)
  }

  /** Of a young minute, as of now; it may be the newest one. */
  function completenessOf(startNs: bigint, made: MadeMinute): Completeness {
    const minute = minuteOf(startNs)
    const connected = directory.connected()
    const isSilent = (node: string) => !facts.hasReportedIn(node, minute - LOOK_BACK_MINUTES, minute)
    const completeness = {
      startNs,
      nodes: connected?.size,
      nodesSilent: connected && [...connected].filter(isSilent).length,
      edges: made.edgeCount,
      edgesBoth: made.bothCount,
      clockOff: deps.clockOffsets.off(),
    }
    if (newest === undefined || startNs >= newest.startNs) newest = completeness
    return completeness
  }

  function skip({ startNs, read, must }: Unsettled, reason: SkipReason): void {
    metrics.skipped(reason)
    unsettled.strikeOff({ tier: 'minute', startNs }, { read, must }, [], clock.now())
  }

  const isOtherWriterNear = () => otherWriterMs !== undefined && clock.monotonicMs() - otherWriterMs < OTHER_WRITER_MS

  /** Minutes that the look-back of a minute needs are no longer kept. */
  function isBeyondRetention(startNs: bigint): boolean {
    if (options.minutesKeptMs === undefined) return false
    return startNs - BigInt(LOOK_BACK_MINUTES) * MINUTE < clock.now() - BigInt(options.minutesKeptMs) * MS
  }

  return {
    async start(nowNs) {
      deps.hours.start(nowNs)
      if (!deps.canQuery()) {
        knownFrom = Number.NEGATIVE_INFINITY
        return
      }
      const from = minuteOf(nowNs) - FACTS_MINUTES
      await loadRecords(from, minuteOf(nowNs) + LOOK_BACK_MINUTES)
      await loadReporting(from, minuteOf(nowNs) + LOOK_BACK_MINUTES)
      knownFrom = from
    },

    async fromMemory(entry, held, isUncertain) {
      const beganMs = clock.monotonicMs()
      const { startNs, read, must } = entry
      const minute = minuteOf(startNs)
      const record = await askRecord(startNs)
      if (deps.isOnce() && record !== undefined) {
        skip(entry, 'written_once')
        return undefined
      }
      const made = await make(held, await viewAt(startNs))
      const before = writtenBefore(minute, isUncertain)
      const changes = before && changesSince(before, made, '', startNs)
      const settled =
        before === undefined || changes === undefined
          ? await settleStanding(startNs, { read, must }, made, true)
          : { ...(await settle(startNs, { read, must }, made, before, changes, true)), rows: changes.rows }
      const { edges, nodes, digest, reporters } = made
      written.set(minute, { edges, nodes, digest, reporters })
      metrics.made('memory', clock.monotonicMs() - beganMs, settled.rows)
      return settled
    },

    async preview(held) {
      const made = await make(held, await viewAt(held.startNs))
      completenessOf(held.startNs, made)
      return { made, hasGap: hasGapIn(held.startNs) }
    },

    async fromDatabase(entry, held, isWritten) {
      const beganMs = clock.monotonicMs()
      const { startNs, read, must } = entry
      const minute = minuteOf(startNs)
      again = [minute, ...again].slice(0, 2)
      const record = await askRecord(startNs)
      const isSame = record !== undefined && held !== undefined && held.points.digest() === record.digest
      if (isSame && must === 0 && !isOtherWriterNear()) {
        unsettled.strikeOff({ tier: 'minute', startNs }, { read, must }, [], clock.now())
        metrics.unchanged()
        return undefined
      }
      if (deps.isOnce() && record !== undefined) {
        skip(entry, 'written_once')
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
      if (!isWritten) return { made, hasGap: hasGapIn(startNs) }
      const settled = await settleStanding(startNs, { read, must }, made, false)
      metrics.made('database', clock.monotonicMs() - beganMs, settled.rows)
      return settled
    },
    hasRecord: (startNs) => facts.record(minuteOf(startNs)) !== undefined,

    skip,
    get otherWriterMs() {
      return otherWriterMs
    },
    get newest() {
      return newest
    },
    forget(nowNs, isHeld) {
      for (const minute of written.keys()) if (!isHeld(nsOf(minute))) written.delete(minute)
      const from = minuteOf(nowNs) - FACTS_MINUTES
      if (knownFrom < from) knownFrom = from
      const isNear = (minute: number) => again.some((one) => Math.abs(one - minute) <= NEAR_MINUTES)
      facts.keepOnly((minute) => minute >= from || isNear(minute))
    },
  }
}
