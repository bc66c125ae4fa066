/** Decides where reading begins, and what is read again, by comparing ledger and database. If something is unknown, the earlier time wins,
 * because reading again is harmless. If nothing is known at all, it is a first installation.
 *
 *   ledger  checkpoint in the database   what happens
 *   yes     shows each window            reading continues
 *   yes     lacks windows                those are read again: the database lost them
 *   yes     lacks all that are recorded  what lies before them is read again too, back to what it still shows
 *   yes     cannot be queried            at the start what was acknowledged in the last ten minutes is read again: a database that was
 *                                        killed may have lost it; the query is retried
 *   no      shows windows                the state file was lost or damaged: reading begins at the newest watermark, minus the age of the
 *                                        last late pass, because it is unknown which late passes were made; and further back to where
 *                                        the checkpoint says that all of them were made
 *   no      shows none                   first installation: now minus poll.lookback, or an hour above the oldest that the API has
 *   no      cannot be queried            the same for now; corrected as soon as the database can be queried
 *
 * Windows are compared one by one, because new checkpoints say nothing about older windows: a database that was dropped and created again
 * between two polls shows the new ones as if nothing had happened. A database loses either everything or the newest that it acknowledged.
 * So it is enough to compare what was acknowledged since the last time and one window before; if one of them is missing, all of them. */
import type { Logger } from 'pino'
import { max, min } from '../../base/bigint.ts'
import { DAY, END_OF_TIME, HOUR, MINUTE } from '../../base/clock.ts'
import { ageText, isoOf } from '../../base/format.ts'
import type { DoneWindow, Ledger } from '../../ledger/ledger.ts'
import type { SettingsHistory } from '../../ledger/settings-history.ts'
import type { CheckpointPoint } from '../../sink/sink.ts'
import { type CheckpointReader, UNSHOWN, type Unproven } from './checkpoint.ts'
import { type EarlierLedger, takeOver } from './take-over.ts'

/** How much is read again at least when it is unknown what was lost. */
export const REWIND_NS = 10n * MINUTE
/** A point that another program wrote may have a huge value, from which the clock of acknowledgements could not continue. */
const ACKED_MAX = END_OF_TIME - 36_525n * DAY
/** What a first start reads must not expire while it is being read. */
const LOOKBACK_MARGIN = HOUR
/** No database keeps points for less. */
const RETENTION_MIN_NS = HOUR
/** Windows are compared for this long, so a database should keep their checkpoints as long. */
export const COMPARED_NS = 25n * HOUR

export interface ReconcileOptions {
  readonly nowNs: bigint
  /** The time by the API's clock alone. */
  readonly serverNowNs: bigint
  /** The oldest time that the API still has. */
  readonly floorNs: bigint
  readonly lookbackNs: bigint
  /** Age of the last late pass. */
  readonly lastPassNs: bigint
  /** Windows in progress at once: this many may have no checkpoint when a process was killed. */
  readonly parallel: number
  /** The first time in this process. */
  readonly isStart: boolean
  /** What was acknowledged up to here was already compared; undefined: everything is compared. */
  readonly provenNs: bigint | undefined
  /** Points up to here are known to be beyond the retention of the database, ns of `logged` time. */
  readonly unkeptToNs?: bigint | undefined
}

export interface Reconciled {
  /** The highest acknowledgement found in the database, from where the clock of acknowledgements continues (0: none), ns. */
  readonly ackedNs: bigint
  /** Set when the database could not be compared. */
  readonly unproven?: Unproven
  /** Set when the database no longer keeps checkpoints up to here, although they should be compared; ns of `logged` time. */
  readonly unkeptToNs?: bigint | undefined
}

interface Deps {
  readonly ledger: Ledger
  readonly settings: Pick<SettingsHistory<unknown>, 'restore'>
  readonly reader: CheckpointReader
  readonly log: Logger
}

