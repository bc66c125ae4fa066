/** The loop around `runWindow`: asks the planner, keeps a bounded number of windows going, and turns every failure into the right
 * wait. One tick reads until nothing is missing below the trailing edge; ticks never overlap (schedule/ sees to it, and so do we).
 *
 *   gate closed      nothing is fetched; the gate probes slowly
 *   API says later   all reading waits (Retry-After, or exponential with jitter)
 *   API says no      the same, slower, and a person is told what to mend
 *   too much         the window comes back in smaller pieces (planner)
 *   state file fails the window stays not done; reading waits */
import type { Logger } from 'pino'
import { type Clock, DAY, HOUR, MS, SECOND } from '../clock.ts'
import { CollectorError } from '../errors.ts'
import type { Gap, GapReason, Interval, Ledger } from '../ledger/ledger.ts'
import type { Wanted } from '../ledger/wanted.ts'
import type { Names } from '../names/names.ts'
import { encodeLine } from '../sink/lines-own.ts'
import type { Sink } from '../sink/sink.ts'
import type { Source } from '../source/source.ts'
import { createBackfill } from './backfill.ts'
import { createGate } from './gate.ts'
import type { PipelineMetrics } from './metrics.ts'
import { createPlanner, type PlannedWindow, type Planner } from './planner.ts'
import { createRates } from './rates.ts'
import { type LaneParts, type RunWindowDeps, runWindow, type WindowResult } from './run-window.ts'
import { END_OF_TIME, HEAL_NS, reconcile } from './start-up.ts'
import { max, min } from './window-size.ts'

export interface PipelineOptions {
  /** The value of the `tailnet` tag. */
  readonly tailnet: string
  readonly intervalMs: number
  readonly lagMs: number
  readonly lookbackMs: number
  readonly retentionMs: number
  readonly windowMaxMs: number
  readonly windowBytesTarget: number
  readonly parallel: number
  readonly latePassesMs: readonly number[]
  readonly devicesIntervalMs: number
}

/** How the rooms are, as seen from the line. `text` is a sentence that ends with the mend. */
export interface HealthReport {
  set(
    room: 'source' | 'sink' | 'state' | 'names' | 'line' | 'clock',
    status: 'ok' | 'warning' | 'error',
    code?: string,
    text?: string,
  ): void
}

export interface PipelineDeps
  extends Omit<
    RunWindowDeps,
    'source' | 'sink' | 'ledger' | 'lagNs' | 'presentNs' | 'passAt' | 'heldBytesMax' | 'nextAckNs'
  > {
  readonly source: Source
  readonly sink: Sink
  readonly ledger: Ledger
  readonly names: Names
  /** History that somebody asked for. */
  readonly wanted?: Wanted
  readonly health: HealthReport
  readonly createLane: () => LaneParts
  readonly metrics: PipelineMetrics
  readonly clock: Clock
  readonly log: Logger
  /** From 0 to 1; for jitter. */
  readonly random: () => number
}

export const TICK_RESULTS = ['caught_up', 'db_down', 'api_waiting', 'state_failed', 'paused', 'stopped'] as const
export type TickResult = (typeof TICK_RESULTS)[number]

export interface PipelineStatus {
  readonly tailnet: string
  readonly sink: string
  /** ns since the epoch as text, or null before the first window. */
  readonly watermarkNs: string | null
  readonly watermark: string | null
  readonly edge: string | null
  readonly origin: string | null
  readonly lagSeconds: number | null
  readonly backlogSeconds: number
  readonly windowSeconds: number
  readonly inFlight: number
  readonly rates: { messages: number; entries: number; points: number; bytes: number }
  readonly totals: {
    windows: number
    messages: number
    entries: number
    points: number
    bytes: number
    quarantined: number
    rejected: number
    expired: number
    late: number
  }
  readonly gaps: readonly {
    from: string
    to: string
    reason: string
    state: string
    attempts: number
    next: string | null
  }[]
  readonly lastWindow: {
    from: string
    to: string
    lane: string
    pass: number
    points: number
    durationMs: number
  } | null
  readonly lastTick: { result: TickResult; at: string } | null
  readonly clockSkewSeconds: number | null
  readonly devicesKnown: number
  readonly paused: boolean
  /** History that was asked for; the last one stays here when it is done. */
  readonly backfill: BackfillStatus | null
}

