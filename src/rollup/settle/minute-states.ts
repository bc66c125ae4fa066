/** What this process knows of a minute beside its points: whether it was told and written, and when. Kept while the minute is in memory or on the list. */
import { getOrInsert } from '../../base/maps.ts'

/** Times are monotonic, ms. */
export interface MinuteState {
  /** The change of the list up to which it was told before it was written, and when. Only where rows are written once. */
  told: { readonly number: number; readonly ms: number } | undefined
  /** Writing its rows began then and did not end: some may stand. */
  uncertainMs: number | undefined
  settledMs: number | undefined
  /** How far everything had been read then, from the origin on, ns. */
  settledToNs: bigint
  /** How often its rows were made from memory. */
  made: number
  /** The newest change of the list that was seen, and when. */
  seen: { readonly number: number; readonly ms: number } | undefined
}

const UNKNOWN: MinuteState = {
  ...{ told: undefined, uncertainMs: undefined, settledMs: undefined, settledToNs: 0n },
  ...{ made: 0, seen: undefined },
}

/** By the begin of the minute, ns. */
export interface MinuteStates {
  /** To be changed by whoever asks. */
  of(startNs: bigint): MinuteState
  find(startNs: bigint): Readonly<MinuteState> | undefined
  drop(startNs: bigint): void
  /** Forgets minutes for which `isKept` is false. */
  keepOnly(isKept: (startNs: bigint) => boolean): void
}

export function createMinuteStates(): MinuteStates {
  const states = new Map<bigint, MinuteState>()
  return {
    of: (startNs) => getOrInsert(states, startNs, () => ({ ...UNKNOWN })),
    find: (startNs) => states.get(startNs),
    drop: (startNs) => void states.delete(startNs),
    keepOnly(isKept) {
      for (const startNs of states.keys()) if (!isKept(startNs)) states.delete(startNs)
    },
  }
}
