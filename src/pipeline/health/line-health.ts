/** How the line is, for `/health` and the metrics: how far reading is, open gaps, and whether windows still come to an end. */
import type { Logger } from 'pino'
import type { Clock } from '../../base/clock.ts'
import type { CollectorError } from '../../base/errors.ts'
import { isoOf } from '../../base/format.ts'
import type { Gap, Ledger } from '../../ledger/ledger.ts'
import type { DeadLetters } from '../../sink/sink.ts'
import type { PipelineMetrics } from '../metrics.ts'
import type { Semaphore } from '../semaphore.ts'
import type { SourceClock } from '../source-clock.ts'
import type { PlannedWindow } from '../window.ts'
import type { HealthReport } from './health-report.ts'
import { createLimitProblem } from './limit-health.ts'

export interface LineHealth {
  /** A window is under way. */
  began(): void
  /** The database took only a part of a window, because of a limit: an error as long as such a gap is open. One error per batch. */
  limited(window: PlannedWindow, errors: readonly CollectorError[]): void
  /** The database acknowledged lines: a window that takes long because it is large is not stalled. */
  moved(): void
  /** It came to an end, good or bad. */
  ended(): void
  /** Tells metrics and health how far reading is. */
  measure(): void
}

/** Windows that take longer, with nothing acknowledged, are told; most take a second. */
const STALLED_MS = 120_000
/** A late pass that a limit kept back leaves no gap; it is made again within this time, or told no longer. */
const LATE_LIMIT_MS = 900_000

export function createLineHealth(
  options: { readonly retentionMs: number },
  deps: {
    readonly ledger: Pick<Ledger, 'watermarkNs' | 'gaps'>
    readonly sourceClock: Pick<SourceClock, 'runningNs'>
    readonly semaphore: Pick<Semaphore, 'taken'>
    readonly clock: Pick<Clock, 'monotonicMs'>
    readonly metrics: Pick<PipelineMetrics, 'position' | 'gapsOpen' | 'inFlight'>
    readonly health: HealthReport
    readonly log: Logger
    readonly deadLetters: Partial<Pick<DeadLetters, 'trouble'>>
  },
): LineHealth {
  const { ledger, clock, metrics, health, deadLetters } = deps
  let flyingCount = 0
  /** When a window came to an end, or lines were acknowledged last, or the first of those under way began. */
  let progressMs = clock.monotonicMs()
  const limit = createLimitProblem(deps.log)
  /** When a limit hit a late pass last. */
  let lateLimitMs = Number.NEGATIVE_INFINITY

  function reportLimit(gaps: readonly Gap[]): void {
    const isLate = clock.monotonicMs() - lateLimitMs < LATE_LIMIT_MS
    if (gaps.length > 0 || isLate) health.set('sink', 'error', 'db_limit', limitText(limit.text(), gaps), 'limit')
    else {
      limit.ended()
      health.set('sink', 'ok', undefined, undefined, 'limit')
    }
  }

  return {
    began() {
      if (flyingCount === 0) progressMs = clock.monotonicMs()
      flyingCount += 1
    },
    limited(window, errors) {
      limit.met(errors)
      if (window.queue === 'late') lateLimitMs = clock.monotonicMs()
      this.measure()
    },
    ended() {
      flyingCount -= 1
      progressMs = clock.monotonicMs()
    },
    moved() {
      progressMs = clock.monotonicMs()
    },
    measure() {
      const watermarkNs = ledger.watermarkNs()
      if (watermarkNs !== undefined) {
        const lag = Number(deps.sourceClock.runningNs() - watermarkNs) / 1e9
        metrics.position(Number(watermarkNs) / 1e9, lag, Math.max(0, lag / (options.retentionMs / 1000)))
      }
      const gaps = ledger.gaps().filter((gap) => gap.state === 'open')
      metrics.gapsOpen(
        gaps.length,
        gaps.reduce((sum, gap) => sum + Number(gap.toNs - gap.fromNs) / 1e9, 0),
      )
      const [limited, unread] = [gaps.filter(isLimited), gaps.filter((gap) => !isLimited(gap))]
      reportLimit(limited)
      const stillMs = flyingCount === 0 ? 0 : clock.monotonicMs() - progressMs
      if (stillMs > STALLED_MS) health.set('line', 'warning', 'stalled', stalledText(stillMs))
      else if (unread.length > 0) health.set('line', 'warning', 'gap', gapText(unread))
      else health.set('line', 'ok')
      if (deadLetters.trouble) {
        const trouble = deadLetters.trouble()
        health.set('line', trouble ? 'warning' : 'ok', trouble?.code, trouble?.text, 'dead letters')
      }
      metrics.inFlight(deps.semaphore.taken)
    },
  }
}

function stalledText(stillMs: number): string {
  return `no window came to an end and nothing was acknowledged for ${Math.round(stillMs / 1000)} s: the API or the database answers very slowly; what waits is given up after tailscale.totalTimeout or influx.giveUp and then asked for again in smaller pieces. Look at the network and at the load of the database`
}

function isLimited({ reason }: Gap): boolean {
  return reason === 'db_limit'
}

/** `told` is unknown after a restart. */
function limitText(told: string | undefined, gaps: readonly Gap[]): string {
  const why =
    told ??
    'The database is at a limit of series or tag values. Raise it (InfluxDB 1.x: max-values-per-tag, max-series-per-database), or write fewer series with TAILFLUX_PORTS=none.'
  const [first, last] = [gaps[0], gaps.at(-1)]
  if (first === undefined || last === undefined) return `${why} A late pass waits for it and is made again by itself.`
  const range = `${isoOf(first.fromNs)} and ${isoOf(last.toNs)}`
  return `${why} What was refused lies between ${range}; it is tried again every ten minutes (next: ${isoOf(first.nextNs)}), everything else is stored.`
}

function gapText(gaps: readonly Gap[]): string {
  const first = gaps[0]
  if (first === undefined) return ''
  const more = gaps.length > 1 ? ` and ${gaps.length - 1} more` : ''
  const next = isoOf(gaps.reduce((soonest, gap) => (gap.nextNs < soonest ? gap.nextNs : soonest), first.nextNs))
  return `the API cannot answer for ${isoOf(first.fromNs)} to ${isoOf(first.toNs)} (${first.reason})${more}; it is asked again by itself (next: ${next}), nothing else waits for it`
}
