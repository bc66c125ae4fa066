/** How the line is, for `/health` and the metrics: how far reading is, open gaps, and whether windows still come to an end. */
import type { Clock } from '../clock.ts'
import { isoOf } from '../format.ts'
import type { Gap, Ledger } from '../ledger/ledger.ts'
import type { DeadLetters } from '../sink/sink.ts'
import type { PipelineMetrics } from './metrics.ts'
import type { Present } from './present.ts'
import type { Slots } from './slots.ts'

/** How the rooms are, as seen from the line. `text` is a sentence that ends with the fix. */
export interface HealthReport {
  set(
    room: 'source' | 'sink' | 'state' | 'names' | 'line' | 'clock',
    status: 'ok' | 'warning' | 'error',
    code?: string,
    text?: string,
    /** Who tells, where several know something about a room; see observe/health. */
    condition?: string,
  ): void
}

export interface LineHealth {
  /** A window is under way. */
  began(): void
  /** It came to an end, good or bad. */
  ended(): void
  /** Tells metrics and health how far reading is. */
  measure(): void
}

/** A window that takes longer is told; most take a second. */
const STALLED_MS = 120_000

export function createLineHealth(
  options: { readonly retentionMs: number },
  deps: {
    readonly ledger: Pick<Ledger, 'watermarkNs' | 'gaps'>
    readonly present: Pick<Present, 'serverNowNs'>
    readonly slots: Pick<Slots, 'taken'>
    readonly clock: Pick<Clock, 'monotonicMs'>
    readonly metrics: Pick<PipelineMetrics, 'position' | 'gapsOpen' | 'inFlight'>
    readonly health: HealthReport
    readonly deadLetters: Partial<Pick<DeadLetters, 'trouble'>>
  },
): LineHealth {
  const { ledger, clock, metrics, health, deadLetters } = deps
  let flyingCount = 0
  /** When a window came to an end last, or the first of those under way began. */
  let progressMs = clock.monotonicMs()

  return {
    began() {
      if (flyingCount === 0) progressMs = clock.monotonicMs()
      flyingCount += 1
    },
    ended() {
      flyingCount -= 1
      progressMs = clock.monotonicMs()
    },
    measure() {
      const watermarkNs = ledger.watermarkNs()
      if (watermarkNs !== undefined) {
        const lag = Number(deps.present.serverNowNs() - watermarkNs) / 1e9
        metrics.position(Number(watermarkNs) / 1e9, lag, Math.max(0, lag / (options.retentionMs / 1000)))
      }
      const gaps = ledger.gaps().filter((gap) => gap.state === 'open')
      metrics.gapsOpen(
        gaps.length,
        gaps.reduce((sum, gap) => sum + Number(gap.toNs - gap.fromNs) / 1e9, 0),
      )
      const stillMs = flyingCount === 0 ? 0 : clock.monotonicMs() - progressMs
      if (stillMs > STALLED_MS) health.set('line', 'warning', 'stalled', stalledText(stillMs))
      else if (gaps.length > 0) health.set('line', 'warning', 'gap', gapText(gaps))
      else health.set('line', 'ok')
      if (deadLetters.trouble) {
        const trouble = deadLetters.trouble()
        health.set('line', trouble ? 'warning' : 'ok', trouble?.code, trouble?.text, 'dead letters')
      }
      metrics.inFlight(deps.slots.taken)
    },
  }
}

function stalledText(stillMs: number): string {
  return `no window came to an end for ${Math.round(stillMs / 1000)} s: the API or the database answers very slowly; what waits is given up after tailscale.totalTimeout or influx.giveUp and then asked for again in smaller pieces. Look at the network and at the load of the database`
}

function gapText(gaps: readonly Gap[]): string {
  const first = gaps[0]
  if (first === undefined) return ''
  const more = gaps.length > 1 ? ` and ${gaps.length - 1} more` : ''
  return `the API cannot answer for ${isoOf(first.fromNs)} to ${isoOf(first.toNs)} (${first.reason})${more}; it is asked again by itself, nothing else waits for it`
}