/** Rejects with a CollectorError when the state file or the database could not be written. */
export async function reconcile(options: ReconcileOptions, deps: Deps, signal: AbortSignal): Promise<Reconciled> {
  if (deps.ledger.originNs() === undefined) return await begin(options, deps, signal)
  const compared = await compare(options, deps, signal)
  if (compared.unproven !== undefined || !deps.ledger.isOriginGuessed()) return compared
  return await correctOrigin(options, deps, signal, compared)
}

async function begin(options: ReconcileOptions, deps: Deps, signal: AbortSignal): Promise<Reconciled> {
  const { ledger, log } = deps
  const firstNs = max(options.nowNs - options.lookbackNs, options.floorNs + LOOKBACK_MARGIN)
  const earlier = await earlierLedgers(options, deps, signal)
  if ('code' in earlier) {
    ledger.setOriginGuessed(true)
    ledger.setOrigin(firstNs, options.serverNowNs)
    const text = 'no state file, and the database cannot be queried; starting here until it can'
    log.info({ from: isoOf(firstNs), reason: earlier.text }, text)
    return { ackedNs: 0n, unproven: earlier }
  }
  const { fromNs, promisedNs, ackedNs } = earlier
  // The origin comes last: after a crash before it, all of this is done again.
  takeOver(earlier.ledgers, options.nowNs, deps)
  ledger.setOriginGuessed(false)
  // With a local clock that is years behind, those years must not count as lost.
  ledger.setOrigin(fromNs ?? firstNs, promisedNs)
  log.info(
    { from: isoOf(fromNs ?? firstNs) },
    fromNs === undefined
      ? 'first start, reading the history that poll.lookback says'
      : 'no state file, resuming from the watermark stored in the database',
  )
  return { ackedNs }
}

/** The origin was a guess, because the database could not be queried. Now it can be. */
async function correctOrigin(
  options: ReconcileOptions,
  deps: Deps,
  signal: AbortSignal,
  compared: Reconciled,
): Promise<Reconciled> {
  const { ledger, log } = deps
  const earlier = await earlierLedgers(options, deps, signal)
  if ('code' in earlier) return { ...compared, unproven: earlier }
  const originNs = ledger.originNs() ?? options.nowNs
  const fromNs = min(earlier.fromNs ?? originNs, originNs)
  takeOver(earlier.ledgers, options.nowNs, deps)
  ledger.setOrigin(fromNs, fromNs < originNs ? earlier.promisedNs : undefined)
  ledger.setOriginGuessed(false)
  if (fromNs < originNs)
    log.info({ from: isoOf(fromNs) }, 'database can be queried again, going back to where an earlier state file ended')
  return { ...compared, ackedNs: max(compared.ackedNs, earlier.ackedNs) }
}

interface Earlier {
  readonly fromNs: bigint | undefined
  readonly promisedNs: bigint
  readonly ackedNs: bigint
  readonly ledgers: readonly EarlierLedger[]
}

/** Where earlier ledgers ended; `fromNs` is undefined when there was none. `promisedNs`: what expires unread from here on is a loss. */
async function earlierLedgers(
  options: ReconcileOptions,
  { ledger, reader }: Deps,
  signal: AbortSignal,
): Promise<Earlier | Unproven> {
  const shown = await reader.probe(options.nowNs, signal)
  if (shown !== 'shown') return shown === 'unkept' ? UNSHOWN : shown
  const range = { fromNs: options.floorNs, toNs: options.nowNs }
  const isOther = (one: CheckpointPoint) => one.writer !== ledger.writer && one.watermarkNs !== undefined
  const found = await reader.read(range, signal, (points) => points.some(isOther))
  if ('code' in found) return found
  const newest = newestByWriter(found.points.filter(isOther))
  const ackedNs = min(ackedOf(found.points), ACKED_MAX)
  const last = newest.reduce<CheckpointPoint | undefined>(
    (one, other) => (one === undefined || (other.watermarkNs ?? 0n) > (one.watermarkNs ?? 0n) ? other : one),
    undefined,
  )
  if (last?.watermarkNs === undefined)
    return { fromNs: undefined, promisedNs: options.serverNowNs, ackedNs, ledgers: [] }
  const ledgers: EarlierLedger[] = []
  for (const point of newest) {
    const asked = await reader.state(point, signal)
    if ('code' in asked) return asked
    ledgers.push({ point, state: asked.state })
  }
  // A watermark from the future (a wrong clock, or another program) must not let reading begin there, and never come back.
  const knownNs = min(last.watermarkNs, options.nowNs) - rewindOf(options)
  // Late passes that were overdue when the state file was lost are caught up on.
  const fromNs = max(min(knownNs, last.passedNs ?? knownNs), options.floorNs)
  const promisedNs = min(last.watermarkNs, options.serverNowNs) - rewindOf(options)
  return { fromNs, promisedNs, ackedNs, ledgers }
}

