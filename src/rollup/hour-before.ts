/** What the hour before a minute says about its rows: which nodes reported, and which nodes used which address as their own. Kept for the minutes of
 * the last hours; older ones are asked of the database. */
import type { HourBefore } from './rows.ts'

/** Minutes since the epoch, UTC. */
export type Minute = number

export const LOOK_BACK_MINUTES = 60

export interface RecentMinutes {
  /** The rows of a minute say that these nodes reported; replaces what was known of the minute. */
  setReporting(minute: Minute, nodes: Iterable<string>): void
  isReporting(minute: Minute, node: string): boolean
  /** Nodes that wrote an address as their own end of virtual traffic. */
  addUsers(minute: Minute, users: Iterable<readonly [address: string, node: string]>): void
  before(minute: Minute): HourBefore
  /** Nodes of `minute` without a row in the `LOOK_BACK_MINUTES` before it or in the ones up to `until`, other than in `except`. */
  hasReportedIn(node: string, from: Minute, to: Minute, except?: Minute): boolean
  /** Forgets minutes before this one. */
  forgetBefore(minute: Minute): void
}

export function createRecentMinutes(): RecentMinutes {
  const reporting = new Map<Minute, ReadonlySet<string>>()
  /** By address and node: minutes in ascending order. */
  const users = new Map<string, Map<string, Minute[]>>()

  function hasReportedIn(node: string, from: Minute, to: Minute, except?: Minute): boolean {
    for (let minute = to; minute >= from; minute--)
      if (minute !== except && reporting.get(minute)?.has(node)) return true
    return false
  }

  return {
    setReporting: (minute, nodes) => void reporting.set(minute, new Set(nodes)),
    isReporting: (minute, node) => reporting.get(minute)?.has(node) === true,
    addUsers(minute, pairs) {
      for (const [address, node] of pairs) {
        let byNode = users.get(address)
        if (byNode === undefined) users.set(address, (byNode = new Map()))
        const minutes = byNode.get(node)
        if (minutes === undefined) byNode.set(node, [minute])
        else if (!minutes.includes(minute)) insert(minutes, minute)
      }
    },
    before(minute) {
      const [from, to] = [minute - LOOK_BACK_MINUTES, minute - 1]
      return {
        hasReported: (node) => hasReportedIn(node, from, to),
        wasUsedByOther(address, node) {
          for (const [user, minutes] of users.get(address) ?? [])
            if (user !== node && minutes.some((one) => one >= from && one <= to)) return true
          return false
        },
      }
    },
    hasReportedIn,
    forgetBefore(minute) {
      for (const one of reporting.keys()) if (one < minute) reporting.delete(one)
      for (const [address, byNode] of users) {
        for (const [node, minutes] of byNode) {
          const kept = minutes.filter((one) => one >= minute)
          if (kept.length === 0) byNode.delete(node)
          else byNode.set(node, kept)
        }
        if (byNode.size === 0) users.delete(address)
      }
    },
  }
}

/** Mostly at the end: minutes come in order, but for late ones. */
function insert(minutes: Minute[], minute: Minute): void {
  let at = minutes.length
  while (at > 0 && minutes[at - 1]! > minute) at--
  minutes.splice(at, 0, minute)
}
