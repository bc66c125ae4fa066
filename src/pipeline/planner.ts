/** Decides which window is read next, from what the ledger knows. No I/O apart from the ledger, and no clock of its own.
 *
 * The queues, by priority:
 *   live     the newest part of what is missing, so that graphs are fresh even while a day is being caught up (one at a time)
 *   probe    a step of the bisection of a range that could not be read (below)
 *   backlog  the oldest part of what is missing
 *   gap      a named gap whose backoff is over
 *   late     a done window whose late pass is due
 *   backfill the oldest missing part of a backfill request (one at a time, with rests in between)
 *
 * A window that the database stores only in part (a limit of series or tag values) becomes a gap of that reason. One of these gaps is
 * retried every ten minutes; the others follow when it succeeds.
 *
 * A window that was too much (timeout, 502/504, truncation, size limit) is halved, down to 1 ms. A range that still fails is bisected
 * (bisection.ts) and becomes a named gap with a backoff of 1, 2, 4 ... 60 minutes. Other ranges do not wait for it. */

import { max, min } from '../base/bigint.ts'
import { MINUTE, SECOND } from '../base/clock.ts'
import { intersects, subtract } from '../ledger/intervals.ts'
import type { DoneWindow, GapReason, Interval, Ledger } from '../ledger/ledger.ts'
import type { ObservedWindow } from '../observers/observers.ts'
import { createBisection, WINDOW_MIN_NS } from './bisection.ts'

/** Why a window is read; their order is described above. */
type Queue = 'live' | 'probe' | 'backlog' | 'gap' | 'late' | 'backfill'

export interface PlannedWindow extends ObservedWindow {
  readonly queue: Queue
  /** For late passes: what the ledger has of the window from the last reading. */
  readonly previous?: DoneWindow
}

export interface PlannerOptions {
  readonly intervalNs: bigint
  readonly windowMaxNs: bigint
  readonly windowBytesTarget: number
  /** Ages at which a window is read again, ascending, ns. */
  readonly latePassesNs: readonly bigint[]
  /** The backfill request, clipped to what the API still has. */
  readonly backfillRange?: () => Interval | undefined
  /** For rests: a wall clock that is set back must not make one longer. */
  readonly monotonicMs: () => number
}

/** The caller reports each window exactly once: to `succeeded`, `tooMuch`, `limited` or `released`. */
export interface Planner {
  /** The next window, or undefined when nothing can be read now. `nowNs` is the API's clock as far as known, `horizonNs` the safe read
   * horizon. `first`: a window that failed; what is left of it goes before all others. */
  next(nowNs: bigint, horizonNs: bigint, first?: PlannedWindow): PlannedWindow | undefined
  /** The window was read, acknowledged and entered in the ledger: as far as `toNs`, with `bytes` in all, as pass `pass`. */
  succeeded(window: PlannedWindow, done: { toNs: bigint; bytes: number; pass: number }, nowNs: bigint): void
  /** The window was too much for the API, the network or the memory. */
  tooMuch(window: PlannedWindow, reason: GapReason, nowNs: bigint): void
  /** The window was read as far as `toNs`, and the database took only a part of that, because of a limit of series or tag values. */
  limited(window: PlannedWindow, toNs: bigint, nowNs: bigint): void
  /** The window was abandoned, or failed for a reason outside of it. */
  released(window: PlannedWindow): void
  /** Length of what is missing below the horizon, ns. */
  backlogNs(horizonNs: bigint): bigint
  /** The current length of a window, ns. */
  readonly windowNs: bigint
  /** How long to rest before the next part of a backfill, ms, so that live windows can use the API. 0: no rest. */
  restMs(): number
}

/** A backfill rests as long as its last window took, and no longer than this. So it uses at most about half of the time. */
const REST_MAX_MS = 10_000
const GAP_BACKOFF_MAX = 60n * MINUTE
/** How often windows that hit a limit of the database are retried: the limit may have been raised. */
const LIMIT_RETRY = 10n * MINUTE
/** After this many failed late passes the window is read again from scratch, in smaller windows. */
const LATE_FAILURES_MAX = 3

