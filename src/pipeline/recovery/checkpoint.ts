/** Writes one point of `tailflux_window` per window that is done. It is the checkpoint of that window: as long as the database shows it, the
 * database holds what was acknowledged for the window. */
import { MS } from '../../base/clock.ts'
import { CollectorError } from '../../base/errors.ts'
import type { Ledger } from '../../ledger/ledger.ts'
import { encodeLine } from '../../sink/line-protocol/encode-line.ts'
import type { Sink } from '../../sink/sink.ts'
import type { CircuitBreaker } from '../circuit-breaker.ts'
import type { HealthReport } from '../health/health-report.ts'
import type { SourceClock } from '../source-clock.ts'
import type { PlannedWindow, WindowResult } from '../window.ts'
import { min } from '../window-size.ts'
import { REFUSED } from './checkpoint-reader.ts'
import { END_OF_TIME } from './reconcile.ts'
import type { Recovery } from './recovery.ts'

/** Returns a function that writes the point of a window that is done as far as `doneToNs`. Resolves with true when it is stored. It rejects only on a programmer's error. */
export function createCheckpoint(
  options: { readonly tailnet: string; readonly latePasses: number },
  deps: {
    readonly sink: Pick<Sink, 'write'>
    readonly ledger: Pick<Ledger, 'writer' | 'watermarkNs' | 'duePasses' | 'isOriginGuessed'>
    readonly sourceClock: Pick<SourceClock, 'runningNs'>
    readonly breaker: Pick<CircuitBreaker, 'failed'>
    readonly recovery: Pick<Recovery, 'compareSoon'>
    readonly health: HealthReport
  },
): (window: PlannedWindow, doneToNs: bigint, result: WindowResult, signal: AbortSignal) => Promise<boolean> {
  const { ledger, health } = deps
  let isRefused = false

  /** Up to where every late pass was made. Unknown (0) when the origin is only guessed. */
  function passedNs(watermarkNs: bigint): bigint {
    if (ledger.isOriginGuessed()) return 0n
    return min(watermarkNs, ledger.duePasses(options.latePasses + 1, END_OF_TIME, 1)[0]?.fromNs ?? watermarkNs)
  }

  function refused(): void {
    isRefused = true
    health.set('sink', 'warning', 'db_rejected', REFUSED, 'checkpoint')
  }

  return async function checkpoint(window, doneToNs, result, signal) {
    const watermarkNs = ledger.watermarkNs() ?? doneToNs
    const fields = {
      watermark: watermarkNs,
      // A late pass that found nothing new wrote nothing, so this point must not prove that the content is still there.
      ...(result.isWritten ? { acked: result.ackedNs } : {}),
      passed: passedNs(watermarkNs),
      lag_ms: (deps.sourceClock.runningNs() - watermarkNs) / MS,
      messages: BigInt(result.messages),
      entries: BigInt(result.entries),
      points: BigInt(result.points),
      duration_ms: BigInt(Math.round(result.durationMs)),
    }
    const tags = { pass: String(window.pass), tailnet: options.tailnet, writer: ledger.writer }
    const bytes = encodeLine('tailflux_window', tags, fields, doneToNs)
    try {
      const receipt = await deps.sink.write({ bytes, lineCount: 1, target: 'main' }, signal)
      if (receipt.rejected > 0) refused()
      else if (receipt.written > 0 && isRefused) {
        isRefused = false
        deps.recovery.compareSoon()
      }
      return receipt.written > 0
    } catch (error) {
      if (signal.aborted) return false
      if (!(error instanceof CollectorError)) throw error
      // The window is done anyway; without its checkpoint it may be read again later.
      // A refusal of this very point says nothing about the windows.
      if (error.code === 'db_conflict' || error.code === 'db_limit') refused()
      else deps.breaker.failed(error)
      return false
    }
  }
}