async function compare(options: ReconcileOptions, deps: Deps, signal: AbortSignal): Promise<Reconciled> {
  const { ledger, reader } = deps
  const records = ledger.recent(Number.MAX_SAFE_INTEGER)
  if (records.length === 0)
    return options.provenNs === undefined ? await compareWatermark(options, deps, signal) : NOTHING
  const { unkeptToNs } = options
  const mayBeKept = ({ toNs }: DoneWindow) => unkeptToNs === undefined || toNs > unkeptToNs
  const first = await missingOf(sinceProven(records, options.provenNs), deps, signal)
  if ('code' in first) return cannotCompare(options, deps, records, first)
  if (!first.missing.some(mayBeKept)) return { ackedNs: first.ackedNs, unkeptToNs }
  // Something is missing, or the answer comes from another database.
  const shown = await reader.probe(options.nowNs, signal)
  if (shown !== 'shown') return cannotCompare(options, deps, records, shown === 'unkept' ? UNSHOWN : shown)
  const all = await missingOf(records, deps, signal)
  if ('code' in all) return cannotCompare(options, deps, records, all)
  const lost = await withoutUnkept(options, all.missing.filter(mayBeKept), reader, signal)
  if ('code' in lost) return cannotCompare(options, deps, records, lost)
  const unproven = lost.windows.length > 0 ? await takeBack(options, deps, records, lost.windows, signal) : undefined
  return unproven
    ? cannotCompare(options, deps, records, unproven)
    : { ackedNs: all.ackedNs, unkeptToNs: lost.unkeptToNs }
}

const NOTHING: Reconciled = { ackedNs: 0n }

function cannotCompare(
  { isStart }: ReconcileOptions,
  { ledger }: Deps,
  records: readonly DoneWindow[],
  unproven: Unproven,
): Reconciled {
  if (isStart) {
    const fromNs = lastOf(records) - REWIND_NS
    for (const window of mayBeReadAgain(records, ledger)) if (window.atNs >= fromNs) ledger.forget(window)
  }
  return { ackedNs: 0n, unproven }
}

/** Without windows of version 0.1.0, unless it is certain that the database lost them: read again, their points would be there twice. */
export function mayBeReadAgain(
  windows: readonly DoneWindow[],
  ledger: Pick<Ledger, 'oldPointsToNs'>,
): readonly DoneWindow[] {
  const oldToNs = ledger.oldPointsToNs() ?? 0n
  return windows.filter(({ toNs }) => toNs > oldToNs)
}

/** The windows that were acknowledged since the last comparison, and the last one before. */
function sinceProven(records: readonly DoneWindow[], provenNs: bigint | undefined): readonly DoneWindow[] {
  if (provenNs === undefined) return records
  const byAge = records.toSorted((one, other) => (one.atNs > other.atNs ? -1 : 1))
  const known = byAge.findIndex((window) => window.atNs <= provenNs)
  return known < 0 ? byAge : byAge.slice(0, known + 1)
}

