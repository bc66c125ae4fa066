/** The state of the line for `/health` and the metrics: how far reading is, open gaps, and whether windows still end. */
import type { Logger } from 'pino'
import type { Clock } from '../../base/clock.ts'
import type { CollectorError } from '../../base/errors.ts'
import { isoOf } from '../../base/format.ts'
import { createHashSet } from '../../base/hash-tables.ts'
import type { Semaphore } from '../../base/semaphore.ts'
import type { Gap, Ledger } from '../../ledger/ledger.ts'
import { LimitError, mostOf, whoseText } from '../../sink/limit-error.ts'
import type { DeadLetters } from '../../sink/sink.ts'
import type { HealthReport } from '../health.ts'
import type { PipelineMetrics } from '../metrics.ts'

export interface LineHealth {
  /** A window is in progress. */
  began(): void
  /** The database accepted only a part of a window, because of a limit: health is an error while such a gap is open. One error per batch. */
  limited(window: { readonly queue: string }, errors: readonly CollectorError[]): void
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
    /** The API's clock, which runs on while its Date header stands still. */
    readonly sourceClock: { runningNs(): bigint }
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
  /** The last progress: a window ended, lines were acknowledged, or the first window in progress began. */
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

/** A limit of series or tag values that the database has reached: why, and which node has the most new series of all that was refused since.
 * A series that is refused again counts once, so that a node with a few series that are retried again and again is not named. */
interface LimitProblem {
  /** The refusals of one window. */
  met(errors: readonly CollectorError[]): void
  /** No window waits for the limit any more. */
  ended(): void
  /** Undefined when nothing was refused since the start. */
  text(): string | undefined
}

/** Then counting ends: by then the node is known. At most 6 MiB while the limit lasts. */
const SERIES_MAX = 200_000
const NODES_MAX = 1_000

function createLimitProblem(log: Logger): LimitProblem {
  let error: CollectorError | undefined
  let seen = createHashSet(SERIES_MAX)
  const counts = new Map<string, number>()
  let named: string | undefined

  function count({ newSeries }: LimitError): void {
    for (const [node, series] of newSeries) {
      if (!counts.has(node) && counts.size >= NODES_MAX) continue
      for (const one of series)
        if (seen.size < SERIES_MAX && seen.add(one)) counts.set(node, (counts.get(node) ?? 0) + 1)
    }
  }

  return {
    met(errors) {
      const isNew = error === undefined
      for (const one of errors) if (one instanceof LimitError) count(one)
      error = errors.at(-1) ?? error
      const [node, series] = mostOf(counts)
      if (!isNew && node === named) return
      named = node
      log.warn({ code: 'db_limit', node, series, err: error }, 'database limit reached, refused points will be retried')
    },
    ended() {
      if (error === undefined) return
      error = undefined
      seen = createHashSet(SERIES_MAX)
      counts.clear()
      named = undefined
      log.info('database limit no longer blocks any window')
    },
    text: () => (error instanceof LimitError ? error.textWith(whoseText(counts)) : error?.message),
  }
}
