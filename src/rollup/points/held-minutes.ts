/** The raw points of minutes that this process has read. Points of a window that is being read wait until it is done; a window that fails leaves
 * nothing, and one with too many points too. A copy of a point takes its place, as in the database. */
import { MINUTE } from '../../base/clock.ts'
import { highOf, lowOf } from '../../base/int64.ts'
import type { Points } from '../../flatten/points.ts'
import { clearWaiting, createIntake, createWaiting, type Intake, type Waiting } from './intake.ts'
import { createRawPoints, type RawPoints } from './raw-points.ts'
import { createTextIds, type TextIds } from './text-ids.ts'

export interface HeldMinute {
  /** Begin, ns. */
  readonly startNs: bigint
  readonly texts: TextIds
  /** Points of windows that are done. */
  readonly points: RawPoints
}

export interface DoneMinute extends HeldMinute {
  /** A message was there already with other points: what the minute has, only the database knows. */
  readonly isContradicted: boolean
  /** The window had too many points to wait: none of them is here. */
  readonly isPartial: boolean
}

export interface HeldMinutes {
  /** The points of one message of a window that is being read. `window` is any object that stands for it. */
  add(window: object, points: Points): void
  /** The window is done: its points count. Returns the minutes that they belong to. */
  done(window: object): readonly DoneMinute[]
  failed(window: object): void
  find(startNs: bigint): HeldMinute | undefined
  /** Forgets a minute, and what is being read of it. */
  drop(startNs: bigint): void
  /** Forgets it unless something of it is being read. */
  dropIfIdle(startNs: bigint): void
  all(): Iterable<HeldMinute>
  /** Memory of all points and texts, about. */
  readonly bytes: number
}

interface Held {
  readonly startNs: bigint
  readonly texts: TextIds
  readonly intake: Intake
  readonly points: RawPoints
  readonly pending: Map<object, Waiting>
}

/** The minutes of a window that is being read. */
interface Reading {
  readonly minutes: Set<Held>
  /** Points that wait. */
  points: number
  isTooLarge: boolean
}

const MINUTE_NS = Number(MINUTE)
/** So many points of one window wait, of 60 bytes each; an answer of the usual 8 MiB has some 50,000. */
const WAITING_MAX = 1 << 18
const SMALL = { texts: 64, series: 64, messages: 64 }
/** Memory that is kept for windows to come: tables, and counters of one of them. */
const SPARE_MAX = 8
const SPARE_COUNTERS_MAX = 1 << 18

/** The begin of the minute of a time, ns. */
export function minuteBegin(startNs: bigint): bigint {
  return startNs - (((startNs % MINUTE) + MINUTE) % MINUTE)
}

export function createHeldMinutes(): HeldMinutes {
  /** By minutes since the epoch. */
  const minutes = new Map<number, Held>()
  const windows = new Map<object, Reading>()
  /** Memory of points that waited, for those that will. */
  const spare: Waiting[] = []
  /** What the largest minute held: new ones will be about as large. Of older ones only what comes late is read. */
  let sizes = SMALL
  let newest = 0

  const minuteOf = (startNs: bigint) => Number(startNs / MINUTE)

  function open(minute: number): Held {
    const startNs = BigInt(minute) * MINUTE
    const hint = minute > newest ? sizes : SMALL
    newest = Math.max(minute, newest)
    const texts = createTextIds(hint.texts)
    const points = createRawPoints(startNs, texts, hint.series)
    const held = { startNs, texts, intake: createIntake(texts, hint.messages), points, pending: new Map() }
    minutes.set(minute, held)
    return held
  }

  function waitingOf(held: Held, window: object, reading: Reading): Waiting {
    let mine = held.pending.get(window)
    if (mine === undefined) {
      held.pending.set(window, (mine = spare.pop() ?? createWaiting()))
      reading.minutes.add(held)
    }
    return mine
  }

  /** Gives back the memory of what waits. The minutes are still known. */
  function giveUp(window: object, reading: Reading): void {
    reading.isTooLarge = true
    for (const { pending } of reading.minutes) if (pending.has(window)) pending.set(window, createWaiting())
  }

  /** The minutes of a window, each with its points. */
  function* take(window: object): Generator<readonly [Held, Waiting]> {
    for (const held of windows.get(window)?.minutes ?? []) {
      const waiting = held.pending.get(window)
      if (waiting === undefined) continue
      held.pending.delete(window)
      if (isHeld(held)) yield [held, waiting]
      clearWaiting(waiting)
      if (spare.length < SPARE_MAX && waiting.counters.length < SPARE_COUNTERS_MAX) spare.push(waiting)
    }
    windows.delete(window)
  }

  const isHeld = (held: Held) => minutes.get(minuteOf(held.startNs)) === held
  const next = (count: number) => Math.max(64, Math.ceil(count * 1.1))

  return {
    add(window, points) {
      const { startNs } = points
      // As a bigint each step would make an object, for every message.
      const high = highOf(startNs)
      const low = lowOf(startNs)
      const upper = high * 65_536 + (low >>> 16)
      const upperMinutes = Math.floor(upper / MINUTE_NS)
      const rest = (upper - upperMinutes * MINUTE_NS) * 65_536 + (low & 0xffff)
      const minute = upperMinutes * 65_536 + Math.floor(rest / MINUTE_NS)
      const held = minutes.get(minute) ?? open(minute)
      let reading = windows.get(window)
      if (reading === undefined) windows.set(window, (reading = { minutes: new Set(), points: 0, isTooLarge: false }))
      const waiting = waitingOf(held, window, reading)
      if (reading.isTooLarge) return
      reading.points += points.count
      if (reading.points > WAITING_MAX) giveUp(window, reading)
      else held.intake.add(waiting, points, rest % MINUTE_NS)
    },
    done(window) {
      const minutesDone: DoneMinute[] = []
      const isPartial = windows.get(window)?.isTooLarge === true
      for (const [{ startNs, texts, points, intake }, waiting] of take(window)) {
        minutesDone.push({ startNs, texts, points, isContradicted: !intake.addAll(points, waiting), isPartial })
        if (points.seriesCount <= sizes.series) continue
        sizes = { texts: next(texts.count), series: next(points.seriesCount), messages: next(intake.count) }
      }
      return minutesDone
    },
    failed(window) {
      for (const [{ startNs, points, pending }] of take(window))
        if (points.count === 0 && pending.size === 0) minutes.delete(minuteOf(startNs))
    },
    find: (startNs) => minutes.get(minuteOf(startNs)),
    dropIfIdle(startNs) {
      if (minutes.get(minuteOf(startNs))?.pending.size === 0) minutes.delete(minuteOf(startNs))
    },
    drop: (startNs) => void minutes.delete(minuteOf(startNs)),
    all: () => minutes.values(),
    get bytes() {
      let bytes = 0
      for (const { texts, points, intake, pending } of minutes.values()) {
        bytes += texts.bytes + points.bytes + intake.bytes
        for (const { cells, counters, messages } of pending.values())
          bytes += cells.byteLength + counters.byteLength + messages.byteLength
      }
      return bytes
    },
  }
}
