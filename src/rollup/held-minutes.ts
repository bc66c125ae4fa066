/** The raw points of minutes that this process has read. Points of a window that is being read wait until it is done; a window that fails leaves
 * nothing. A copy of a point takes its place, as in the database. */
import { MINUTE } from '../base/clock.ts'
import type { Points } from '../flatten/points.ts'
import { createIntake, createWaiting, type Intake, type Waiting } from './intake.ts'
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

/** The begin of the minute of a time, ns. */
export function minuteBegin(startNs: bigint): bigint {
  return startNs - (((startNs % MINUTE) + MINUTE) % MINUTE)
}

export function createHeldMinutes(): HeldMinutes {
  const minutes = new Map<bigint, Held>()
  /** The minutes of each window that is being read. */
  const windows = new Map<object, Set<Held>>()

  function heldOf(startNs: bigint): Held {
    let held = minutes.get(startNs)
    if (held === undefined) {
      const texts = createTextIds()
      const points = createRawPoints(startNs, texts)
      held = { startNs, texts, intake: createIntake(texts), points, pending: new Map() }
      minutes.set(startNs, held)
    }
    return held
  }

  function take(window: object): Iterable<Held> {
    const mine = windows.get(window) ?? []
    windows.delete(window)
    return mine
  }

  return {
    add(window, points) {
      const startNs = minuteBegin(points.startNs)
      const held = heldOf(startNs)
      let mine = held.pending.get(window)
      if (mine === undefined) {
        held.pending.set(window, (mine = createWaiting()))
        const all = windows.get(window)
        if (all === undefined) windows.set(window, new Set([held]))
        else all.add(held)
      }
      held.intake.add(mine, points, Number(points.startNs - startNs))
    },
    done(window) {
      const minutesDone: DoneMinute[] = []
      for (const held of take(window)) {
        const waiting = held.pending.get(window)
        held.pending.delete(window)
        if (waiting === undefined || minutes.get(held.startNs) !== held) continue
        const { startNs, texts, points } = held
        minutesDone.push({ startNs, texts, points, isContradicted: !held.intake.addAll(points, waiting) })
      }
      return minutesDone
    },
    failed(window) {
      for (const held of take(window)) {
        held.pending.delete(window)
        if (held.points.count === 0 && held.pending.size === 0 && minutes.get(held.startNs) === held)
          minutes.delete(held.startNs)
      }
    },
    find: (startNs) => minutes.get(startNs),
    dropIfIdle(startNs) {
      if (minutes.get(startNs)?.pending.size === 0) minutes.delete(startNs)
    },
    drop: (startNs) => void minutes.delete(startNs),
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
