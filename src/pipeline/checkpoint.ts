/** The service about itself: one point of `tailflux_window` per window that is done, which also mirrors the watermark into the database. */
import { MS } from '../clock.ts'
import { CollectorError } from '../errors.ts'
import type { Ledger } from '../ledger/ledger.ts'
import { encodeLine } from '../sink/lines-own.ts'
import type { Sink } from '../sink/sink.ts'
import type { CircuitBreaker } from './circuit-breaker.ts'
import type { HealthReport } from './health.ts'
import type { PlannedWindow } from './planner.ts'
import type { Present } from './present.ts'
import type { WindowResult } from './run-window.ts'
import { END_OF_TIME } from './start-up.ts'
import { min } from './window-size.ts'

/** Returns what writes the point of a window that is done as far as `doneToNs`. It rejects only on a programmer's error. */
export function createCheckpoint(
  options: { readonly tailnet: string; readonly latePasses: number },
  deps: {
    readonly sink: Pick<Sink, 'write'>
    readonly ledger: Pick<Ledger, 'watermarkNs' | 'duePasses'>
    readonly present: Pick<Present, 'runningNs'>
    readonly breaker: Pick<CircuitBreaker, 'failed'>
    readonly health: HealthReport
  },
): (window: PlannedWindow, doneToNs: bigint, result: WindowResult, signal: AbortSignal) => Promise<void> {
  const { ledger, health } = deps
  let isRefused = false

  /** Where the first window begins that still waits for a late pass, due or not. */
  function firstPassDueNs(): bigint | undefined {
    return ledger.duePasses(options.latePasses + 1, END_OF_TIME, 1)[0]?.fromNs
  }

  /** A database that refuses what mirrors the ledger could not tell some day that it lost something. */
  function tell(isTaken: boolean): void {
    if (isTaken !== isRefused) return
    isRefused = !isTaken
    if (isTaken) health.set('sink', 'ok', undefined, undefined, 'checkpoint')
    else {
      health.set(
        'sink',
        'warning',
        'db_rejected',
        'the database refuses the points of tailflux_window, so after it is restored from a backup nobody knows what it lost; the dead letters say why (a field type conflict, or a retention of minutes)',
        'checkpoint',
      )
    }
  }

  return async function mirror(window, doneToNs, result, signal) {
    const watermarkNs = ledger.watermarkNs() ?? doneToNs
    const fields = {
      watermark: watermarkNs,
      acked: result.ackedNs,
      passed: min(watermarkNs, firstPassDueNs() ?? watermarkNs),
      lag_ms: (deps.present.runningNs() - watermarkNs) / MS,
      messages: BigInt(result.messages),
      entries: BigInt(result.entries),
      points: BigInt(result.points),
      duration_ms: BigInt(Math.round(result.durationMs)),
    }
    const tags = { pass: String(window.pass), tailnet: options.tailnet }
    const bytes = encodeLine('tailflux_window', tags, fields, doneToNs)
    try {
      const receipt = await deps.sink.write({ bytes, lineCount: 1, target: 'main' }, signal)
      tell(receipt.written === 1)
    } catch (error) {
      if (signal.aborted) return
      if (!(error instanceof CollectorError)) throw error
      // The window is done all the same; a mirror that stays behind only means reading a little again some day.
      // A refusal of this very point says nothing about the windows.
      if (error.code === 'db_conflict' || error.code === 'db_limit') tell(false)
      else deps.breaker.failed(error)
    }
  }
}
