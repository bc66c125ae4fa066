/** Minutes that memory holds completely: made as soon as they are final, and again when something came late. */
import { setImmediate as nextTurn } from 'node:timers/promises'
import { MS } from '../../base/clock.ts'
import type { Unsettled } from '../../ledger/unsettled.ts'
import type { HeldMinute } from '../points/held-minutes.ts'
import { tablesOf } from '../rows/row-series.ts'
import type { MinuteState } from './minute-states.ts'
import { type SettlingDeps, SHOWN_MS } from './settling.ts'

/** A minute in memory is made again after this time, then after twice as long, and so on. Nodes whose clocks are minutes off make nearly every minute late. */
const LATE_MS = 300_000

export function createFromMemory(deps: SettlingDeps) {
  const { unsettled, readiness, states, read, minutes, teller, clock, signal, isOnce } = deps

  /** What comes late is collected, so that a minute is not made again for each of its messages: the later it is, the longer. Hours that are read in a moment
   * count as hours: alerts do not take what comes when they are an hour further. */
  function mustRest({ settledMs, settledToNs, made }: MinuteState): boolean {
    if (deps.isFinishing() || settledMs === undefined) return false
    const restMs = LATE_MS * 2 ** (made - 1)
    return clock.monotonicMs() - settledMs < restMs && readiness.readToNs() - settledToNs < BigInt(restMs) * MS
  }

  async function settleOne(entry: Unsettled, minute: HeldMinute, state: MinuteState): Promise<void> {
    const wasUncertain = state.uncertainMs !== undefined
    state.uncertainMs = clock.monotonicMs()
    state.settledToNs = readiness.readToNs()
    const settled = await minutes.fromMemory(entry, minute, wasUncertain)
    if (settled !== undefined) teller.made(entry.startNs, settled)
    state.uncertainMs = undefined
    state.settledMs = clock.monotonicMs()
    state.made += 1
  }

  /** Where rows cannot be corrected: told when it is final, written once, when late points have come. Corrections are told and counted. */
  async function settleOnce(entry: Unsettled, minute: HeldMinute, state: MinuteState): Promise<void> {
    const { startNs } = entry
    if (!readiness.isDueOnce(entry) || deps.hasRows(startNs)) return await tellOnce(entry, minute, state)
    const { uncertainMs } = state
    if (uncertainMs !== undefined && clock.monotonicMs() - uncertainMs < SHOWN_MS) return
    state.uncertainMs = clock.monotonicMs()
    const settled = await minutes.fromMemory(entry, minute, uncertainMs !== undefined)
    state.uncertainMs = undefined
    if (settled === undefined) return
    if (!deps.canQuery()) deps.sums.addMinute(startNs, tablesOf(settled.made))
    teller.made(startNs, settled)
    state.settledMs = clock.monotonicMs()
  }

  async function tellOnce(entry: Unsettled, minute: HeldMinute, state: MinuteState): Promise<void> {
    const { startNs } = entry
    const { told } = state
    const isWritten = deps.hasRows(startNs)
    const isResting = told !== undefined && clock.monotonicMs() - told.ms < LATE_MS && !isWritten
    if (told?.number !== entry.read && !isResting) {
      const preview = await minutes.preview(minute)
      teller.made(startNs, preview)
      if (!isWritten) deps.keepUnwritten(startNs, preview)
      state.told = { number: entry.read, ms: clock.monotonicMs() }
    }
    if (isWritten) deps.skip(entry, 'written_once')
  }

  return {
    /** Makes every minute that is final and in memory. Returns those that only the database has. Rejects with a CollectorError, or with the signal's reason. */
    async settle(): Promise<readonly Unsettled[]> {
      const others: Unsettled[] = []
      for (const { startNs } of unsettled.all('minute')) {
        // A window that is done has told its observers before the next turn.
        await nextTurn()
        signal.throwIfAborted()
        const entry = unsettled.find('minute', startNs)
        if (entry === undefined || !readiness.isFinal(entry)) continue
        const minute = read.whole(entry)
        const state = states.of(startNs)
        if (minute === undefined) others.push(entry)
        else if (isOnce()) await settleOnce(entry, minute, state)
        else if (!mustRest(state)) await settleOne(entry, minute, state)
      }
      return others
    },
  }
}
