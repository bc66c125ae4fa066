/** names/: device names as of a time. A name is part of a point's identity, so a message that is read again must get the name
 * that it got the first time, even when the device was renamed in between. */
import type { Device } from '../source/source.ts'

export interface NameRecord {
  readonly name: string
  readonly fromNs: bigint
  readonly toNs: bigint
}

export interface Names {
  /** The short name that the device with this address or stable id had at `atNs`, as far as was known then; undefined when
   * it was unknown then. Stable: later observations never change an answer for an earlier time, except before the first
   * observation of all, when nothing had been read yet. */
  nameOf(addressOrId: string, atNs: bigint): string | undefined
  /** False: no device ever had an address or id with this `hashBytes` (source/parse/address.ts), so `nameOf` need not be asked.
   * Optional and only for speed: asking for a text that nobody ever saw costs more than all else that is done with an entry. */
  mayKnow?(hash: number): boolean
  /** What `nameOf` answers, and from when to when (exclusive, ns) that is the answer as long as `version` stays; for those who keep answers.
   * Optional and only for speed. */
  recordOf?(addressOrId: string, atNs: bigint): NameRecord | undefined
  /** Takes an answer of the devices API, observed at `atNs` (local clock). Durable when it returns. */
  observe(devices: readonly Device[], atNs: bigint): void
  /** Reading has begun, perhaps in an earlier process: what is learnt now counts from now on. */
  hasBegun(): boolean
  /** Reading begins: from now on "unknown" is a fact too. Called before the first window is read. Idempotent. */
  readingBegins(atNs: bigint): void
  /** Devices known now. */
  count(): number
  /** Grows by one whenever answers may have changed: caches compare it. */
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
