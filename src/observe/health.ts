/** How the service is, room by room, each with a sentence that ends with the mend. Only `error` is worth a 503: a warning passes by
 * itself or harms nobody. */
import type { Clock } from '../base/clock.ts'
import { isoOf } from '../base/format.ts'
import { OBSERVERS } from '../pipeline/observers/failures.ts'

export const ROOMS = ['source', 'sink', 'state', 'names', 'line', 'clock', ...OBSERVERS, 'log'] as const
export type Room = (typeof ROOMS)[number]
export const STATUSES = ['ok', 'warning', 'error'] as const
export type Status = (typeof STATUSES)[number]

export interface RoomHealth {
  readonly room: Room
  readonly status: Status
  /** When the status or the code changed last; RFC 3339, local clock. */
  readonly since: string
  /** Present unless `ok`: which trouble, and what to do. */
  readonly code?: string
  readonly text?: string
}

export interface HealthState {
  /** The worst of the rooms. */
  readonly status: Status
  /** The sentence of the worst room; `ok` has none. */
  readonly text?: string
  /** Rooms that have told something, in the order of ROOMS. */
  readonly rooms: readonly RoomHealth[]
}

export interface Health {
  /** `condition` names the one who tells: parts that know different things about a room (the circuit breaker, a limit, the checkpoint) each
   * have their own, so that the `ok` of one never hides the trouble of another. The room is as bad as its worst condition. */
  set(room: Room, status: Status, code?: string, text?: string, condition?: string): void
  state(): HealthState
  /** Ready: settings are good, the state file is open, HTTP listens. Stays true while the API or the database are away, and becomes
   * false when the service stops. */
  setReady(isReady: boolean): void
  isReady(): boolean
  /** Calls `listener` after each change of a status or code; returns what ends that. */
  onChange(listener: () => void): () => void
}

export function createHealth({ clock }: { clock: Pick<Clock, 'now'> }): Health {
  const rooms = new Map<Room, Map<string, RoomHealth>>()
  const listeners = new Set<() => void>()
  let isReady = false

  function changed(): void {
    for (const listener of listeners) listener()
  }

  /** The worst condition; among equals the one that is so the longest, so that the sentence is steady. */
  function worstOf(room: Room): RoomHealth | undefined {
    const conditions = [...(rooms.get(room)?.values() ?? [])]
    return STATUSES.toReversed()
      .map((status) => conditions.filter((one) => one.status === status))
      .find((found) => found.length > 0)
      ?.reduce((oldest, one) => (one.since < oldest.since ? one : oldest))
  }

  return {
    set(room, status, code, text, condition = '') {
      const shown = worstOf(room)
      const conditions = rooms.get(room) ?? new Map<string, RoomHealth>()
      rooms.set(room, conditions)
      const before = conditions.get(condition)
      const isSame = before?.status === status && before.code === code
      const since = isSame ? before.since : isoOf(clock.now())
      conditions.set(condition, {
        room,
        status,
        since,
        ...(code === undefined ? {} : { code }),
        ...(text === undefined ? {} : { text }),
      })
      const now = worstOf(room)
      if (shown?.status !== now?.status || shown?.code !== now?.code) changed()
    },
    state() {
      const told = ROOMS.flatMap((room) => worstOf(room) ?? [])
      const status = STATUSES.findLast((one) => told.some((room) => room.status === one)) ?? 'ok'
      const text = status === 'ok' ? undefined : told.find((room) => room.status === status)?.text
      return { status, ...(text === undefined ? {} : { text }), rooms: told }
    },
    setReady(value) {
      if (value === isReady) return
      isReady = value
      changed()
    },
    isReady: () => isReady,
    onChange(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
}
