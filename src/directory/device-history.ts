/** Who a node is, through time: name, owner, OS and addresses, each with the minute from which it is valid. One answer for one minute, whoever asks and
 * in whatever order messages were read.
 *
 * Three sources, by precedence and never by recency: the devices API; what a node says about itself, when the message is its own, which is the only
 * thing that Tailscale verifies; what others say about it, only while neither of the first two knows the node or the address. So a node that lies
 * renames nobody but itself. */
import { MINUTE } from '../base/clock.ts'

export const SOURCES = ['api', 'self', 'peer'] as const
export type DeviceSource = (typeof SOURCES)[number]

export interface DeviceEntry {
  /** Stable id. */
  readonly node: string
  readonly name: string
  /** Its tags in order, joined by commas, or else its user; empty when neither is known. */
  readonly owner: string
  readonly os: string
  readonly addresses: readonly string[]
  readonly source: DeviceSource
  /** When the API got the newest message, or gave the newest list, that says so; its clock, ns. */
  readonly loggedNs: bigint
}

/** Minutes since the epoch, UTC. */
type Minute = number

export interface DeviceVersion extends DeviceEntry {
  /** Valid from this minute on, until the next version. */
  readonly from: Minute
}

export interface DeviceHistory {
  readonly count: number
  /** Takes an entry that was learnt at this time (source clock, ns). Returns the version that it makes; undefined when it changes nothing. */
  learn(entry: DeviceEntry, learntNs: bigint): DeviceVersion | undefined
  /** Puts back what was written before, such as after a restart. */
  restore(version: DeviceVersion): void
  /** The version of a node that is valid in a minute. With `countsBackwards` its first one counts before its time too. */
  at(node: string, minute: Minute, countsBackwards: boolean): DeviceVersion | undefined
  /** The node that has an address in a minute. */
  ownerOf(address: string, minute: Minute, countsBackwards: boolean): string | undefined
  /** Addresses that several nodes claim about themselves. */
  contested(minute: Minute): readonly string[]
  /** The newest version of each device. */
  newest(): Iterable<DeviceVersion>
  /** Forgets versions that were no longer valid in this minute, and devices whose newest entry was logged before `loggedBeforeNs`. */
  forget(minute: Minute, loggedBeforeNs: bigint): void
}

/** How long a node keeps an address that another one claims about itself too, after it last said so. */
const KEPT_MINUTES = 24 * 60

export function minuteOf(ns: bigint): Minute {
  return Number(ns / MINUTE)
}

export function createDeviceHistory(): DeviceHistory {
  /** Ascending by `from`, which differ. */
  const versions = new Map<string, DeviceVersion[]>()
  /** Nodes that have or had an address. */
  const holders = new Map<string, Set<string>>()

  function put(version: DeviceVersion): void {
    const all = versions.get(version.node)
    if (all === undefined) versions.set(version.node, [version])
    else {
      const at = all.findIndex((one) => one.from >= version.from)
      if (at < 0) all.push(version)
      else all.splice(at, all[at]!.from === version.from ? 1 : 0, version)
    }
    for (const address of version.addresses) {
      const nodes = holders.get(address)
      if (nodes === undefined) holders.set(address, new Set([version.node]))
      else nodes.add(version.node)
    }
  }

  const newestOf = (node: string) => versions.get(node)?.at(-1)

  /** The first two sources know who has the address. */
  function isWellKnown(address: string): boolean {
    for (const node of holders.get(address) ?? []) {
      const newest = newestOf(node)
      if (newest !== undefined && newest.source !== 'peer' && newest.addresses.includes(address)) return true
    }
    return false
  }

  function at(node: string, minute: Minute, countsBackwards: boolean): DeviceVersion | undefined {
    const all = versions.get(node)
    return all?.findLast((one) => one.from <= minute) ?? (countsBackwards ? all?.[0] : undefined)
  }

  /** Those whose version of this minute has the address. A first version counts backwards only where no other device had the address. */
  function claimsOf(address: string, minute: Minute, countsBackwards: boolean): DeviceVersion[] {
    const valid: DeviceVersion[] = []
    const earlier: DeviceVersion[] = []
    for (const node of holders.get(address) ?? []) {
      const version = at(node, minute, countsBackwards)
      if (version?.addresses.includes(address)) (version.from <= minute ? valid : earlier).push(version)
    }
    return valid.length > 0 ? valid : earlier
  }

  return {
    get count() {
      return versions.size
    },

    learn(entry, learntNs) {
      const newest = newestOf(entry.node)
      if (newest !== undefined && isOutdated(entry, newest)) return undefined
      const addresses = entry.source === 'peer' ? entry.addresses.filter((one) => !isWellKnown(one)) : entry.addresses
      if (newest !== undefined && isSame(newest, { ...entry, addresses })) {
        put({ ...newest, loggedNs: entry.loggedNs })
        return undefined
      }
      // A clock that went back changes nothing that was valid before.
      const from = Math.max(minuteOf(learntNs) + 1, newest?.from ?? 0)
      const version = { ...entry, addresses, from }
      put(version)
      return version
    },

    restore: put,
    at,

    ownerOf(address, minute, countsBackwards) {
      const [first, ...others] = claimsOf(address, minute, countsBackwards)
      return others.reduce((best, one) => (first && isBefore(one, best!, minute) ? one : best), first)?.node
    },

    contested(minute) {
      return [...holders.keys()].filter(
        (address) => claimsOf(address, minute, false).filter(({ source }) => source === 'self').length > 1,
      )
    },

    newest: () => [...versions.values()].map((all) => all.at(-1)!),

    forget(minute, loggedBeforeNs) {
      for (const [node, all] of versions) {
        if (all.at(-1)!.loggedNs < loggedBeforeNs) {
          versions.delete(node)
          for (const { addresses } of all) for (const address of addresses) drop(address, node)
          continue
        }
        const first = Math.max(
          0,
          all.findLastIndex((one) => one.from <= minute),
        )
        const gone = all.splice(0, first)
        for (const { addresses } of gone)
          for (const address of addresses) if (!all.some((one) => one.addresses.includes(address))) drop(address, node)
      }
    },
  }

  function drop(address: string, node: string): void {
    const nodes = holders.get(address)
    nodes?.delete(node)
    if (nodes?.size === 0) holders.delete(address)
  }
}

/** A lower source never changes what a higher one said; within one source an older message changes nothing. */
function isOutdated(entry: DeviceEntry, newest: DeviceVersion): boolean {
  const lower = rankOf(entry) - rankOf(newest)
  return lower > 0 || (lower === 0 && entry.loggedNs < newest.loggedNs)
}

/** 0 for the source that is believed first. */
function rankOf({ source }: DeviceEntry): number {
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

/** Whose claim to an address is stronger. Of two nodes that claim it about themselves, the earlier one keeps it as long as it says so; otherwise the
 * better source, then the later claim, then the order of the ids. */
function isBefore(one: DeviceVersion, other: DeviceVersion, minute: Minute): boolean {
  if (one.source !== other.source) return rankOf(one) < rankOf(other)
  if (one.source === 'self' && one.from !== other.from) {
    const [earlier, later] = one.from < other.from ? [one, other] : [other, one]
    const keeps = minuteOf(earlier.loggedNs) >= minute - KEPT_MINUTES
    return (keeps ? earlier : later) === one
  }
  if (one.from !== other.from) return one.from > other.from
  return one.node < other.node
}
