/** Where reading begins, and what is read again: what ledger and database agree on. Unknown always resolves to earlier, because reading again
 * is free; nothing known at all is a first installation.
 *
 *   ledger  checkpoint in the database   what happens
 *   yes     shows each window            reading goes on
 *   yes     lacks windows                those are read again: the database lost them
 *   yes     lacks all that are recorded  what lies before them is read again too, back to what it still shows
 *   yes     cannot be asked              at the start what was acknowledged in the last ten minutes is read again: a database that was
 *                                        killed may have lost it; it is asked again
 *   no      shows windows                the state file was lost or set aside: the newest watermark, minus the age of the last late pass,
 *                                        because nobody knows any more which late passes had been made, and further back to where the
 *                                        checkpoint says that all of them were
 *   no      shows none                   first installation: now minus the initial look-back, or an hour above the
 *                                        oldest that the API has
 *   no      cannot be asked              the same for now; as soon as it can be asked, reading begins where it must
 *
 * Windows are compared one by one, because new checkpoints say nothing about older windows: a database that was dropped and made again
 * between two polls shows new ones as if nothing had happened. A database loses either all or the newest that it acknowledged, so it is
 * enough to look at what was acknowledged since the last time and at one window before; when one of them is missing, at all of them. */
import type { Logger } from 'pino'
import { DAY, HOUR, MINUTE } from '../../base/clock.ts'
import { ageText, isoOf } from '../../base/format.ts'
import type { DoneWindow, Ledger } from '../../ledger/ledger.ts'
import type { CheckpointPoint } from '../../sink/sink.ts'
import { max, min } from '../window-size.ts'
import { type CheckpointReader, UNSHOWN, type Unproven } from './checkpoint-reader.ts'

/** How much is read again at least where nobody knows. */
export const REWIND_NS = 10n * MINUTE
export const END_OF_TIME = (1n << 63n) - 1n
/** What somebody else wrote may lie at the end of time, where no clock of acknowledgements could go on from. */
const ACKED_MAX = END_OF_TIME - 36_525n * DAY
/** What a first start reads must not age out while it is being read. */
const LOOKBACK_MARGIN = HOUR
/** No database keeps points for less. */
const RETENTION_MIN_NS = HOUR
/** So long windows are compared, hence a database should keep their checkpoints. */
export const COMPARED_NS = 25n * HOUR

export interface ReconcileOptions {
  readonly nowNs: bigint
  /** The present by the API's clock alone. */
  readonly serverNowNs: bigint
  /** The oldest time that the API still has. */
  readonly floorNs: bigint
  readonly lookbackNs: bigint
  /** Age of the last late pass. */
  readonly lastPassNs: bigint
  /** Windows under way at once: so many may be without a checkpoint when a process was killed. */
  readonly parallel: number
  /** The first time in this process. */
  readonly isStart: boolean
  /** What was acknowledged up to here was compared the last time; undefined: everything is compared. */
  readonly provenNs: bigint | undefined
  /** Points of up to here are known to be beyond the retention of the database, ns of `logged` time. */
  readonly unkeptToNs?: bigint | undefined
}

export interface Reconciled {
  /** Where the clock of acknowledgements goes on from, the highest that the database was seen to hold (0: none), ns. */
  readonly ackedNs: bigint
  /** Set when the database could not be compared. */
  readonly unproven?: Unproven
  /** Set when it no longer keeps checkpoints of up to here, although they are to be compared; ns of `logged` time. */
  readonly unkeptToNs?: bigint | undefined
}

type Deps = { readonly ledger: Ledger; readonly reader: CheckpointReader; readonly log: Logger }

/** Rejects with a CollectorError when the state file could not be written, or the database not. */
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
    const text = 'no state file and the database cannot be asked, reading begins here until it can'
    log.info({ from: isoOf(firstNs), reason: earlier.text }, text)
    return { ackedNs: 0n, unproven: earlier }
  }
  const { fromNs, promisedNs, ackedNs } = earlier
  ledger.setOriginGuessed(false)
  // A local clock that is years behind must not promise those years.
  ledger.setOrigin(fromNs ?? firstNs, promisedNs)
  log.info(
    { from: isoOf(fromNs ?? firstNs), known: fromNs !== undefined },
    fromNs === undefined
      ? 'first start, reading begins here'
      : 'no state file, reading goes on from the checkpoint in the database',
  )
  return { ackedNs }
}

/** The origin was a guess, because the database could not be asked. Now it was. */
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
  ledger.setOrigin(fromNs, fromNs < originNs ? earlier.promisedNs : undefined)
  ledger.setOriginGuessed(false)
  if (fromNs < originNs)
    log.info({ from: isoOf(fromNs) }, 'the database can be asked now, an earlier ledger ended here: reading goes back')
  return { ...compared, ackedNs: max(compared.ackedNs, earlier.ackedNs) }
}

