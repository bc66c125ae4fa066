/** The pipeline: composes the parts below and runs the polls. One poll (tick) reads until nothing is missing below the safe read horizon.
 * Ticks never overlap: schedule/ sees to it, and a call during a tick gets the promise of that tick.
 *
 *   planner           which window is read next, and how long it is; bisection: where a range that cannot be read ends
 *   worker-pool       how many windows are read at a time, and everything that makes reading wait
 *   window-runner     one planned window, and what follows from how it ended
 *   deliver-window    reads, flattens and writes one window, then marks it done; quarantine: what cannot be stored
 *   source-clock      what time it is at the API, and up to where it may be read
 *   backoff           how long reading waits after a failure of the API or of the state file
 *   circuit-breaker   nothing is fetched that could not be written
 *   backfill, expiry  history that was requested, and what the API no longer has
 *   recovery/         what is done, as ledger and database agree on it
 *
 * What /health, the metrics and the status page say about all this is in observe/line/. */
import type { Logger } from 'pino'
import { max } from '../base/bigint.ts'
import { type Clock, DAY, HOUR, MS } from '../base/clock.ts'
import { isoOf } from '../base/format.ts'
import type { Semaphore } from '../base/semaphore.ts'
import type { Interval, Ledger } from '../ledger/ledger.ts'
import type { BackfillRequests } from '../ledger/sqlite/backfill-requests.ts'
import { unsettledText } from '../ledger/unsettled-text.ts'
import type { HealthReport } from '../observe/health.ts'
import { createDatabaseHealth } from '../observe/line/database-health.ts'
import { createLineHealth } from '../observe/line/line-health.ts'
import { createLiveness } from '../observe/line/liveness.ts'
import type { TickResult } from '../observe/line/status.ts'
import {
  type BackfillStatus,
  createDelivered,
  type Delivered,
  gapView,
  type PipelineStatus,
  passesOf,
} from '../observe/line/status.ts'
import type { PipelineMetrics } from '../observe/metrics.ts'
import type { Observers } from '../observers/observers.ts'
import { probePoint } from '../sink/probe-point.ts'
import type { Sink } from '../sink/sink.ts'
import type { Source } from '../source/source.ts'
import { createBackfill } from './backfill.ts'
import { createBackoff } from './backoff.ts'
import { createCircuitBreaker } from './circuit-breaker.ts'
import type { DeliverWindowDeps, WorkerParts } from './deliver-window.ts'
import { createExpiry } from './expiry.ts'
import { createPlanner, type Planner } from './planner.ts'
import { createCheckpoint } from './recovery/checkpoint.ts'
import { createRecovery, isOutage, isRefusal, type LineSettings } from './recovery/recovery.ts'
import { createSafeReadHorizon, createSourceClock } from './source-clock.ts'
import { createWindowRunner } from './window-runner.ts'
import { runWorkers } from './worker-pool.ts'

export interface PipelineOptions {
  /** The value of the `tailnet` tag. */
  readonly tailnet: string
  /** The longest time between two polls. */
  readonly intervalMs: number
  readonly lagMs: number
  readonly lookbackMs: number
  readonly retentionMs: number
  readonly windowMaxMs: number
  readonly windowBytesTarget: number
  readonly parallel: number
  readonly latePassesMs: readonly number[]
  /** The longest that the API and the database may keep one step of a poll waiting, by their timeouts. */
  readonly stepMaxMs: number
}

export interface PipelineDeps {
  readonly source: Source
  readonly sink: Sink
  readonly ledger: Ledger
  readonly settings: LineSettings
  /** Devices that are known by name. */
  readonly devicesKnown: () => number
  /** History that was requested. */
  readonly backfillRequests?: BackfillRequests
  readonly deadLetters: DeliverWindowDeps['deadLetters']
  /** Batches in flight, over all workers. */
  readonly semaphore: Semaphore
  readonly observers: Pick<Observers, 'begin'>
  readonly metrics: PipelineMetrics
  readonly health: HealthReport
  /** What an earlier pipeline of this process delivered. */
  readonly delivered?: Delivered
  readonly createWorker: () => WorkerParts
  readonly clock: Clock
  readonly log: Logger
  /** From 0 to 1; for jitter. */
  readonly random: () => number
}

export interface Pipeline {
  /** Reads until nothing is missing. A call during a running tick gets that tick's promise. Rejects only on a programmer's error. */
  tick(): Promise<TickResult>
  /** Reports to metrics and health how far reading is: for a timer, so that a window that hangs shows while it hangs. */
  watch(): void
  /** False when polls hang, or none begins, and only a restart helps. An API or a database that is away or slow never makes it false. */
  isAlive(): boolean
  /** The source clock: the earlier of the local clock and the API's, ns. */
  sourceNowNs(): bigint
  /** Starts no new window until `resume`; windows in progress are finished. */
  pause(): void
  resume(): void
  /** Reads this range of `logged` time too, clipped to what the API still has. It replaces an earlier request. `again`: also what is done
   * already, but for what version 0.1.0 wrote, unless the operator deleted it (`isOldDeleted`). Throws a CollectorError: `config_invalid` when that is
   * not so or the API has nothing of the range, others of the state file. */
  backfill(range: Interval, again: boolean, isOldDeleted?: boolean): BackfillStatus
  /** Drops the backfill request; what was read stays. */
  cancelBackfill(): void
  /** No new window; waits `graceMs` for those in progress, then aborts them. Idempotent. */
  stop(graceMs?: number): Promise<void>
  status(): PipelineStatus
}

