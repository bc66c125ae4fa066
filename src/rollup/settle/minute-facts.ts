/** What is known of minutes beside their rows: which nodes reported, which addresses outside of the directory a node wrote as its own, and how the rows
 * were made. Kept for the last hours and for minutes that are made again; older ones are asked of the database. */

import type { HourBefore } from '../rows/row.ts'
import type { MinuteRecord } from '../rows/row-store.ts'

/** Minutes since the epoch, UTC. */
type Minute = number

export const LOOK_BACK_MINUTES = 60

/** By address: the nodes that wrote it as their own end of virtual traffic. */
export type Users = ReadonlyMap<string, ReadonlySet<string>>

export interface MinuteFacts {
  /** The rows of the minute say that these nodes reported; replaces what was known of them. */
  setReporting(minute: Minute, nodes: Iterable<string>): void
  hasReporting(minute: Minute): boolean
  /** Raw points of the minute say so; it may have no rows yet. */
  addHeard(minute: Minute, nodes: Iterable<string>): void
  isReporting(minute: Minute, node: string): boolean
  /** The node reported in one of these minutes, both ends included. */
  hasReportedIn(node: string, from: Minute, to: Minute): boolean
  /** The node has a row in one of these minutes, both ends included, other than in `except`. What was only heard does not count: rows may have been
   * made before it was. */
  hasRowIn(node: string, from: Minute, to: Minute, except: Minute): boolean
  setUsers(minute: Minute, users: Users): void
  hasUsers(minute: Minute): boolean
  /** Addresses whose users in this minute are not those that were set; undefined when none were. */
  changedUsers(minute: Minute, users: Users): ReadonlySet<string> | undefined
  /** Some node used one of these addresses in this minute, as far as is known. */
  mayUse(minute: Minute, addresses: ReadonlySet<string>): boolean
  /** What the hour before a minute says; both kinds of facts must be there for each minute of it. */
  before(minute: Minute): HourBefore
  /** How its rows were made; undefined: they were not made. `isKnown`: that is known at all. */
  setRecord(minute: Minute, record: MinuteRecord | undefined): void
  record(minute: Minute): MinuteRecord | undefined
  hasRecord(minute: Minute): boolean
  /** How its rows were made is not known any more. */
  forgetRecord(minute: Minute): void
  /** Forgets minutes for which `isKept` is false. */
  keepOnly(isKept: (minute: Minute) => boolean): void
}

const NOBODY: ReadonlySet<string> = new Set()

interface Fact {
  /** Bits by the number of the node. */
  reporting: Uint8Array | undefined
  heard: Uint8Array | undefined
  users: Users | undefined
  record: MinuteRecord | undefined
  hasRecord: boolean
}

export function createMinuteFacts(): MinuteFacts {
  const facts = new Map<Minute, Fact>()
  /** Nodes by number; as many as ever reported to this process. */
  const numbers = new Map<string, number>()

  function factOf(minute: Minute): Fact {
    let fact = facts.get(minute)
    if (fact === undefined)
      facts.set(
        minute,
        (fact = { reporting: undefined, heard: undefined, users: undefined, record: undefined, hasRecord: false }),
      )
    return fact
  }

  const hasRow = (minute: Minute, number: number) => hasBit(facts.get(minute)?.reporting, number)

  function isReporting(minute: Minute, number: number): boolean {
    const fact = facts.get(minute)
    return hasBit(fact?.reporting, number) || hasBit(fact?.heard, number)
  }

  function isAnyOf(from: Minute, to: Minute, is: (minute: Minute) => boolean): boolean {
    for (let minute = to; minute >= from; minute--) if (is(minute)) return true
    return false
  }

  function hasReportedIn(node: string, from: Minute, to: Minute): boolean {
    const number = numbers.get(node)
    return number !== undefined && isAnyOf(from, to, (minute) => isReporting(minute, number))
  }

  function bitsOf(nodes: Iterable<string>): Uint8Array {
    const mine: number[] = []
    for (const node of nodes) {
      let number = numbers.get(node)
      if (number === undefined) numbers.set(node, (number = numbers.size))
      mine.push(number)
    }
    const bits = new Uint8Array((numbers.size >> 3) + 1)
    for (const number of mine) bits[number >> 3] = bits[number >> 3]! | (1 << (number & 7))
    return bits
  }

  return {
    setReporting(minute, nodes) {
      factOf(minute).reporting = bitsOf(nodes)
    },
    addHeard(minute, nodes) {
      const fact = factOf(minute)
      const bits = bitsOf(nodes)
      for (const [at, more] of fact.heard?.entries() ?? []) bits[at] = bits[at]! | more
      fact.heard = bits
    },
    hasReporting: (minute) => facts.get(minute)?.reporting !== undefined,
    isReporting(minute, node) {
      const number = numbers.get(node)
      return number !== undefined && isReporting(minute, number)
    },
    hasReportedIn,
    hasRowIn(node, from, to, except) {
      const number = numbers.get(node)
      return number !== undefined && isAnyOf(from, to, (minute) => minute !== except && hasRow(minute, number))
    },
    setUsers(minute, users) {
      factOf(minute).users = users
    },
    hasUsers: (minute) => facts.get(minute)?.users !== undefined,
    changedUsers(minute, users) {
      const before = facts.get(minute)?.users
      if (before === undefined) return undefined
      const addresses = new Set([...before.keys(), ...users.keys()])
      const isSame = (address: string) =>
        (before.get(address) ?? NOBODY).symmetricDifference(users.get(address) ?? NOBODY).size === 0
      return new Set([...addresses].filter((address) => !isSame(address)))
    },
    mayUse(minute, addresses) {
      const users = facts.get(minute)?.users
      return users === undefined || [...addresses].some((address) => users.has(address))
    },
    before(minute) {
      const [from, to] = [minute - LOOK_BACK_MINUTES, minute - 1]
      return {
        hasReported: (node) => hasReportedIn(node, from, to),
        wasUsedByOther(address, node) {
          for (let one = from; one <= to; one++)
            for (const user of facts.get(one)?.users?.get(address) ?? []) if (user !== node) return true
          return false
        },
      }
    },
    setRecord(minute, record) {
      Object.assign(factOf(minute), { record, hasRecord: true })
    },
    record: (minute) => facts.get(minute)?.record,
    hasRecord: (minute) => facts.get(minute)?.hasRecord === true,
    forgetRecord(minute) {
      const fact = facts.get(minute)
      if (fact !== undefined) Object.assign(fact, { record: undefined, hasRecord: false })
    },
    keepOnly(isKept) {
      for (const minute of facts.keys()) if (!isKept(minute)) facts.delete(minute)
    },
  }
}

function hasBit(bits: Uint8Array | undefined, number: number): boolean {
  return bits !== undefined && ((bits[number >> 3] ?? 0) & (1 << (number & 7))) !== 0
}
