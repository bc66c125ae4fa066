/** Who a node is through time: name, owner, OS and addresses, each with the minute from which it is valid. One answer for one minute, whoever asks and
 * in whatever order messages were read.
 *
 * Three sources, by precedence and never by recency: the devices API; what a node says about itself, when the message is its own, which is the only
 * thing that Tailscale verifies; what others say about it, only while neither of the first two knows the node or the address. So a node that lies
 * renames nobody but itself.
 *
 * Who has an address is decided when a claim is learnt, and the version of the node that loses it says so. So versions hold no two claims to one
 * address, and what is written and read back gives the same answers without knowing how they came about. */
import { DAY } from '../base/clock.ts'
import { createDeviceRows } from './device-rows.ts'
import {
  type DeviceEntry,
  type DeviceSource,
  type DeviceVersion,
  type Minute,
  minuteOf,
  SOURCES,
} from './device-version.ts'

export interface DeviceHistory {
  readonly count: number
  /** From this minute on, everything that was valid is held. */
  readonly heldFrom: Minute
  /** Takes an entry that was learnt at this time (source clock, ns). Returns the versions that it makes: of this node, and of nodes that lose an
   * address to it; none when it changes nothing. */
  learn(entry: DeviceEntry, learntNs: bigint): readonly DeviceVersion[]
  /** Puts back what was written before, such as after a restart. */
  restore(version: DeviceVersion): void
  /** The version of a node that is valid in a minute. With `countsBackwards` its first one counts before its time too. */
  at(node: string, minute: Minute, countsBackwards: boolean): DeviceVersion | undefined
  /** The node that has an address in a minute. */
  ownerOf(address: string, minute: Minute, countsBackwards: boolean): string | undefined
  newestOf(node: string): DeviceVersion | undefined
  /** What is known of a node is of a higher source than this one, so that nothing can be learnt from it. `loggedNs`: of the message. */
  outranks(node: string, source: DeviceSource, loggedNs: bigint): boolean
  /** Addresses that another node was refused in the day before this time, because their owner says that it has them, and no device list decides. */
  contested(nowNs: bigint): number
  /** The newest version of each device. */
  newest(): Iterable<DeviceVersion>
  /** All versions of this node that are held, ascending. */
  versionsOf(node: string): readonly DeviceVersion[]
  nodes(): Iterable<string>
  /** Of these nodes, forgets versions that were no longer valid in this minute, and those whose newest entry was logged before `loggedBeforeNs`; returns
   * these. */
  forget(nodes: Iterable<string>, minute: Minute, loggedBeforeNs: bigint): readonly string[]
}

/** Contested addresses that are remembered. */
const CONTESTED_MAX = 1_000