export interface BackfillStatus {
  readonly from: string
  readonly to: string
  readonly state: 'running' | 'paused' | 'done'
  /** From 0 to 1. */
  readonly share: number
  /** Since it was asked for, or since the start of this process. */
  readonly windows: number
  readonly messages: number
  readonly points: number
  readonly missingSeconds: number
  /** Open gaps inside: the API cannot answer for them now; they are tried again by themselves. */
  readonly gapSeconds: number
}

export interface Pipeline {
  /** Reads until nothing is missing. A call during a running tick gets that tick's promise. Rejects only on a programmer's error. */
  tick(): Promise<TickResult>
  /** Tells metrics and health how far reading is: for a timer, so that a window that hangs shows while it hangs. */
  watch(): void
  /** No new window until `resume`; what is under way is finished. */
  pause(): void
  resume(): void
  /** Reads this range of `logged` time too, clipped to what the API still has; in place of an earlier wish. `again`: also what is done already.
   * Resolves with what it will be. Rejects with a CollectorError: `config_invalid` when the API has nothing of it, others of the state file. */
  backfill(range: Interval, again: boolean): BackfillStatus
  /** Forgets the wish; what was read stays. */
  cancelBackfill(): void
  /** No new window; waits `graceMs` for those under way, then aborts them. Idempotent. */
  stop(graceMs?: number): Promise<void>
  status(): PipelineStatus
}

/** A late pass holds at most so much of what it may not have to write. */
const HELD_BYTES_MAX = 16 << 20
const RETENTION_MARGIN = HOUR
/** The Date header has whole seconds, and the answer takes its time. */
const CLOCK_TOLERANCE = 2n * SECOND
/** After so many 5xx in a row the window may be what the API cannot answer. */
const UNAVAILABLE_MAX = 3
/** A window that takes longer is told; most take a second. */
const STALLED_MS = 120_000
/** Trouble that passes by itself is a warning first and an error after so long. */
const TROUBLE_ERROR_MS = 300_000

const GAP_REASON_OF: Partial<Record<string, GapReason>> = {
  api_timeout: 'timeout',
  api_gateway: 'gateway',
  api_truncated: 'truncated',
  api_too_large: 'too_large',
  api_not_json: 'not_json',
  api_unavailable: 'unavailable',
  imbalance: 'imbalance',
}

