/** The state of the line for `/health` and the metrics: how far reading is, open gaps, and whether windows still end. */
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
  /** The database accepted only a part of a window, because of a limit: health is an error while such a gap is open. One error per batch. */
  limited(window: PlannedWindow, errors: readonly CollectorError[]): void
  /** The database acknowledged lines: a window that takes long because it is large is not stalled. */
  moved(): void
  /** A window ended, done or failed. */
  ended(): void
  /** Updates metrics and health. */
  measure(): void
}

/** Windows that take longer than this without an acknowledgement are reported; most take a second. */
const STALLED_MS = 120_000
/** A late pass that failed because of a limit leaves no gap. It is retried within this time; after that it is no longer reported. */
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
    readonly deadLetters: Partial<Pick<DeadLetters, 'problem'>>
  },
): LineHealth {
  const { ledger, clock, metrics, health, deadLetters } = deps
  let flyingCount = 0
  /** The last progress: a window ended, lines were acknowledged, or the first window under way began. */
  let progressMs = clock.monotonicMs()
  const limit = createLimitProblem(deps.log)
  /** When a late pass last failed because of a limit. */
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
      if (deadLetters.problem) {
        const problem = deadLetters.problem()
        health.set('line', problem ? 'warning' : 'ok', problem?.code, problem?.text, 'dead letters')
      }
      metrics.inFlight(deps.semaphore.taken)
    },
  }
}

function stalledText(stillMs: number): string {
  return `no window was finished and no write was acknowledged for ${Math.round(stillMs / 1000)} s: the API or the database answers very slowly. Requests end after tailscale.totalTimeout or influx.giveUp and are then retried with smaller windows. Check the network and the load of the database`
}

function isLimited({ reason }: Gap): boolean {
  return reason === 'db_limit'
}

/** `reported` is unknown after a restart. */
function limitText(reported: string | undefined, gaps: readonly Gap[]): string {
  const why =
    reported ??
    'The database has reached a limit of series or tag values. Raise it (InfluxDB 1.x: max-values-per-tag, max-series-per-database), or write fewer series with TAILFLUX_PORTS=none.'
  const [first, last] = [gaps[0], gaps.at(-1)]
  if (first === undefined || last === undefined)
    return `${why} A late pass failed because of it and is retried automatically.`
  const range = `${isoOf(first.fromNs)} and ${isoOf(last.toNs)}`
  return `${why} The refused points lie between ${range}; they are retried every ten minutes (next: ${isoOf(first.nextNs)}); everything else is stored.`
}

function gapText(gaps: readonly Gap[]): string {
  const first = gaps[0]
  if (first === undefined) return ''
  const more = gaps.length > 1 ? ` and ${gaps.length - 1} more` : ''
  const next = isoOf(gaps.reduce((soonest, gap) => (gap.nextNs < soonest ? gap.nextNs : soonest), first.nextNs))
  return `the API cannot answer for ${isoOf(first.fromNs)} to ${isoOf(first.toNs)} (${first.reason})${more}; this range is retried automatically (next: ${next}), and nothing else waits for it`
}