export function createPlanner(options: PlannerOptions, ledger: Ledger, nowNs: bigint): Planner {
  const size = createWindowSize({ bytesTarget: options.windowBytesTarget, startNs: MINUTE, maxNs: options.windowMaxNs })
  /** Each with the number of windows that were given out before it: an order of events that does not depend on a clock. */
  const active = new Map<PlannedWindow, number>()
  let given = 0
  // Ranges that were too much: a window that touches one is at most `maxNs` long.
  let caps: { range: Interval; maxNs: bigint }[] = []
  const bisection = createBisection(openGap)
  let restUntilMs = 0
  let backfillBeganMs = 0
  const lateFailures = new Map<bigint, { count: number; nextNs: bigint }>()

  // An attempt that an earlier process began and never ended may have killed it: read smaller windows this time.
  for (const attempt of ledger.crashed()) {
    if (attempt.toNs - attempt.fromNs > WINDOW_MIN_NS) caps.push({ range: attempt, maxNs: half(attempt) })
    else openGap(attempt, 'crash', nowNs)
  }

  function openMissing(horizonNs: bigint): readonly Interval[] {
    const originNs = ledger.originNs()
    if (originNs === undefined || originNs >= horizonNs) return []
    return untaken(ledger.missing(originNs, horizonNs))
  }

  /** Without windows in progress, quarantined ranges and named gaps. */
  function untaken(missing: readonly Interval[]): readonly Interval[] {
    return subtract(missing, [...active.keys(), ...bisection.quarantined(), ...openGaps()])
  }

  function openGaps() {
    return ledger.gaps().filter((gap) => gap.state === 'open')
  }

  /** The longest window allowed there. */
  function lengthAt(place: Interval): bigint {
    return caps.reduce((least, cap) => (intersects(cap.range, place) ? min(least, cap.maxNs) : least), size.lengthNs)
  }

  function live(missing: readonly Interval[], horizonNs: bigint): PlannedWindow | undefined {
    const newest = missing.at(-1)
    if (newest === undefined || newest.toNs !== horizonNs || isQueueActive('live')) return undefined
    // With a backlog behind it, the live queue takes only the newest part: new records must not wait for old ones.
    const bit = min(lengthAt(newest), max(2n * options.intervalNs, SECOND))
    return { fromNs: max(newest.fromNs, newest.toNs - bit), toNs: newest.toNs, queue: 'live', pass: 1 }
  }

  function probe(missing: readonly Interval[], horizonNs: bigint): PlannedWindow | undefined {
    const range = isQueueActive('probe') ? undefined : bisection.probe(missing, horizonNs)
    return range && { fromNs: range.fromNs, toNs: range.toNs, queue: 'probe', pass: 1 }
  }

  function backlog(missing: readonly Interval[]): PlannedWindow | undefined {
    // Did the window fail, or the API? Read a window far from the failed one. If that fails too, wait for the next live window.
    const unverified = bisection.unverified()
    if (unverified > 1) return undefined
    const piece = unverified === 1 ? missing.at(-1) : missing[0]
    if (piece === undefined) return undefined
    if (unverified === 1) {
      const end = { fromNs: piece.toNs - 1n, toNs: piece.toNs }
      return { fromNs: max(piece.fromNs, piece.toNs - lengthAt(end)), toNs: piece.toNs, queue: 'backlog', pass: 1 }
    }
    const { fromNs } = piece
    const length = lengthAt({ fromNs, toNs: fromNs + 1n })
    // A range that must be read in small windows is entered at its beginning, not from the middle of a long window.
    const borders = caps.map((cap) => cap.range.fromNs).filter((borderNs) => borderNs > fromNs)
    return { fromNs, toNs: min(piece.toNs, fromNs + length, ...borders), queue: 'backlog', pass: 1 }
  }

  /** A window that failed, once more. */
  function again(window: PlannedWindow): PlannedWindow | undefined {
    if (window.previous) {
      const due = ledger.duePasses(window.pass, window.toNs, Number.MAX_SAFE_INTEGER).find((one) => same(one, window))
      return due && !isBusy(window) ? { ...window, previous: due } : undefined
    }
    const [piece] = subtract(ledger.missing(window.fromNs, window.toNs), [...active.keys(), ...bisection.quarantined()])
    if (piece === undefined) return undefined
    const { fromNs } = piece
    const length = lengthAt({ fromNs, toNs: fromNs + 1n })
    return { fromNs, toNs: min(piece.toNs, fromNs + length), queue: window.queue, pass: window.pass }
  }

  function dueGap(atNs: bigint, horizonNs: bigint): PlannedWindow | undefined {
    if (isQueueActive('gap')) return undefined
    const gap = openGaps().find((one) => one.nextNs <= atNs && one.toNs <= horizonNs)
    if (gap === undefined) return undefined
    const { fromNs } = gap
    // A range that could not be read is retried as a whole; a range that was read but not written, in windows that could be read.
    const length = gap.reason === 'db_limit' ? lengthAt({ fromNs, toNs: fromNs + 1n }) : size.lengthNs
    return { fromNs, toNs: min(gap.toNs, fromNs + length), queue: 'gap', pass: 1 }
  }

  function duePass(atNs: bigint): PlannedWindow | undefined {
    for (const [index, ageNs] of options.latePassesNs.entries()) {
      const pass = index + 2
      const waiting = [...active.keys()].filter((window) => window.queue === 'late').length + lateFailures.size
      const due = ledger.duePasses(pass, atNs - ageNs, waiting + 1).find((one) => !isWaiting(one, atNs))
      if (due) return { fromNs: due.fromNs, toNs: due.toNs, queue: 'late', pass, previous: due }
    }
    return undefined
  }

  /** What lies after the origin is missing anyway and is read as the backlog. */
  function backfillMissing(): readonly Interval[] {
    const range = options.backfillRange?.()
    const originNs = ledger.originNs()
    if (range === undefined || originNs === undefined) return []
    return untaken(ledger.missing(range.fromNs, min(range.toNs, originNs)))
  }

  function backfill(): PlannedWindow | undefined {
    if (isQueueActive('backfill') || restMs() > 0) return undefined
    const [piece] = backfillMissing()
    if (piece === undefined) return undefined
    const { fromNs } = piece
    const length = lengthAt({ fromNs, toNs: fromNs + 1n })
    return { fromNs, toNs: min(piece.toNs, fromNs + length), queue: 'backfill', pass: 1 }
  }

  function restMs(): number {
    const leftMs = restUntilMs - options.monotonicMs()
    return leftMs > 0 && backfillMissing().length > 0 ? leftMs : 0
  }

  function isBusy(window: Interval): boolean {
    for (const one of active.keys()) if (one.queue === 'late' && same(one, window)) return true
    return false
  }

  function isWaiting(window: Interval, atNs: bigint): boolean {
    return isBusy(window) || (lateFailures.get(window.fromNs)?.nextNs ?? 0n) > atNs
  }

  function isQueueActive(queue: Queue): boolean {
    for (const window of active.keys()) if (window.queue === queue) return true
    return false
  }

  function openGap(interval: Interval, reason: GapReason, atNs: bigint): void {
    const known = openGaps().find((gap) => same(gap, interval))
    const backoffNs = min(MINUTE << BigInt(Math.min(known?.attempts ?? 0, 6)), GAP_BACKOFF_MAX)
    ledger.openGap(interval, reason, atNs, atNs + backoffNs)
  }

  return {
    next(atNs, horizonNs, first) {
      const missing = openMissing(horizonNs)
      const window =
        (first && again(first)) ??
        live(missing, horizonNs) ??
        probe(missing, horizonNs) ??
        backlog(missing) ??
        dueGap(atNs, horizonNs) ??
        duePass(atNs) ??
        backfill()
      if (window?.queue === 'backfill') backfillBeganMs = options.monotonicMs()
      if (window) active.set(window, (given += 1))
      else if (active.size === 0 && bisection.settle(atNs)) return this.next(atNs, horizonNs, first)
      return window
    },

    succeeded(window, done, atNs) {
      const begun = active.get(window) ?? 0
      active.delete(window)
      lateFailures.delete(window.fromNs)
      // By the clock of the answer it was too early for this pass: try again in a minute.
      if (done.pass < window.pass) lateFailures.set(window.fromNs, { count: 0, nextNs: atNs + MINUTE })
      if (window.queue === 'live' || window.queue === 'backlog' || window.queue === 'backfill')
        size.succeeded(done.toNs - window.fromNs, done.bytes)
      if (window.queue === 'backfill') {
        const nowMs = options.monotonicMs()
        restUntilMs = nowMs + Math.min(nowMs - backfillBeganMs, REST_MAX_MS)
      }
      if (window.queue === 'probe' && done.toNs >= window.toNs) bisection.probed(window, 'read', atNs)
      if (caps.length > 0) caps = caps.filter((cap) => ledger.missing(cap.range.fromNs, cap.range.toNs).length > 0)
      bisection.verify(begun)
    },

    tooMuch(window, reason, atNs) {
      active.delete(window)
      const lengthNs = window.toNs - window.fromNs
      if (window.queue === 'late') {
        const count = (lateFailures.get(window.fromNs)?.count ?? 0) + 1
        lateFailures.set(window.fromNs, { count, nextNs: atNs + 10n * MINUTE })
        if (count < LATE_FAILURES_MAX) return
        lateFailures.delete(window.fromNs)
        caps.push({ range: window, maxNs: half(window) })
        ledger.forget(window)
        return
      }
      if (window.queue === 'gap') {
        const gap = openGaps().find((one) => one.fromNs === window.fromNs)
        // It was readable before, so the range itself is good: use smaller windows.
        const isReadable = gap?.reason === 'db_limit' && lengthNs > WINDOW_MIN_NS
        if (gap && !isReadable) openGap(gap, reason, atNs)
        if (!isReadable) return
      }
      if (window.queue === 'probe') return bisection.probed(window, reason, atNs)
      size.failed(lengthNs)
      if (lengthNs <= WINDOW_MIN_NS) {
        bisection.quarantine(window, reason, given)
        return
      }
      caps = caps.filter((cap) => !same(cap.range, window))
      caps.push({ range: { fromNs: window.fromNs, toNs: window.toNs }, maxNs: half(window) })
    },

    limited(window, toNs, atNs) {
      const begun = active.get(window) ?? 0
      active.delete(window)
      // The API works.
      bisection.verify(begun)
      if (window.queue === 'probe' && toNs >= window.toNs) bisection.probed(window, 'read', atNs)
      const nextNs = atNs + LIMIT_RETRY
      if (window.queue === 'late') {
        lateFailures.set(window.fromNs, { count: lateFailures.get(window.fromNs)?.count ?? 0, nextNs })
        return
      }
      // One of these gaps is retried for all. A new gap must not delay the others.
      const waiting = openGaps().find((gap) => gap.reason === 'db_limit')
      // Records after `toNs` were not sent: that part stays missing.
      if (toNs <= window.fromNs) return
      ledger.growGap(
        { fromNs: window.fromNs, toNs },
        'db_limit',
        atNs,
        window.queue === 'gap' ? nextNs : (waiting?.nextNs ?? nextNs),
      )
    },

    released(window) {
      active.delete(window)
    },

    backlogNs(horizonNs) {
      const originNs = ledger.originNs()
      if (originNs === undefined || originNs >= horizonNs) return 0n
      return ledger.missing(originNs, horizonNs).reduce((sum, one) => sum + (one.toNs - one.fromNs), 0n)
    },
    get windowNs() {
      return size.lengthNs
    },
    restMs,
  }
}

