/** Checks the `start` of messages. A node's clock that is years off would make the database open a shard for every week of those years, or
 * refuse a whole batch with the lines of all other nodes. */
import type { Message } from './parse/message.ts'
import type { Window } from './source.ts'

export interface ClockLimits {
  /** How far `start` (the node's clock) may lie before and after `logged` (the API's clock), ms. No bound when absent. */
  readonly clockBehindMax?: number
  readonly clockAheadMax?: number
}

/** True when the message's `start` lies too far from its `logged`, or without one from the window that was asked for. */
export type IsOutOfBounds = (
  message: Pick<Message, 'startNs' | 'loggedNs' | 'hasLogged'>,
  window: Window | undefined,
) => boolean

export function createClockBounds(limits: ClockLimits): IsOutOfBounds {
  const behindMaxNs = (limits.clockBehindMax ?? Number.POSITIVE_INFINITY) * 1e6
  const aheadMaxNs = (limits.clockAheadMax ?? Number.POSITIVE_INFINITY) * 1e6
  // As doubles differences are exact up to 104 days; beyond that their order is right.
  return ({ startNs, loggedNs, hasLogged }, window) => {
    if (hasLogged) {
      const aheadNs = Number(startNs - loggedNs)
      return aheadNs > aheadMaxNs || -aheadNs > behindMaxNs
    }
    if (window === undefined) return false
    return Number(startNs - window.toNs) > aheadMaxNs || Number(window.fromNs - startNs) > behindMaxNs
  }
}