/** Which of these windows the database does not show. */
async function missingOf(
  records: readonly DoneWindow[],
  { ledger, reader }: Deps,
  signal: AbortSignal,
): Promise<{ missing: readonly DoneWindow[]; ackedNs: bigint } | Unproven> {
  const acked = new Map<bigint, bigint>()
  let highestNs = 0n
  const newestFirst = records.toSorted((one, other) => (one.toNs > other.toNs ? -1 : 1))
  // Only ranges with windows are queried: after a long outage they may lie anywhere.
  for (let at = 0; at < newestFirst.length; ) {
    const toNs = newestFirst[at]?.toNs ?? 0n
    let fromNs = toNs
    while (at < newestFirst.length && toNs - (newestFirst[at]?.toNs ?? 0n) < 12n * HOUR)
      fromNs = newestFirst[at++]?.toNs ?? 0n
    const found = await reader.read({ fromNs, toNs }, signal)
    if ('code' in found) return found
    const own = found.points.filter(({ writer }) => writer === undefined || writer === ledger.writer)
    for (const { timeNs, ackedNs } of own) {
      if (ackedNs !== undefined && ackedNs > (acked.get(timeNs) ?? -1n)) acked.set(timeNs, ackedNs)
    }
    highestNs = max(highestNs, ackedOf(own))
  }
  const isShown = ({ toNs, atNs }: DoneWindow) => (acked.get(toNs) ?? -1n) >= atNs
  return { missing: records.filter((window) => !isShown(window)), ackedNs: min(highestNs, ACKED_MAX) }
}

/** Leaves out windows that are beyond the retention of the database: they are no loss. */
async function withoutUnkept(
  { nowNs, unkeptToNs }: ReconcileOptions,
  missing: readonly DoneWindow[],
  reader: CheckpointReader,
  signal: AbortSignal,
): Promise<{ windows: readonly DoneWindow[]; unkeptToNs: bigint | undefined } | Unproven> {
  const oldestFirst = missing.toSorted((one, other) => (one.toNs < other.toNs ? -1 : 1))
  const isYoung = (window: DoneWindow | undefined) => window === undefined || nowNs - window.toNs < RETENTION_MIN_NS
  let low = 0
  let high = isYoung(oldestFirst[0]) ? 0 : oldestFirst.length
  // The oldest first: the retention is mostly weeks. Then a bisection for the oldest one that is kept.
  for (let at = 0; low < high; at = (low + high) >> 1) {
    const window = oldestFirst[at]
    const shown = window === undefined || isYoung(window) ? 'shown' : await reader.probe(window.toNs, signal)
    if (typeof shown !== 'string') return shown
    if (shown === 'shown') high = at
    else low = at + 1
  }
  return { windows: oldestFirst.slice(low), unkeptToNs: oldestFirst[low - 1]?.toNs ?? unkeptToNs }
}

/** Marks windows that the database lost as not done. Changes nothing when it is unknown how far the loss goes. */
async function takeBack(
  options: ReconcileOptions,
  deps: Deps,
  records: readonly DoneWindow[],
  lost: readonly DoneWindow[],
  signal: AbortSignal,
): Promise<Unproven | undefined> {
  const { ledger, reader, log } = deps
  // If it lost all recorded windows, it may have lost earlier ones too.
  const isAll = lost.length === records.length
  const shown = isAll ? await shownWatermark(options, deps, signal) : undefined
  if (shown !== undefined && 'code' in shown) return shown
  const newest = records.toSorted((one, other) => (one.atNs > other.atNs ? -1 : 1)).slice(0, lost.length)
  const isOfTheKill =
    options.isStart && lost.length <= options.parallel && newest.every((window) => lost.includes(window))
  for (const window of isOfTheKill ? mayBeReadAgain(lost, ledger) : lost) ledger.forget(window)
  if (isOfTheKill && (!isAll || ledger.settled().length === 0)) {
    log.info({ windowCount: lost.length }, 're-reading windows that were in progress when the service ended')
    return undefined
  }
  if (shown !== undefined) ledger.forget({ fromNs: shown.trustedToNs, toNs: END_OF_TIME })
  const from = shown === undefined ? {} : { from: isoOf(shown.trustedToNs) }
  log.warn(
    { windowCount: lost.length, isOlderThanRecords: isAll, ...from },
    'database has lost acknowledged points, reading them again',
  )
  await reader.wentBack(options.nowNs, ledger.watermarkNs() ?? options.floorNs, signal)
  return undefined
}