export function createPipeline(options: PipelineOptions, deps: PipelineDeps): Pipeline {
  const { clock, ledger, log, metrics, health } = deps
  const lagNs = BigInt(options.lagMs) * MS
  const retentionNs = BigInt(options.retentionMs) * MS
  const latePassesNs = options.latePassesMs.map((ms) => BigInt(ms) * MS)
  const lastPassNs = latePassesNs.at(-1) ?? 0n
  const stopping = new AbortController()
  const aborting = new AbortController()
  const rates = createRates(clock.monotonicMs())
  const lanes: LaneParts[] = []
  const totals = {
    windows: 0,
    messages: 0,
    entries: 0,
    points: 0,
    bytes: 0,
    quarantined: 0,
    rejected: 0,
    expired: 0,
    late: 0,
  }
  let planner: Planner | undefined
  let hasAgreed = false
  let lastAckedNs = 0n
  /** Windows under way, and when one of them came to an end, good or bad, or the first of them began. */
  let flyingCount = 0
  let progressMs = clock.monotonicMs()
  let running: Promise<TickResult> | undefined
  let edgeNs: bigint | undefined
  let edgeSetNs = 0n
  // The last Date header, and both local clocks when it came.
  let heard: { serverNs: bigint; wallNs: bigint; monotonicMs: number } | undefined
  let isApiProven = false
  let apiWaitUntilMs = 0
  let apiFailures = 0
  let unavailable = 0
  let apiTroubleSinceMs: number | undefined
  let dbTroubleSinceMs: number | undefined
  let isMirrorRefused = false
  let stateWaitUntilMs = 0
  let devicesDueMs = 0
  let compactDueMs = 0
  let lastWindow: PipelineStatus['lastWindow'] = null
  let lastTick: PipelineStatus['lastTick'] = null
  let isPaused = false
  const backfill = createBackfill({ ledger, ...(deps.wanted ? { wanted: deps.wanted } : {}), log })

  const gate = createGate({
    sink: deps.sink,
    clock,
    onOpen: heal,
    onChange(error) {
      metrics.dbUp(error === undefined)
      metrics.hold('sink', error?.reaction === 'hold' ? error.code : undefined)
      if (error) log.warn({ code: error.code, err: error }, 'database does not take writes, reading waits')
      else if (dbTroubleSinceMs !== undefined) log.info('database takes writes again')
      dbTroubleSinceMs = error && (dbTroubleSinceMs ?? clock.monotonicMs())
      reportTrouble('sink', error, dbTroubleSinceMs)
    },
  })
  const runDeps: RunWindowDeps = { ...deps, lagNs, presentNs, passAt, heldBytesMax: HELD_BYTES_MAX, nextAckNs }

  function reportTrouble(
    room: 'source' | 'sink',
    error: CollectorError | undefined,
    sinceMs: number | undefined,
  ): void {
    if (error === undefined) return health.set(room, 'ok')
    const lasting = sinceMs !== undefined && clock.monotonicMs() - sinceMs >= TROUBLE_ERROR_MS
    health.set(room, error.reaction === 'hold' || lasting ? 'error' : 'warning', error.code, error.message)
  }

  /** A database that was away may have lost what it had acknowledged just before: read that again. */
  function heal(closedSinceNs: bigint): void {
    hasAgreed = false
    const lost = ledger.recent(Number.MAX_SAFE_INTEGER).filter((window) => window.atNs >= closedSinceNs - HEAL_NS)
    if (lost.length === 0) return
    guardState(() => {
      for (const window of lost) ledger.forget(window)
      log.info(
        { windowCount: lost.length },
        'reading again what was acknowledged shortly before the database went away',
      )
    })
  }

  /** Runs a change of the state file; a failure is told and makes reading wait, and the change counts as not made. */
  function guardState(change: () => void): boolean {
    try {
      change()
      return true
    } catch (error) {
      stateFailed(error)
      return false
    }
  }

  function stateFailed(error: unknown): void {
    if (!(error instanceof CollectorError)) throw error
    metrics.stateWriteFailed()
    health.set('state', 'error', error.code, error.message)
    log.error({ code: error.code, err: error }, 'state file cannot be written, reading waits')
    stateWaitUntilMs = clock.monotonicMs() + options.intervalMs
  }

  /** The API's present by its own clock: from its last Date header and monotonic time, so that a local wall clock that jumps does not
   * matter; the local clock where that agrees (it is finer) or nothing was heard yet. */
  function serverNowNs(): bigint {
    const nowNs = clock.now()
    if (heard === undefined) return nowNs
    const estimateNs = heard.serverNs + elapsedNs(heard)
    return isNear(nowNs, estimateNs) ? nowNs : estimateNs
  }

  /** The present for all that cannot be undone (a window is done, a late pass was made, a range is given up): the earlier of both clocks.
   * With one of them fast nothing is lost; with one of them slow everything is late, which the warning about the clocks tells. */
  function presentNs(serverNs: bigint = serverNowNs()): bigint {
    return min(clock.now(), serverNs)
  }

  /** The oldest that the API still has, for sure. */
  function floorNs(): bigint {
    return presentNs() - retentionNs + RETENTION_MARGIN
  }

  function passAt(ageNs: bigint): number {
    return 1 + latePassesNs.filter((passNs) => ageNs >= passNs).length
  }

  /** The edge is only what we ask for: how far a window is done is told by the Date header of its own answer (run-window). */
  function refreshEdge(): bigint {
    const nowNs = clock.now()
    const isStale = nowNs - edgeSetNs >= BigInt(options.intervalMs) * MS || nowNs < edgeSetNs
    if (edgeNs === undefined || isStale) {
      // When the wall clock jumped, or the machine slept, nobody knows better until the API is heard again: ask for more rather than less.
      const isDoubtful = heard !== undefined && !isNear(nowNs - heard.wallNs, elapsedNs(heard))
      edgeNs = (isDoubtful ? nowNs : presentNs()) - lagNs
      edgeSetNs = nowNs
    }
    return edgeNs
  }

  function elapsedNs(since: { monotonicMs: number }): bigint {
    return BigInt(Math.round((clock.monotonicMs() - since.monotonicMs) * 1e6))
  }

  /** Beyond the retention of the API nothing can be read any more: an exact gap, told for ever. */
  function giveUpExpired(): void {
    const originNs = ledger.originNs()
    if (originNs === undefined) return
    const oldestNs = floorNs()
    for (const piece of originNs < oldestNs ? ledger.missing(originNs, oldestNs) : []) {
      ledger.loseGap(piece, 'beyond_retention', presentNs())
      metrics.gapLost('beyond_retention', Number(piece.toNs - piece.fromNs) / 1e9)
      log.error(
        { from: isoOf(piece.fromNs), to: isoOf(piece.toNs) },
        'gap beyond the retention of the API, these records are lost',
      )
    }
  }

  /** Nobody has told the time yet, or the clocks disagree and by them there is nothing to ask for. One Date header that was wrong must not silence the API for hours. */
  function isTimeDoubtful(): boolean {
    return heard === undefined || (serverNowNs() !== clock.now() && presentNs() - lagNs <= newestDoneNs())
  }

  function newestDoneNs(): bigint {
    return ledger.settled().at(-1)?.toNs ?? ledger.originNs() ?? 0n
  }

  /** A name counts from here on: never for messages that were read already, should both clocks be behind. */
  function afterAllReadNs(): bigint {
    return max(presentNs(), newestDoneNs() + 1n)
  }

  async function refreshDevices(signal: AbortSignal): Promise<void> {
    if (clock.monotonicMs() < devicesDueMs) return
    devicesDueMs = clock.monotonicMs() + options.devicesIntervalMs
    try {
      const devices = await deps.source.devices(signal)
      if (guardState(() => deps.names.observe(devices, afterAllReadNs()))) health.set('names', 'ok')
      metrics.devicesKnown(deps.names.count())
    } catch (error) {
      signal.throwIfAborted()
      if (!(error instanceof CollectorError)) throw error
      // Names are a comfort: clients from 1.92 on tell them in the message. Reading goes on.
      health.set('names', 'warning', error.code, error.message)
      log.warn({ code: error.code, err: error }, 'device names cannot be read')
      devicesDueMs = clock.monotonicMs() + Math.min(options.devicesIntervalMs, 60_000)
    }
  }

  /** Hears the API's clock from a window of a millisecond, unread. False when it cannot be asked now. */
  async function askTime(signal: AbortSignal): Promise<boolean> {
    try {
      const toNs = clock.now() - lagNs
      const answer = await deps.source.open({ fromNs: toNs - MS, toNs }, signal)
      hear(answer.serverNs)
      for await (const _ of answer.groups) break
      apiWorks()
      return true
    } catch (error) {
      signal.throwIfAborted()
      if (!(error instanceof CollectorError)) throw error
      log.warn({ code: error.code, reaction: error.reaction, err: error }, 'API cannot be asked, reading waits')
      apiFails(error)
      return false
    }
  }

  function hear(serverNs: bigint | undefined): void {
    if (serverNs === undefined) {
      if (heard === undefined)
        health.set(
          'clock',
          'warning',
          'no_date',
          'the API tells no time (Date header), so the clock of this machine stands in: keep it right, and look for a proxy that takes headers away',
        )
      return
    }
    heard = { serverNs, wallNs: clock.now(), monotonicMs: clock.monotonicMs() }
    const skewMs = Number((heard.wallNs - serverNs) / MS)
    // The header has whole seconds.
    if (Math.abs(skewMs) < options.lagMs / 2 + 1_000) return health.set('clock', 'ok')
    const [seconds, way] = [Math.round(Math.abs(skewMs) / 1000), skewMs > 0 ? 'ahead of' : 'behind']
    health.set(
      'clock',
      'warning',
      'skew',
      `the clock of this machine is ${seconds} s ${way} the API's; nothing is lost, but with a clock that is behind everything is late by as much: set it right (NTP)`,
    )
  }

  /** Agrees with the database about what is done; at the start, and again whenever it was away. False when that was not possible now. */
  async function agree(signal: AbortSignal): Promise<boolean> {
    if (hasAgreed) return true
    // A local clock that is wrong would begin a look-back in the future, or give up all that was missed as beyond the retention.
    if (heard === undefined && !(await askTime(signal))) return false
    try {
      const mirrorAckedNs = await reconcile(
        {
          tailnet: options.tailnet,
          nowNs: presentNs(),
          floorNs: floorNs(),
          lookbackNs: BigInt(options.lookbackMs) * MS,
          lastPassNs,
        },
        { ledger, sink: deps.sink, log },
        signal,
      )
      // Also above what was mirrored by a ledger that is lost, or a database that is restored would look as if it had lost nothing.
      lastAckedNs = ledger
        .recent(Number.MAX_SAFE_INTEGER)
        .reduce((latest, window) => max(latest, window.atNs), max(lastAckedNs, mirrorAckedNs))
    } catch (error) {
      signal.throwIfAborted()
      if (!(error instanceof CollectorError)) throw error
      if (error.stage === 'ledger') stateFailed(error)
      else gate.close(error)
      return false
    }
    hasAgreed = true
    return true
  }

  async function begin(signal: AbortSignal): Promise<Planner | undefined> {
    if (!(await agree(signal))) return undefined
    if (planner) return planner
    await refreshDevices(signal)
    if (!guardState(() => deps.names.readingBegins(presentNs()))) return undefined
    planner = createPlanner(
      {
        intervalNs: BigInt(options.intervalMs) * MS,
        windowMaxNs: BigInt(options.windowMaxMs) * MS,
        windowBytesTarget: options.windowBytesTarget,
        latePassesNs,
        wanted: () => backfill.range(floorNs()),
      },
      ledger,
      presentNs(),
    )
    return planner
  }

  /** A clock of acknowledgements that only goes forward, whatever the wall clock does. */
  function nextAckNs(): bigint {
    lastAckedNs = max(clock.now(), lastAckedNs + 1n)
    return lastAckedNs
  }

  async function walk(window: PlannedWindow, plan: Planner, parts: LaneParts): Promise<void> {
    let result: WindowResult
    if (flyingCount === 0) progressMs = clock.monotonicMs()
    flyingCount += 1
    try {
      result = await runWindow(window, parts, runDeps, aborting.signal)
    } catch (error) {
      failed(window, plan, error)
      return
    } finally {
      flyingCount -= 1
      progressMs = clock.monotonicMs()
      lanes.push(parts)
    }
    gate.confirmed()
    apiWorks()
    const { bytes, pass } = result
    plan.succeeded(window, { toNs: result.doneToNs ?? window.fromNs, bytes, pass }, presentNs())
    learn(window, result)
    if (result.doneToNs !== undefined) await mirror(window, result.doneToNs, result)
  }

  function apiWorks(): void {
    isApiProven = true
    apiFailures = 0
    unavailable = 0
    apiTroubleSinceMs = undefined
    metrics.apiUp(true)
    metrics.hold('source', undefined)
    health.set('source', 'ok')
  }

  function learn(window: PlannedWindow, result: WindowResult): void {
    const askedEdgeNs = edgeNs
    hear(result.serverNs)
    if (result.serverNs !== undefined) edgeNs = undefined
    // The clocks did not allow the whole window: until the next edge there is nothing more to ask for.
    const reachedNs = result.doneToNs ?? window.fromNs
    edgeNs = reachedNs < window.toNs ? min(refreshEdge(), reachedNs) : (askedEdgeNs ?? refreshEdge())
    const nowMs = clock.monotonicMs()
    rates.add(nowMs, result)
    totals.windows += 1
    for (const key of ['messages', 'entries', 'points', 'bytes', 'quarantined', 'rejected', 'expired'] as const)
      totals[key] += result[key]
    if (window.previous && result.changed) {
      const messages = Math.max(1, result.messages - window.previous.messages)
      totals.late += messages
      metrics.late(window.pass, messages, Number(serverNowNs() - window.toNs) / 1e9)
    }
    if (window.lane === 'backfill') backfill.learn(result)
    metrics.windowDone(window.pass, result)
    lastWindow = {
      from: isoOf(window.fromNs),
      to: isoOf(reachedNs),
      lane: window.lane,
      pass: window.pass,
      points: result.points,
      durationMs: Math.round(result.durationMs),
    }
    log.info(
      {
        ...lastWindow,
        messages: result.messages,
        entries: result.entries,
        bytes: result.bytes,
        written: result.written,
      },
      'window done',
    )
    measure()
  }

  /** Where the first window begins that still waits for a late pass, due or not. */
  function firstPassDueNs(): bigint | undefined {
    return ledger.duePasses(latePassesNs.length + 1, END_OF_TIME, 1)[0]?.fromNs
  }

  /** The service about itself: `tailflux_window`, which also mirrors the watermark into the database. */
  async function mirror(window: PlannedWindow, doneToNs: bigint, result: WindowResult): Promise<void> {
    const watermarkNs = ledger.watermarkNs() ?? doneToNs
    const fields = {
      watermark: watermarkNs,
      acked: result.ackedNs,
      passed: min(watermarkNs, firstPassDueNs() ?? watermarkNs),
      lag_ms: (serverNowNs() - watermarkNs) / MS,
      messages: BigInt(result.messages),
      entries: BigInt(result.entries),
      points: BigInt(result.points),
      duration_ms: BigInt(Math.round(result.durationMs)),
    }
    const bytes = encodeLine(
      'tailflux_window',
      { pass: String(window.pass), tailnet: options.tailnet },
      fields,
      doneToNs,
    )
    try {
      const receipt = await deps.sink.write({ bytes, lineCount: 1, target: 'main' }, aborting.signal)
      reportMirror(receipt.written === 1)
    } catch (error) {
      if (aborting.signal.aborted) return
      if (!(error instanceof CollectorError)) throw error
      // The window is done all the same; a mirror that stays behind only means reading a little again some day.
      gate.close(error)
    }
  }

  /** A database that refuses what mirrors the ledger could not tell some day that it lost something. */
  function reportMirror(isTaken: boolean): void {
    if (isTaken !== isMirrorRefused) return
    isMirrorRefused = !isTaken
    if (isTaken) health.set('sink', 'ok')
    else {
      health.set(
        'sink',
        'warning',
        'db_rejected',
        'the database refuses the points of tailflux_window, so after it is restored from a backup nobody knows what it lost; the dead letters say why (a field type conflict, or a retention of minutes)',
      )
    }
  }

  function failed(window: PlannedWindow, plan: Planner, error: unknown): void {
    if (aborting.signal.aborted) return plan.released(window)
    if (!(error instanceof CollectorError)) throw error
    metrics.windowFailed(error.code)
    log.warn(
      {
        from: isoOf(window.fromNs),
        to: isoOf(window.toNs),
        lane: window.lane,
        code: error.code,
        reaction: error.reaction,
        err: error,
      },
      'window not done',
    )
    if (error.stage === 'ledger') {
      plan.released(window)
      return stateFailed(error)
    }
    if (error.stage === 'sink') {
      plan.released(window)
      return gate.close(error)
    }
    unavailable = error.code === 'api_unavailable' || error.code === 'api_not_json' ? unavailable + 1 : 0
    const isTooMuch = error.reaction === 'split' || error.code === 'imbalance' || unavailable >= UNAVAILABLE_MAX
    const reason = GAP_REASON_OF[error.code]
    if (isTooMuch && reason) {
      metrics.windowSplit()
      if (!guardState(() => plan.tooMuch(window, reason, presentNs()))) plan.released(window)
    } else plan.released(window)
    if (error.code === 'imbalance') health.set('line', 'error', error.code, error.message)
    else apiFails(error)
  }

  function apiFails(error: CollectorError): void {
    apiTroubleSinceMs ??= clock.monotonicMs()
    metrics.apiUp(false)
    metrics.hold('source', error.reaction === 'hold' ? error.code : undefined)
    reportTrouble('source', error, apiTroubleSinceMs)
    const [firstMs, mostMs] =
      error.reaction === 'hold' ? [30_000, 300_000] : error.reaction === 'split' ? [250, 30_000] : [1_000, 60_000]
    const ceilingMs = Math.min(mostMs, firstMs * 2 ** Math.min(apiFailures, 16))
    apiFailures += 1
    // Half fixed, half drawn: never at once, and not all installations at the same moment.
    const waitMs = error.retryAfterMs ?? ceilingMs / 2 + (ceilingMs / 2) * deps.random()
    apiWaitUntilMs = Math.max(apiWaitUntilMs, clock.monotonicMs() + waitMs)
  }

  function measure(): void {
    const watermarkNs = ledger.watermarkNs()
    const nowNs = serverNowNs()
    if (watermarkNs !== undefined) {
      const lag = Number(nowNs - watermarkNs) / 1e9
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
    metrics.inFlight(deps.slots.taken)
  }

  async function readAll(plan: Planner, signal: AbortSignal): Promise<TickResult> {
    const flying = new Set<Promise<void>>()
    let broken: unknown
    while (true) {
      const waitMs = apiWaitUntilMs - clock.monotonicMs()
      const canRead =
        broken === undefined &&
        !signal.aborted &&
        !isPaused &&
        gate.error === undefined &&
        waitMs <= 0 &&
        clock.monotonicMs() >= stateWaitUntilMs
      // At first and after a failure one window at a time feels its way.
      const most = isApiProven && apiFailures === 0 ? options.parallel : 1
      while (canRead && flying.size < most) {
        const window = plan.next(presentNs(), refreshEdge())
        if (window === undefined) break
        const parts = lanes.pop() ?? deps.createLane()
        const flight: Promise<void> = walk(window, plan, parts)
          .catch((error: unknown) => {
            broken ??= error
          })
          .finally(() => flying.delete(flight))
        flying.add(flight)
      }
      if (flying.size > 0) {
        await Promise.race(flying)
        continue
      }
      if (broken !== undefined) throw broken
      if (signal.aborted) return 'stopped'
      if (isPaused) return 'paused'
      if (gate.error !== undefined) return 'db_down'
      // Rounded up: a rest of less than a millisecond is a rest, and not the end.
      const restMs = Math.ceil(Number(plan.restNs(presentNs())) / 1e6)
      if (canRead && restMs > 0) {
        await clock.sleep(restMs, signal).catch(() => undefined)
        continue
      }
      if (canRead) return 'caught_up'
      if (clock.monotonicMs() < stateWaitUntilMs) return 'state_failed'
      if (waitMs > options.intervalMs) return 'api_waiting'
      await clock.sleep(waitMs, signal).catch(() => undefined)
    }
  }

  async function tickOnce(): Promise<TickResult> {
    const signal = AbortSignal.any([stopping.signal, aborting.signal])
    try {
      signal.throwIfAborted()
      if (isPaused) return 'paused'
      if (clock.monotonicMs() < stateWaitUntilMs) return 'state_failed'
      if (!(await gate.isOpen(signal))) return 'db_down'
      if (planner === undefined && clock.monotonicMs() < apiWaitUntilMs) return 'api_waiting'
      const plan = await begin(signal)
      if (plan === undefined)
        return gate.error ? 'db_down' : clock.monotonicMs() < stateWaitUntilMs ? 'state_failed' : 'api_waiting'
      if (clock.monotonicMs() < apiWaitUntilMs) return 'api_waiting'
      if (isTimeDoubtful() && !(await askTime(signal))) return 'api_waiting'
      await refreshDevices(signal)
      edgeNs = undefined
      if (!guardState(giveUpExpired)) return 'state_failed'
      const result = await readAll(plan, signal)
      if (result === 'caught_up') health.set('state', 'ok')
      if (result === 'caught_up') guardState(() => backfill.settle(floorNs(), presentNs()))
      compact()
      return result
    } catch (error) {
      if (signal.aborted) return 'stopped'
      throw error
    }
  }

  function compact(): void {
    if (clock.monotonicMs() < compactDueMs) return
    compactDueMs = clock.monotonicMs() + 600_000
    guardState(() => ledger.compact(presentNs() - max(lastPassNs + HOUR, DAY)))
  }

  return {
    tick() {
      running ??= tickOnce()
        .then((result) => {
          lastTick = { result, at: isoOf(clock.now()) }
          metrics.tick(result)
          measure()
          return result
        })
        .finally(() => {
          running = undefined
        })
      return running
    },

    watch: measure,

    pause() {
      isPaused = true
      log.info('paused, nothing is read until somebody lets it go on')
    },
    resume() {
      isPaused = false
      log.info('reading goes on')
    },
    backfill(range, again) {
      const nowNs = presentNs()
      return backfill.ask(range, { again, floorNs: floorNs(), edgeNs: nowNs - lagNs, nowNs })
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
      const present = edgeNs ?? serverNowNs() - lagNs
      return {
        tailnet: options.tailnet,
        sink: deps.sink.label,
        watermarkNs: watermarkNs?.toString() ?? null,
        watermark: watermarkNs === undefined ? null : isoOf(watermarkNs),
        edge: isoOf(present),
        origin: originNs === undefined ? null : isoOf(originNs),
        lagSeconds: watermarkNs === undefined ? null : Number(serverNowNs() - watermarkNs) / 1e9,
        backlogSeconds: planner ? Number(planner.backlogNs(present)) / 1e9 : 0,
        windowSeconds: planner ? Number(planner.windowNs) / 1e9 : 0,
        inFlight: deps.slots.taken,
        rates: rates.perSecond(clock.monotonicMs()),
        totals: { ...totals },
        gaps: ledger.gaps().map((gap) => ({
          from: isoOf(gap.fromNs),
          to: isoOf(gap.toNs),
          reason: gap.reason,
          state: gap.state,
          attempts: gap.attempts,
          next: gap.state === 'open' ? isoOf(gap.nextNs) : null,
        })),
        lastWindow,
        lastTick,
        clockSkewSeconds: heard === undefined ? null : Number(heard.wallNs - heard.serverNs) / 1e9,
        devicesKnown: deps.names.count(),
        paused: isPaused || stopping.signal.aborted,
        backfill: backfill.status(isPaused),
      }
    },
  }
}

function isNear(one: bigint, other: bigint): boolean {
  const difference = one - other
  return difference <= CLOCK_TOLERANCE && difference >= -CLOCK_TOLERANCE
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

/** RFC 3339 with milliseconds, for people. */
export function isoOf(ns: bigint): string {
  return new Date(Number(ns / MS)).toISOString()
}
