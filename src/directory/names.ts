/** The name history: which name a device had at a time. A name is part of a point's identity, so a message that is read again must get the same
 * name as the first time, even if the device was renamed since. */
import type { Device } from '../source/source.ts'

export interface NameRecord {
  readonly name: string
  readonly fromNs: bigint
  readonly toNs: bigint
}

export interface Names {
  /** The short name that the device with this address or stable id had at `atNs`, as far as it was known then; otherwise undefined. Later
   * observations never change the result for an earlier time, except the very first one, when nothing had been read yet. */
  nameOf(addressOrId: string, atNs: bigint): string | undefined
  /** False: no device ever had an address or id with this `hashBytes` (base/hash.ts), so `nameOf` would return undefined.
   * Optional and only for speed: `nameOf` for an unknown address takes longer than everything else that is done with an entry. */
  mayKnow?(hash: number): boolean
  /** The result of `nameOf` with the range of time (until `toNs`, exclusive) for which it is the same while `version` stays, for caches. Optional and
   * only for speed. */
  recordOf?(addressOrId: string, atNs: bigint): NameRecord | undefined
  /** Adds the devices of one API response, received at `atNs` (local clock). Durable when it returns. */
  observe(devices: readonly Device[], atNs: bigint): void
  /** Reading has begun, perhaps in an earlier process: names that arrive now are valid from now on. */
  hasBegun(): boolean
  /** Reading begins: from now on "unknown" is a fact too. Called before the first window is read. Idempotent. */
  readingBegins(atNs: bigint): void
  /** Devices known now. */
  count(): number
  /** Grows by one whenever names may have changed. Caches compare it. */
  version(): number
}

/** The same names, whose observations are also passed on to `observer`. */
export function alsoObserved(names: Names, observer: (devices: readonly Device[]) => void): Names {
  return {
    ...names,
    observe(devices, atNs) {
      names.observe(devices, atNs)
      observer(devices)
    },
  }
}