export function createDeviceHistory(): DeviceHistory {
  const devices = createDeviceRows()
  const contested = new Map<string, bigint>()
  let heldFrom = Number.NEGATIVE_INFINITY

  const newestOf = (node: string) => devices.get(node)?.versions.at(-1)

  function put(version: DeviceVersion, sinceNs: bigint): void {
    const before = devices.get(version.node)?.versions ?? []
    const versions = [...before.filter(({ from }) => from !== version.from), version]
    if (before.length > 0) versions.sort((one, other) => one.from - other.from)
    devices.set(version.node, { versions, sinceNs })
  }

  /** Whose the address is by the newest versions, other than this node. */
  function otherOwner(address: string, node: string): DeviceVersion | undefined {
    for (const one of devices.nodesWith(address)) {
      const newest = one === node ? undefined : newestOf(one)
      if (newest?.addresses.includes(address)) return newest
    }
    return undefined
  }

  /** True when nobody has the address who has the better claim. */
  function mayHave(address: string, entry: DeviceEntry): boolean {
    const owner = otherOwner(address, entry.node)
    if (owner === undefined || rankOf(entry) < rankOf(owner)) return true
    if (rankOf(entry) > rankOf(owner)) return entry.source === 'self' && !isConfirmed(owner, entry.loggedNs)
    // Within one answer of the API each address was given to one device before, so the owner is not in this list, or lost it.
    if (entry.source === 'api') return entry.loggedNs >= owner.loggedNs
    if (!isConfirmed(owner, entry.loggedNs)) return true
    if (entry.source === 'self') contest(address, entry.loggedNs)
    const { sinceNs } = devices.get(owner.node)!
    return entry.loggedNs === sinceNs ? entry.node < owner.node : entry.loggedNs < sinceNs
  }

  function contest(address: string, loggedNs: bigint): void {
    if (contested.size < CONTESTED_MAX || contested.has(address)) contested.set(address, loggedNs)
  }

  /** The owner's version without the addresses that it loses. */
  function lose(addresses: readonly string[], node: string, from: Minute): DeviceVersion[] {
    const lost: DeviceVersion[] = []
    for (const address of addresses) {
      const owner = otherOwner(address, node)
      if (owner === undefined) continue
      const left = owner.addresses.filter((one) => !addresses.includes(one))
      const version = { ...owner, addresses: left, from: Math.max(from, owner.from) }
      put(version, devices.get(owner.node)!.sinceNs)
      lost.push(version)
    }
    return lost
  }

  function at(node: string, minute: Minute, countsBackwards: boolean): DeviceVersion | undefined {
    const all = devices.get(node)?.versions
    return all?.findLast((one) => one.from <= minute) ?? (countsBackwards ? all?.[0] : undefined)
  }

  return {
    get count() {
      return devices.count
    },
    get heldFrom() {
      return heldFrom
    },

    learn(entry, learntNs) {
      const known = devices.get(entry.node)
      const newest = known?.versions.at(-1)
      if (newest !== undefined && isOutdated(entry, newest)) return []
      const addresses = entry.addresses.filter((address) => mayHave(address, entry))
      const next = { ...entry, addresses }
      const isLater = newest === undefined || entry.loggedNs > newest.loggedNs
      if (newest !== undefined && isSame(newest, next)) {
        if (isLater)
          devices.set(entry.node, {
            ...known!,
            versions: [...known!.versions.slice(0, -1), { ...newest, loggedNs: entry.loggedNs }],
          })
        return []
      }
      // Others do not contradict each other: the first who said something is believed as long as it is repeated.
      if (newest?.source === 'peer' && entry.source === 'peer' && isConfirmed(newest, entry.loggedNs)) return []
      // A clock that went back changes nothing that was valid before.
      const from = Math.max(minuteOf(learntNs) + 1, newest?.from ?? 0)
      const lost = lose(addresses, entry.node, from)
      const version = { ...next, from }
      const keepsAddresses = newest !== undefined && addresses.every((one) => newest.addresses.includes(one))
      put(version, keepsAddresses ? known!.sinceNs : entry.loggedNs)
      return [version, ...lost]
    },

    restore: (version) => put(version, devices.get(version.node)?.sinceNs ?? version.loggedNs),
    at,

    ownerOf(address, minute, countsBackwards) {
      let best: DeviceVersion | undefined
      for (const node of devices.nodesWith(address)) {
        const version = at(node, minute, countsBackwards)
        if (!version?.addresses.includes(address)) continue
        if (best === undefined || isBefore(version, best, minute)) best = version
      }
      return best?.node
    },

    newestOf,

    outranks(node, source, loggedNs) {
      const newest = newestOf(node)
      return newest !== undefined && isOutranked({ source, loggedNs }, newest)
    },

    contested(nowNs) {
      for (const [address, loggedNs] of contested) if (nowNs - loggedNs > DAY) contested.delete(address)
      return contested.size
    },

    versionsOf: (node) => devices.get(node)?.versions ?? [],

    *newest() {
      for (const node of devices.nodes()) yield devices.get(node)!.versions.at(-1)!
    },

    nodes: devices.nodes,

    forget(nodes, minute, loggedBeforeNs) {
      const forgotten: string[] = []
      for (const node of nodes) {
        const { versions, sinceNs } = devices.get(node)!
        if (versions.at(-1)!.loggedNs < loggedBeforeNs) {
          devices.delete(node)
          forgotten.push(node)
          continue
        }
        const first = versions.findLastIndex((one) => one.from <= minute)
        if (first <= 0) continue
        const left = versions.slice(first)
        // What was only said again is one version.
        let same = first
        while (same > 0 && isSame(versions[same - 1]!, left[0]!)) same -= 1
        left[0] = { ...left[0]!, from: versions[same]!.from }
        devices.set(node, { versions: left, sinceNs })
        if (same > 0) heldFrom = Math.max(heldFrom, left[0].from)
      }
      return forgotten
    },
  }
}

/** What was said counts for a day after it was last said: so a device list that cannot be read any more does not stand in the way for good. */
function isConfirmed(version: DeviceVersion, nowNs: bigint): boolean {
  return nowNs - version.loggedNs < DAY
}

/** A lower source never changes what a higher one said; within one source an older message changes nothing. */
function isOutdated(entry: DeviceEntry, newest: DeviceVersion): boolean {
  return isOutranked(entry, newest) || (entry.source === newest.source && entry.loggedNs < newest.loggedNs)
}

function isOutranked(entry: Pick<DeviceEntry, 'source' | 'loggedNs'>, newest: DeviceVersion): boolean {
  return rankOf(entry) > rankOf(newest) && (entry.source === 'peer' || isConfirmed(newest, entry.loggedNs))
}

/** 0 for the source that is believed first. */
function rankOf({ source }: Pick<DeviceEntry, 'source'>): number {
  return SOURCES.indexOf(source)
}

function isSame(one: DeviceEntry, other: DeviceEntry): boolean {
  return (
    one.source === other.source &&
    one.name === other.name &&
    one.owner === other.owner &&
    one.os === other.os &&
    one.addresses.length === other.addresses.length &&
    one.addresses.every((address, i) => address === other.addresses[i])
  )
}

/** Which of two versions has an address that both hold in a minute: what is valid then before what counts backwards, of the latter the earlier one; the
 * others can only come from two services that wrote at the same time. */
function isBefore(one: DeviceVersion, other: DeviceVersion, minute: Minute): boolean {
  const isValid = one.from <= minute
  if (isValid !== other.from <= minute) return isValid
  if (!isValid && one.from !== other.from) return one.from < other.from
  if (one.source !== other.source) return rankOf(one) < rankOf(other)
  if (one.from !== other.from) return one.from > other.from
  return one.node < other.node
}
