/** The minutes that this process has read: their points in memory, and which of them memory holds completely. */
import { MINUTE } from '../../base/clock.ts'
import type { Ledger } from '../../ledger/ledger.ts'
import type { Unsettled } from '../../ledger/unsettled.ts'
import type { ObservedResult, ObservedWindow, Observer } from '../../observers/observers.ts'
import { reportersOf } from '../make/claims.ts'
import type { RollupMetrics } from '../metrics.ts'
import type { MinuteFacts } from '../settle/minute-facts.ts'
import { type ClockOffsets, createClockOffsets } from './clock-offsets.ts'
import { createCoverage } from './coverage.ts'
import { createHeldMinutes, type HeldMinute, minuteBegin } from './held-minutes.ts'

export interface ReadMinutes {
  readonly observer: Observer
  readonly clockOffsets: ClockOffsets
  /** What of a minute was read here, if nothing of it that was read is missing. */
  current(entry: Unsettled): HeldMinute | undefined
  /** All points of a minute, if memory has them. */
  whole(entry: Unsettled): HeldMinute | undefined
  has(startNs: bigint): boolean
  /** Gives up the points of a minute that is not on the list when `isOver` says so, and the oldest ones beyond the limit of memory. `isKnown`: something is kept of
   * the minute elsewhere; what is neither known nor listed goes. Returns the bytes that are left. */
  tidy(isKnown: (startNs: bigint) => boolean, isOver: (startNs: bigint) => boolean): number
}

/** Memory for points; beyond it the oldest minutes go first, and are made from the database if need be. */
const HELD_BYTES_MAX = 48 << 20
/** Minutes that memory gave up are remembered up to this number. */
const DROPPED_MAX = 100_000

export function createReadMinutes(deps: {
  readonly ledger: Pick<Ledger, 'unsettled' | 'settled'>
  readonly facts: MinuteFacts
  readonly metrics: Pick<RollupMetrics, 'skipped'>
  /** False: the database has no queries, so what memory lacks cannot be made. */
  readonly canQuery: () => boolean
  /** Memory gave up a minute: from now on it is made from the database. */
  readonly onDropped: (startNs: bigint) => void
}): ReadMinutes {
  const { ledger, facts, metrics, canQuery } = deps
  const { unsettled } = ledger
  const held = createHeldMinutes()
  const coverage = createCoverage()
  const clockOffsets = createClockOffsets()
  /** Points of every change of the list up to this number are in memory. */
  const readNumbers = new Map<bigint, number>()
  /** Minutes whose points memory had and gave up. */
  const dropped = new Set<bigint>()
  /** Minutes that a late pass, which is being read, has seen. */
  const passes = new Map<object, Set<bigint>>()

  const isBehind = ({ startNs, read }: Unsettled) => (readNumbers.get(startNs) ?? 0) < read

  function points(window: ObservedWindow, message: Parameters<Observer['points']>[1]): void {
    if (window.previous !== undefined) {
      // A late pass is mostly as before. Where it differs, its minutes are on the list and are made from the database.
      const startNs = minuteBegin(message.startNs)
      const starts = passes.get(window)
      if (starts === undefined) passes.set(window, new Set([startNs]))
      else starts.add(startNs)
      return
    }
    held.add(window, message)
    clockOffsets.add(message.node, message.startNs, message.loggedNs)
  }

  function done(window: ObservedWindow, { doneToNs }: ObservedResult): void {
    for (const startNs of passes.get(window) ?? []) {
      const entry = unsettled.find('minute', startNs)
      // As before, unless the pass put it on the list.
      if (entry === undefined || !isBehind(entry)) continue
      if (canQuery()) drop(startNs)
      else {
        metrics.skipped('no_queries')
        readNumbers.set(startNs, entry.read)
      }
    }
    passes.delete(window)
    if (window.previous !== undefined) return
    if (doneToNs === undefined) return held.failed(window)
    const range = { fromNs: window.fromNs, toNs: doneToNs }
    // A first reading of what was read here already: the database lost it, and perhaps rows as well.
    const isLost = window.pass === 1 && coverage.touches(range)
    const touched = held.done(window)
    if (isLost) {
      coverage.remove(range)
      for (const { startNs } of touched) {
        drop(startNs)
        facts.forgetRecord(Number(startNs / MINUTE))
      }
      return
    }
    coverage.add(range)
    for (const minute of touched) {
      if (minute.isPartial) {
        drop(minute.startNs)
        continue
      }
      if (minute.isContradicted) {
        if (canQuery()) {
          drop(minute.startNs)
          continue
        }
        metrics.skipped('no_queries')
      }
      const entry = unsettled.find('minute', minute.startNs)
      if (entry !== undefined) readNumbers.set(minute.startNs, entry.read)
      facts.addHeard(Number(minute.startNs / MINUTE), reportersOf(minute.points, minute.texts))
    }
  }

  function failed(window: ObservedWindow): void {
    passes.delete(window)
    held.failed(window)
  }

  function drop(startNs: bigint): void {
    held.drop(startNs)
    readNumbers.delete(startNs)
    deps.onDropped(startNs)
    dropped.add(startNs)
    if (dropped.size <= DROPPED_MAX) return
    // Nothing that is older can be told apart any more.
    const newest = [...dropped].reduce((last, one) => (one > last ? one : last))
    coverage.remove({ fromNs: -(1n << 62n), toNs: newest })
    dropped.clear()
  }

  const current = (entry: Unsettled) => (isBehind(entry) ? undefined : held.find(entry.startNs))

  return {
    observer: { points, done, failed },
    clockOffsets,
    current,
    whole(entry) {
      if (dropped.has(entry.startNs) || !coverage.holds(entry.startNs, ledger.settled())) return undefined
      return current(entry)
    },
    has: (startNs) => held.find(startNs) !== undefined,
    tidy(isKnown, isOver) {
      const isListed = (startNs: bigint) => unsettled.find('minute', startNs) !== undefined
      for (const { startNs } of [...held.all()]) {
        if (isListed(startNs)) continue
        if (!isKnown(startNs) && !readNumbers.has(startNs)) held.dropIfIdle(startNs)
        else if (isOver(startNs)) drop(startNs)
      }
      let { bytes } = held
      for (const { startNs, points, texts } of [...held.all()].toSorted((one, other) =>
        one.startNs < other.startNs ? -1 : 1,
      )) {
        if (bytes <= HELD_BYTES_MAX) break
        bytes -= points.bytes + texts.bytes
        drop(startNs)
      }
      for (const startNs of readNumbers.keys())
        if (held.find(startNs) === undefined && !isListed(startNs)) readNumbers.delete(startNs)
      return bytes
    },
  }
}