function half(interval: Interval): bigint {
  return max((interval.toNs - interval.fromNs) / 2n, WINDOW_MIN_NS)
}
function same(one: Interval, other: Interval): boolean {
  return one.fromNs === other.fromNs && one.toNs === other.toNs
}

export interface WindowSize {
  /** Length of the next window, ns. */
  readonly lengthNs: bigint
  /** A window of this length had this many decoded bytes. */
  succeeded(lengthNs: bigint, bytes: number): void
  /** A window of this length was too much: the next one is at most half as long. */
  failed(lengthNs: bigint): void
}

/** Starts at `startNs`. Each success moves it towards the target, at most doubling and at most quartering per step, so that
 * one unusual window (night, a backup) does not change the size too much. */
export function createWindowSize(options: { bytesTarget: number; startNs: bigint; maxNs: bigint }): WindowSize {
  let lengthNs = min(options.startNs, options.maxNs)
  return {
    get lengthNs() {
      return lengthNs
    },
    succeeded(asked, bytes) {
      // Uses bytes per ns and not the ratio of lengths: the window may have been shorter than `lengthNs`.
      const ideal = bytes === 0 || asked === 0n ? options.maxNs : (asked * BigInt(options.bytesTarget)) / BigInt(bytes)
      lengthNs = min(max(ideal, lengthNs / 4n, WINDOW_MIN_NS), lengthNs * 2n, options.maxNs)
    },
    failed(asked) {
      lengthNs = max(min(lengthNs, asked / 2n), WINDOW_MIN_NS)
    },
  }
}
