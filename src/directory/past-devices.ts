/** The directory as of minutes that memory does not hold any more, from `tailnet_device`. A day is read at once, because whoever asks for one minute asks
 * for its neighbours next. */
import { type Clock, DAY, MINUTE } from '../base/clock.ts'
import { createDeviceHistory, type DeviceHistory } from './device-history.ts'
import type { DeviceStore } from './device-store.ts'
import type { DeviceVersion } from './device-version.ts'

export interface PastDevices {
  /** What was valid in this minute. Rejects with a CollectorError (stage `sink`), or with the signal's reason. */
  load(minute: number, signal: AbortSignal): Promise<DeviceHistory>
}

/** Every device that is known is written again at 00:00, so this holds all of them unless the service was off. */
const BEFORE_NS = 2n * DAY
const DAY_MINUTES = 24 * 60
const DAYS_KEPT = 2
/** A day that was read is read again after this time: other services may write too. */
const KEPT_MS = 600_000

export function createPastDevices(deps: {
  readonly store: Pick<DeviceStore, 'devices' | 'newestDevices'>
  /** What memory holds. */
  readonly history: Pick<DeviceHistory, 'nodes' | 'versionsOf'>
  /** The source clock, ns. */
  readonly nowNs: () => bigint
  readonly clock: Pick<Clock, 'monotonicMs'>
}): PastDevices {
  const { store, history, clock } = deps
  const days = new Map<number, { readonly found: Promise<DeviceHistory>; readonly readMs: number }>()

  async function read(day: number, signal: AbortSignal): Promise<DeviceHistory> {
    const beginNs = BigInt(day) * DAY
    const beginMinute = day * DAY_MINUTES
    const found = createDeviceHistory()
    const put = (versions: Iterable<DeviceVersion>) => {
      for (const version of versions) if (!isGone(version, beginNs)) found.restore(version)
    }
    put(await store.devices(beginNs - BEFORE_NS, beginNs + DAY, signal))
    const missing = new Set<string>()
    for (const node of history.nodes()) if (found.at(node, beginMinute, false) === undefined) missing.add(node)
    if (missing.size > 0) put(await store.newestDevices(beginNs - BEFORE_NS, signal))
    // Those that came later: their first entry counts backwards.
    for (const node of missing) if (found.versionsOf(node).length > 0) missing.delete(node)
    const nowNs = deps.nowNs() + MINUTE
    for (let fromNs = beginNs + DAY; missing.size > 0 && fromNs < nowNs; fromNs += BEFORE_NS) {
      for (const version of await store.devices(fromNs, fromNs + BEFORE_NS, signal)) {
        if (missing.delete(version.node)) found.restore(version)
      }
    }
    // What is not written yet.
    for (const node of history.nodes()) for (const version of history.versionsOf(node)) found.restore(version)
    return found
  }

  return {
    async load(minute, signal) {
      const day = Math.floor(minute / DAY_MINUTES)
      const nowMs = clock.monotonicMs()
      const known = days.get(day)
      if (known !== undefined && nowMs - known.readMs < KEPT_MS) return known.found
      const found = read(day, signal)
      days.delete(day)
      days.set(day, { found, readMs: nowMs })
      for (const oldest of days.keys()) if (days.size > DAYS_KEPT) days.delete(oldest)
      try {
        return await found
      } catch (error) {
        days.delete(day)
        throw error
      }
    },
  }
}

/** Devices that were gone for 30 days are forgotten. */
export const FORGOTTEN_AFTER_NS = 30n * DAY

function isGone({ loggedNs }: DeviceVersion, atNs: bigint): boolean {
  return loggedNs < atNs - FORGOTTEN_AFTER_NS
}