/** No windows are recorded any more: only the watermark can be compared. */
async function compareWatermark(options: ReconcileOptions, deps: Deps, signal: AbortSignal): Promise<Reconciled> {
  const { ledger, reader, log } = deps
  if (ledger.settled().every((one) => one.toNs <= options.floorNs)) return NOTHING
  const shown = await shownWatermark(options, deps, signal)
  if ('code' in shown) return { ackedNs: 0n, unproven: shown }
  const { watermarkNs, trustedToNs, ackedNs } = shown
  if (watermarkNs >= (ledger.watermarkNs() ?? 0n)) return { ackedNs }
  const probed = await reader.probe(options.nowNs, signal)
  if (probed !== 'shown') return { ackedNs, unproven: probed === 'unkept' ? UNSHOWN : probed }
  ledger.forget({ fromNs: trustedToNs, toNs: END_OF_TIME })
  log.warn({ from: isoOf(trustedToNs) }, 'database has lost acknowledged points, reading them again')
  await reader.wentBack(options.nowNs, ledger.watermarkNs() ?? options.floorNs, signal)
  return { ackedNs }
}

/** The watermark of the newest of our windows that the database shows (0: of none), and up to where the database can be trusted. */
async function shownWatermark(
  options: ReconcileOptions,
  { ledger, reader }: Deps,
  signal: AbortSignal,
): Promise<{ watermarkNs: bigint; trustedToNs: bigint; ackedNs: bigint } | Unproven> {
  const isOwn = (one: CheckpointPoint) => one.writer === undefined || one.writer === ledger.writer
  const range = { fromNs: options.floorNs, toNs: max(ledger.watermarkNs() ?? 0n, options.floorNs) }
  const found = await reader.read(range, signal, (points) => points.some(isOwn))
  if ('code' in found) return found
  const own = found.points.filter(isOwn)
  const [last] = newestByWriter(own.map((one) => ({ ...one, writer: ledger.writer })))
  const watermarkNs = last?.watermarkNs ?? 0n
  const trustedToNs = max(watermarkNs - rewindOf(options), options.floorNs)
  return { watermarkNs, trustedToNs, ackedNs: min(ackedOf(own), ACKED_MAX) }
}

/** For each writer its last acknowledged point: its watermark counts, which goes back when something must be read again. */
function newestByWriter(points: readonly CheckpointPoint[]): readonly CheckpointPoint[] {
  const newest = new Map<string | undefined, CheckpointPoint>()
  for (const one of points) {
    const before = newest.get(one.writer)
    if (before === undefined || isNewer(one, before)) newest.set(one.writer, one)
  }
  return [...newest.values()]
}

function isNewer(one: CheckpointPoint, other: CheckpointPoint): boolean {
  const [acked, before] = [one.ackedNs ?? 0n, other.ackedNs ?? 0n]
  return acked === before ? (one.watermarkNs ?? 0n) > (other.watermarkNs ?? 0n) : acked > before
}

function rewindOf({ lastPassNs }: ReconcileOptions): bigint {
  return max(REWIND_NS, lastPassNs)
}

function ackedOf(points: readonly CheckpointPoint[]): bigint {
  return points.reduce((highest, { ackedNs = 0n }) => max(highest, ackedNs), 0n)
}

/** The last acknowledgement, by the clock of acknowledgements; 0 when there was none. */
export function lastOf(records: readonly DoneWindow[]): bigint {
  return records.reduce((latest, window) => max(latest, window.atNs), 0n)
}

/** For /health: points expire before they can be compared. */
export function shortRetentionText(keptNs: bigint): string {
  return `the database keeps points for about ${ageText(Number(keptNs / 1_000_000_000n))}, and lost points are noticed only within that time. Raise its retention to more than 25 hours`
}
