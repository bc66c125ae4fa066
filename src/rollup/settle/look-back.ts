/** What is known around a minute, from memory or from the database: who reported in the hour before it, how rows were made, and which later minutes look back
 * at it. */
import { DAY, MINUTE } from '../../base/clock.ts'
import type { Listed } from '../../ledger/unsettled.ts'
import type { PartDeps } from '../deps.ts'
import type { MadeMinute } from '../make/make-minute.ts'
import type { HourBefore } from '../rows/row.ts'
import type { MinuteRecord } from '../rows/row-store.ts'
import { LOOK_BACK_MINUTES, type MinuteFacts, type Users } from './minute-facts.ts'

export interface LookBack {
  /** Loads what the database knows of the last hours. */
  start(nowNs: bigint): Promise<void>
  /** How the rows of a minute were made, asked again: another writer may have made them just now. */
  askRecord(startNs: bigint): Promise<MinuteRecord | undefined>
  setRecord(minute: number, record: MinuteRecord | undefined): void
  /** What the hour before says; `users`: addresses of this minute that the directory does not know. */
  hourBefore(minute: number, users: Users): Promise<HourBefore>
  /** Addresses outside of the directory that other nodes use than when the minute was made last. */
  movedAddresses(minute: number, made: Pick<MadeMinute, 'users' | 'digest'>): ReadonlySet<string>
  /** Settled minutes whose rows look back at `minute` and say something else when `nodes` report in it, or no longer do, or when others use `addresses`. */
  followers(minute: number, nodes: ReadonlySet<string>, addresses: ReadonlySet<string>): Promise<readonly Listed[]>
  /** A minute is made: what is around it is kept for its neighbours, which follow. */
  near(minute: number): void
  /** Another writer was seen so shortly ago that an equal digest proves nothing. */
  isOtherWriterNear(): boolean
  /** When rows of another writer were seen last, ms of monotonic time. */
  readonly otherWriterMs: number | undefined
  /** Forgets what is not needed after this time. `isHeld`: memory holds points of the minute that begins then. */
  forget(nowNs: bigint, isHeld: (startNs: bigint) => boolean): void
}

/** How far back the facts of minutes are kept, in minutes: a look-back of an hour for minutes that settle up to two hours late. */
const FACTS_MINUTES = 180
/** And around minutes that are made, however old they are: an hour back, an hour ahead. */
const NEAR_MINUTES = 130
/** In so many places at a time: a backlog, a backfill, gaps, and minutes that are made again. */
const PLACES_MAX = 4
/** As long after a second writer was seen, an equal digest proves nothing. */
const OTHER_WRITER_MS = 24 * 3_600_000

export const nsOf = (minute: number) => BigInt(minute) * MINUTE
export const minuteOf = (ns: bigint) => Number(ns / MINUTE)

export function createLookBack(
  deps: Pick<PartDeps, 'store' | 'canQuery' | 'writerId' | 'clock' | 'signal'> & { readonly facts: MinuteFacts },
): LookBack {
  const { store, facts, clock, signal } = deps
  /** From this minute on the facts are known without asking. */
  let knownFrom = Number.POSITIVE_INFINITY
  let otherWriterMs: number | undefined
  /** The minute that was made last in each place, the newest place first. */
  let places: readonly number[] = []

  const isRecent = (minute: number) => nsOf(minute) > clock.now() - DAY

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

  /** Addresses outside of the directory that other nodes use than when the minute was made last. */
  function movedAddresses(minute: number, { users, digest }: MadeMinute): ReadonlySet<string> {
    const isAsBefore = facts.record(minute)?.digest === digest
    return facts.changedUsers(minute, users) ?? new Set(isAsBefore ? [] : users.keys())
  }

  return {
    async start(nowNs) {
      if (!deps.canQuery()) {
        knownFrom = Number.NEGATIVE_INFINITY
        return
      }
      const from = minuteOf(nowNs) - FACTS_MINUTES
      await loadRecords(from, minuteOf(nowNs) + LOOK_BACK_MINUTES)
      await loadReporting(from, minuteOf(nowNs) + LOOK_BACK_MINUTES)
      knownFrom = from
    },
    ...{ askRecord, setRecord, hourBefore, movedAddresses, followers },
    near(minute) {
      const others = places.filter((one) => Math.abs(one - minute) > LOOK_BACK_MINUTES)
      places = [minute, ...others].slice(0, PLACES_MAX)
    },
    isOtherWriterNear: () => otherWriterMs !== undefined && clock.monotonicMs() - otherWriterMs < OTHER_WRITER_MS,
    get otherWriterMs() {
      return otherWriterMs
    },
    forget(nowNs, isHeld) {
      const from = minuteOf(nowNs) - FACTS_MINUTES
      if (knownFrom < from) knownFrom = from
      const isNear = (minute: number) => places.some((one) => Math.abs(one - minute) <= NEAR_MINUTES)
      facts.keepOnly((minute) => minute >= from || isNear(minute) || isHeld(nsOf(minute)))
    },
  }
}
