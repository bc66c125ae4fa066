/** Reads back at a start what `tailnet_device` holds, so that a lost state file, another machine or a takeover goes on with the names that were given. */
import type { Logger } from 'pino'
import { backoffAfter } from '../base/backoff.ts'
import { type Clock, MINUTE } from '../base/clock.ts'
import type { DeviceHistory } from './device-history.ts'
import type { DeviceStore } from './device-store.ts'
import { minuteOf } from './device-version.ts'
import { FORGOTTEN_AFTER_NS } from './past-devices.ts'

export interface ReadBack {
  /** From this minute on, memory holds everything that was valid. */
  readonly heldFrom: number
  /** The database takes and returns devices. */
  readonly hasDevices: boolean
}

const BACKOFF = { minMs: 2_000, maxMs: 60_000 }

/** Puts what was valid in the last minutes into the history. Tries until it succeeds: rejects with the signal's reason only. */
export async function readBack(
  deps: {
    readonly store: DeviceStore
    /** The source clock, ns. */
    readonly nowNs: () => bigint
    readonly clock: Pick<Clock, 'sleep'>
    readonly log: Logger
  },
  history: DeviceHistory,
  heldMinutes: number,
  signal: AbortSignal,
): Promise<ReadBack> {
  for (let failures = 1; ; failures += 1) {
    try {
      return await readOnce(deps, history, heldMinutes, signal)
    } catch (error) {
      signal.throwIfAborted()
      const retryMs = backoffAfter(failures, BACKOFF)
      deps.log.warn({ retryMs, err: error }, 'devices cannot be read back from the database')
      await deps.clock.sleep(retryMs, signal)
    }
  }
}

async function readOnce(
  { store, nowNs }: { readonly store: DeviceStore; readonly nowNs: () => bigint },
  history: DeviceHistory,
  heldMinutes: number,
  signal: AbortSignal,
): Promise<ReadBack> {
  if (!(await store.canQuery(signal))) return { heldFrom: Number.NEGATIVE_INFINITY, hasDevices: false }
  const now = minuteOf(nowNs())
  const heldFrom = now - heldMinutes
  const beginNs = BigInt(heldFrom) * MINUTE
  const before = await store.newestDevices(beginNs, signal)
  // What was learnt in this minute is valid from the next one on.
  const since = await store.devices(beginNs, BigInt(now + 2) * MINUTE, signal)
  if (history.count === 0 && before.length === 0 && since.length === 0)
    return { heldFrom: Number.NEGATIVE_INFINITY, hasDevices: true }
  for (const version of [...before, ...since])
    if (version.loggedNs >= nowNs() - FORGOTTEN_AFTER_NS) history.restore(version)
  return { heldFrom, hasDevices: true }
}
