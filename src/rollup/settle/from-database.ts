/** Minutes that only the database has, one at a time: by turns the newest one and the one that has waited longest. Young minutes go first, and the database
 * gets its rests. */
import { HOUR, MS } from '../../base/clock.ts'
import type { Unsettled } from '../../ledger/unsettled.ts'
import { type SettlingDeps, SHOWN_MS } from './settling.ts'

/** One minute is made again at most this often. */
const AGAIN_MS = 600_000
/** Making minutes again takes at most one part in this many of the time. */
const AGAIN_SHARE = 5

export interface FromDatabase {
  /** Makes one of these, if any can be made now, and strikes off what cannot be made at all. True: there are more. Rejects with a CollectorError, or with the
   * signal's reason. */
  settle(others: readonly Unsettled[]): Promise<boolean>
  /** The minute was made a short while ago. */
  hasMade(startNs: bigint): boolean
  /** Not before this time, ms of monotonic time. */
  readonly restUntilMs: number
  forget(): void
}

export function createFromDatabase(deps: SettlingDeps): FromDatabase {
  const { readiness, states, read, minutes, teller, clock, isOnce } = deps
  /** When each was made, ms of monotonic time, and how far everything had been read then. */
  const madeAt = new Map<bigint, { readonly ms: number; readonly toNs: bigint }>()
  let restUntilMs = 0
  let isNewestTurn = false

  /** The database shows everything that the list knows of. */
  function isShown(entry: Unsettled): boolean {
    const state = states.of(entry.startNs)
    const number = Math.max(entry.read, entry.must)
    if (state.seen?.number !== number) state.seen = { number, ms: clock.monotonicMs() }
    return clock.monotonicMs() - state.seen.ms >= SHOWN_MS
  }

  function isRested({ startNs }: Unsettled): boolean {
    const last = madeAt.get(startNs)
    if (last === undefined || clock.monotonicMs() - last.ms >= AGAIN_MS) return true
    return readiness.readToNs() - last.toNs >= BigInt(AGAIN_MS) * MS
  }

  function nextOf(others: readonly Unsettled[]): Unsettled | undefined {
    // Where rows are written once, it was only told before.
    const isDue = (one: Unsettled) => isOnce() && readiness.isDueOnce(one)
    const ready = others.filter(isShown).filter((one) => deps.isFinishing() || isDue(one) || isRested(one))
    isNewestTurn = !isNewestTurn
    const longest = (first: Unsettled | undefined, one: Unsettled) =>
      first === undefined || one.sinceNs < first.sinceNs ? one : first
    const entry = isNewestTurn ? ready.at(-1) : ready.reduce<Unsettled | undefined>(longest, undefined)
    if (entry === undefined || !isDue(entry)) return entry
    // Who reported in the hour before decides about its rows, so those of that hour come first.
    let first = entry
    for (const one of others.toReversed())
      if (one.startNs < first.startNs && first.startNs - one.startNs <= HOUR && isDue(one)) first = one
    return ready.find(({ startNs }) => startNs === first.startNs)
  }

  async function settleOne(entry: Unsettled): Promise<void> {
    const { startNs } = entry
    const state = states.of(startNs)
    const toNs = readiness.readToNs()
    // What an earlier process put on the list is a must since the start, so only what was read here counts. An attempt that failed may have written the
    // record and nothing after it, so it says nothing then.
    const again = state.uncertainMs === undefined ? read.current(entry) : undefined
    state.uncertainMs = clock.monotonicMs()
    const isWritten = !isOnce() || readiness.isDueOnce(entry)
    const settled = await minutes.fromDatabase(entry, again, isWritten)
    state.uncertainMs = undefined
    if (settled !== undefined) teller.made(startNs, settled)
    if (!isWritten && settled !== undefined) {
      deps.keepUnwritten(startNs, settled)
      states.of(startNs).told = { number: entry.read, ms: clock.monotonicMs() }
    }
    madeAt.set(startNs, { ms: clock.monotonicMs(), toNs })
  }

  /** Where rows are written once: strikes off what is written. Returns what is left to write or to tell. */
  function unwrittenOf(others: readonly Unsettled[]): readonly Unsettled[] {
    const unwritten = others.filter(({ startNs }) => !deps.hasRows(startNs))
    for (const entry of others) {
      if (!deps.hasRows(entry.startNs)) continue
      if (entry.must !== 0 && states.find(entry.startNs)?.settledMs === undefined) minutes.skipWritten(entry)
      else deps.skip(entry, 'written_once')
    }
    return unwritten.filter((one) => readiness.isDueOnce(one) || states.find(one.startNs)?.told === undefined)
  }

  return {
    async settle(all) {
      if (!deps.canQuery()) {
        for (const entry of all) deps.skip(entry, 'no_queries')
        return false
      }
      const others = isOnce() ? unwrittenOf(all) : all
      const beganMs = clock.monotonicMs()
      if (!deps.isFinishing() && beganMs < restUntilMs) return others.length > 0
      const entry = nextOf(others)
      if (entry === undefined) return false
      try {
        await settleOne(entry)
      } finally {
        const endedMs = clock.monotonicMs()
        restUntilMs = endedMs + (AGAIN_SHARE - 1) * (endedMs - beganMs)
      }
      return others.length > 1
    },
    hasMade: (startNs) => madeAt.has(startNs),
    get restUntilMs() {
      return restUntilMs
    },
    forget() {
      for (const [startNs, { ms }] of madeAt) if (clock.monotonicMs() - ms > AGAIN_MS) madeAt.delete(startNs)
    },
  }
}