/** Where the ledgers that were before this one ended; `fromNs` is undefined when there was none. `promisedNs`: what ages out unread from
 * here on is a loss. */
async function earlierLedgers(
  options: ReconcileOptions,
  { ledger, reader }: Deps,
  signal: AbortSignal,
): Promise<{ fromNs: bigint | undefined; promisedNs: bigint; ackedNs: bigint } | Unproven> {
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
  if (last?.watermarkNs === undefined) return { fromNs: undefined, promisedNs: options.serverNowNs, ackedNs }
  // A watermark from the future (written under a wrong clock, or by somebody else) must not let reading begin there and never be heard of again.
  const knownNs = min(last.watermarkNs, options.nowNs) - rewindOf(options)
  // Late passes that were overdue when the state file went are made up for.
  const fromNs = max(min(knownNs, last.passedNs ?? knownNs), options.floorNs)
  const promisedNs = min(last.watermarkNs, options.serverNowNs) - rewindOf(options)
  return { fromNs, promisedNs, ackedNs }
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
  // Something is missing, or the answer is somebody else's.
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
    for (const window of records) if (window.atNs >= fromNs) ledger.forget(window)
  }
  return { ackedNs: 0n, unproven }
}

/** What was acknowledged since the last time, and the last one before. */
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
  // Only ranges with windows are asked for: what is caught up after a long outage may lie anywhere.
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

/** Leaves out what the database would not keep even if it were written again: a short retention is no loss. */
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
  // The oldest first: mostly there is a retention of weeks. Then halves, until it is known which is the oldest that is kept.
  for (let at = 0; low < high; at = (low + high) >> 1) {
    const window = oldestFirst[at]
    const shown = window === undefined || isYoung(window) ? 'shown' : await reader.probe(window.toNs, signal)
    if (typeof shown !== 'string') return shown
    if (shown === 'shown') high = at
    else low = at + 1
  }
  return { windows: oldestFirst.slice(low), unkeptToNs: oldestFirst[low - 1]?.toNs ?? unkeptToNs }
}

/** The database lost these windows. Nothing is taken back when it cannot be told how far that goes. */
async function takeBack(
  options: ReconcileOptions,
  deps: Deps,
  records: readonly DoneWindow[],
  lost: readonly DoneWindow[],
  signal: AbortSignal,
): Promise<Unproven | undefined> {
  const { ledger, reader, log } = deps
  // When it lost all that is recorded, it may have lost what lies before too.
  const isAll = lost.length === records.length
  const shown = isAll ? await shownWatermark(options, deps, signal) : undefined
  if (shown !== undefined && 'code' in shown) return shown
  for (const window of lost) ledger.forget(window)
  const newest = records.toSorted((one, other) => (one.atNs > other.atNs ? -1 : 1)).slice(0, lost.length)
  const isOfTheKill =
    options.isStart && lost.length <= options.parallel && newest.every((window) => lost.includes(window))
  if (isOfTheKill && (!isAll || ledger.settled().length === 0)) {
    log.info({ windowCount: lost.length }, 'reading again what was under way when the service ended')
    return undefined
  }
  if (shown !== undefined) ledger.forget({ fromNs: shown.trustedToNs, toNs: END_OF_TIME })
  const from = shown === undefined ? {} : { from: isoOf(shown.trustedToNs) }
  log.warn(
    { windowCount: lost.length, isOlderThanRecords: isAll, ...from },
    'the database holds less than was acknowledged, reading it again',
  )
  await reader.wentBack(options.nowNs, ledger.watermarkNs() ?? options.floorNs, signal)
  return undefined
}

/** Nothing is recorded any more: all that can be compared is the watermark. */
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
  log.warn({ from: isoOf(trustedToNs) }, 'the database holds less than was acknowledged, reading it again')
  await reader.wentBack(options.nowNs, ledger.watermarkNs() ?? options.floorNs, signal)
  return { ackedNs }
}

/** The watermark of the newest of our windows that the database shows (0: of none), and up to where it surely holds what it should. */
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

/** Of each writer the point that it acknowledged last: its watermark counts, which goes back when something must be read again. */
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

/** For /health: points vanish before they can be compared. */
export function shortRetentionText(keptNs: bigint): string {
  return `the database keeps points for about ${ageText(Number(keptNs / 1_000_000_000n))}, and what it loses is noticed only while it should have kept it. Raise its retention to more than 25 hours`
}