/** A late pass keeps at most this many bytes of lines in memory until it knows whether anything changed. */
const HELD_BYTES_MAX = 16 << 20
const COMPACT_EVERY_MS = 600_000
const OFTEN_MS = 60_000

export function createPipeline(options: PipelineOptions, deps: PipelineDeps): Pipeline {
  const { clock, ledger, log, metrics, health, sink, source } = deps
  const lagNs = BigInt(options.lagMs) * MS
  const latePassesNs = options.latePassesMs.map((ms) => BigInt(ms) * MS)
  const lastPassNs = latePassesNs.at(-1) ?? 0n
  const stopping = new AbortController()
  const aborting = new AbortController()
  let planner: Planner | undefined
  let running: Promise<TickResult> | undefined
  let compactDueMs = 0
  let isPaused = false

  const sourceClock = createSourceClock(options, deps)
  const { safeNowNs, floorNs } = sourceClock
  // However rare polls are: a long poll also looks for new records, and retries what failed.
  const oftenMs = Math.min(options.intervalMs, OFTEN_MS)
  const horizon = createSafeReadHorizon({ intervalMs: oftenMs, lagNs }, { clock, sourceClock })
  const backoff = createBackoff({ intervalMs: oftenMs }, deps)
  const { delivered = createDelivered(clock) } = deps
  const line = createLineHealth(options, { ...deps, sourceClock })
  const expiry = createExpiry({ ledger, sourceClock, metrics, log })
  const backfill = createBackfill({
    ledger,
    ...(deps.backfillRequests ? { requests: deps.backfillRequests } : {}),
    counts: delivered.backfill,
    log,
  })
  const database = createDatabaseHealth(deps)
  const liveness = createLiveness({ gapMs: options.intervalMs, stepMaxMs: options.stepMaxMs }, clock)
  const breaker = createCircuitBreaker({
    probe: (isRecovering, signal) => sink.probe(signal, isRecovering ? probePoint(options, clock.now()) : undefined),
    clock,
    onChange(error) {
      database.changed(error)
      if (error && !isRefusal(error)) recovery.databaseWasAway()
    },
  })
  const carried = () => ({ unsettled: unsettledText(ledger.unsettled), settings: deps.settings.text() })
  const recovery = createRecovery(
    { ...options, lagNs, lastPassNs },
    { source, sink, ledger, settings: deps.settings, carried, sourceClock, backoff, breaker, health, clock, log },
  )
  const checkpoint = createCheckpoint(
    { ...options, latePasses: latePassesNs.length },
    { ...deps, carried, sourceClock, breaker, recovery },
  )
  sink.listen(database.listener)
  sink.listen({
    failed(error) {
      if (isOutage(error)) recovery.databaseWasAway()
    },
    succeeded: breaker.acknowledged,
  })
  sink.listen({ failed: liveness.moved, succeeded: liveness.moved })
  sink.listen({ failed: () => undefined, succeeded: line.moved })
  const control = { sourceClock, horizon, backoff, breaker, recovery, backfill, expiry, liveness }
  const reports = { database, line, delivered }
  const limits = { lagNs, safeNowNs: hearAnswer, passAt, heldBytesMax: HELD_BYTES_MAX }
  const runWindow = createWindowRunner({ ...deps, ...control, ...reports, ...limits, checkpoint }, aborting.signal)

  /** The Date of an answer is the time when it began to arrive. By the end of the window that may be minutes ago. */
  function hearAnswer(serverNs: bigint | undefined): bigint {
    sourceClock.hear(serverNs)
    return safeNowNs(serverNs)
  }

  function passAt(ageNs: bigint): number {
    return 1 + latePassesNs.filter((passNs) => ageNs >= passNs).length
  }

  function newestDoneNs(): bigint {
    return ledger.settled().at(-1)?.toNs ?? ledger.originNs() ?? 0n
  }

  /** The API has not sent a Date yet, or the clocks disagree and leave nothing to read. One wrong Date header must not stop reading for
   * hours. */
  function isTimeDoubtful(): boolean {
    return !sourceClock.isHeard || (!sourceClock.isAgreed() && safeNowNs() - lagNs <= newestDoneNs())
  }

  async function begin(signal: AbortSignal): Promise<Planner | undefined> {
    if (!(await recovery.reach(signal))) return undefined
    if (planner) return planner
    planner = createPlanner(
      {
        intervalNs: BigInt(options.intervalMs) * MS,
        windowMaxNs: BigInt(options.windowMaxMs) * MS,
        windowBytesTarget: options.windowBytesTarget,
        latePassesNs,
        backfillRange: () => backfill.range(floorNs()),
        monotonicMs: clock.monotonicMs,
      },
      ledger,
      safeNowNs(),
    )
    return planner
  }

  async function tickOnce(): Promise<TickResult> {
    const signal = AbortSignal.any([stopping.signal, aborting.signal])
    try {
      signal.throwIfAborted()
      if (isPaused) return 'paused'
      if (backoff.isStateWaiting()) return 'state_failed'
      if (!(await breaker.mayPass(signal))) return 'db_down'
      if (planner === undefined && backoff.apiWaitMs() > 0) return 'api_waiting'
      const plan = await begin(signal)
      if (plan === undefined)
        return breaker.state === 'open' ? 'db_down' : backoff.isStateWaiting() ? 'state_failed' : 'api_waiting'
      if (backoff.apiWaitMs() > 0) return 'api_waiting'
      if (isTimeDoubtful() && !(await recovery.askTime(signal))) return 'api_waiting'
      horizon.forget()
      if (!backoff.guardState(expiry.giveUp)) return 'state_failed'
      const result = await runWorkers(
        plan,
        { parallel: options.parallel, intervalMs: oftenMs },
        { ...control, runWindow, clock, isPaused: () => isPaused },
        signal,
      )
      if (result === 'caught_up') {
        health.set('state', 'ok')
        backoff.guardState(() => backfill.settle(floorNs(), safeNowNs()))
      }
      compact()
      return result
    } catch (error) {
      if (signal.aborted) return 'stopped'
      throw error
    }
  }

  function compact(): void {
    if (clock.monotonicMs() < compactDueMs) return
    compactDueMs = clock.monotonicMs() + COMPACT_EVERY_MS
    backoff.guardState(() => ledger.compact(safeNowNs() - max(lastPassNs + HOUR, DAY), recovery.comparedFromNs()))
  }

  return {
    tick() {
      if (running === undefined) liveness.pollBegan()
      running ??= tickOnce()
        .then((result) => {
          delivered.ticked(result)
          metrics.tick(result)
          line.measure()
          return result
        })
        .finally(() => {
          running = undefined
          liveness.pollEnded()
        })
      return running
    },

    watch: line.measure,
    isAlive: liveness.isAlive,
    sourceNowNs: () => safeNowNs(),

    pause() {
      isPaused = true
      health.set('line', 'warning', 'paused', 'Reading is paused; run `tailflux resume` to continue.', 'pause')
      log.info('paused until `tailflux resume`')
    },
    resume() {
      isPaused = false
      health.set('line', 'ok', undefined, undefined, 'pause')
      log.info('resumed')
    },
    backfill(range, again, isOldDeleted = false) {
      const nowNs = safeNowNs()
      return backfill.ask(range, { again, isOldDeleted, floorNs: floorNs(), horizonNs: nowNs - lagNs, nowNs })
    },
    cancelBackfill: backfill.cancel,

    async stop(graceMs = 8_000) {
      stopping.abort(new Error('stopping'))
      if (running === undefined) return
      const patience = new AbortController()
      const late = clock.sleep(graceMs, patience.signal).then(
        () => aborting.abort(new Error('stopping: the grace time is over')),
        () => undefined,
      )
      await running.catch(() => undefined)
      patience.abort()
      await late
    },

    status() {
      const watermarkNs = ledger.watermarkNs()
      const originNs = ledger.originNs()
      const horizonNs = horizon.standingNs()
      const timeAfter = (ms: number) => isoOf(clock.now() + BigInt(Math.round(ms)) * MS)
      return {
        tailnet: options.tailnet,
        sink: sink.label,
        watermarkNs: watermarkNs?.toString() ?? null,
        watermark: watermarkNs === undefined ? null : isoOf(watermarkNs),
        horizon: isoOf(horizonNs),
        origin: originNs === undefined ? null : isoOf(originNs),
        lagSeconds: watermarkNs === undefined ? null : Number(sourceClock.runningNs() - watermarkNs) / 1e9,
        backlogSeconds: planner ? Number(planner.backlogNs(horizonNs)) / 1e9 : 0,
        windowSeconds: planner ? Number(planner.windowNs) / 1e9 : 0,
        inFlight: deps.semaphore.taken,
        ...delivered.view(),
        gaps: ledger.gaps().map(gapView),
        passes: passesOf(ledger, options.latePassesMs, safeNowNs()),
        database: {
          state: breaker.state,
          code: breaker.error?.code ?? null,
          next: breaker.state === 'open' ? timeAfter(breaker.waitMs()) : null,
        },
        api: { next: backoff.apiWaitMs() > 0 ? timeAfter(backoff.apiWaitMs()) : null },
        clockSkewSeconds: sourceClock.skewSeconds(),
        devicesKnown: deps.devicesKnown(),
        paused: isPaused || stopping.signal.aborted,
        backfill: backfill.status(isPaused),
      }
    },
  }
}
