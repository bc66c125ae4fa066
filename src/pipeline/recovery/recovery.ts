/** Decides when ledger and database are compared: at the start, after each outage, however short, and every ten minutes, because a database
 * can be dropped and created again, or restored, between two polls. For what is compared see reconcile.ts. */
import type { Logger } from 'pino'
import { max, min } from '../../base/bigint.ts'
import { type Clock, HOUR, MS } from '../../base/clock.ts'
import { CollectorError } from '../../base/errors.ts'
import type { Interval, Ledger } from '../../ledger/ledger.ts'
import type { SettingsHistory } from '../../ledger/settings-history.ts'
import type { HealthReport } from '../../observe/health.ts'
import type { Sink } from '../../sink/sink.ts'
import type { Source } from '../../source/source.ts'
import type { Backoff } from '../backoff.ts'
import type { CircuitBreaker } from '../circuit-breaker.ts'
import type { WriteWatch } from '../deliver-window.ts'
import type { SourceClock } from '../source-clock.ts'
import { type CarriedTexts, createCheckpointReader } from './checkpoint.ts'
import {
  COMPARED_NS,
  lastOf,
  mayBeReadAgain,
  REWIND_NS,
  type Reconciled,
  reconcile,
  shortRetentionText,
} from './reconcile.ts'

export interface Recovery extends WriteWatch {
  /** Requests a window of 1 ms to learn the API's time from its Date header. False when the API is unavailable. */
  askTime(signal: AbortSignal): Promise<boolean>
  /** The comparison is due: no window may begin before it, and none may be in progress while it is made. */
  isDue(): boolean
  /** Compares when that is due. False when it was not possible. */
  reach(signal: AbortSignal): Promise<boolean>
  /** Compares at the next opportunity, because what prevented it is gone. */
  compareSoon(): void
  /** A request failed in a way that means the database may have been away. It may come back without recent writes. */
  databaseWasAway(): void
  /** What was acknowledged before this is not compared any more, ns. */
  comparedFromNs(): bigint
}

export interface RecoveryOptions {
  readonly tailnet: string
  readonly lookbackMs: number
  readonly lagNs: bigint
  readonly parallel: number
  /** Age of the last late pass. */
  readonly lastPassNs: bigint
}

/** How often the checkpoint is read back. */
export const COMPARE_EVERY_MS = 600_000

/** After this many comparisons in a row with an outage in the middle, reading continues for a minute. Otherwise nothing would be read any more
 * with a database where every request fails once. What is in doubt stays so until the next comparison. */
const COMPARED_AGAIN_MAX = 3
const COMPARE_SOON_MS = 60_000

/** After this many times a window counts as done although the database was away while it was written, or soon after. */
const INTERRUPTIONS_MAX = 5

/** Connection refused, reset, timed out, or a proxy that cannot reach the database. An answer with Retry-After comes from a database that is
 * there and overloaded. */
export function isOutage({ code, retryAfterMs }: CollectorError): boolean {
  if (code === 'db_overloaded') return retryAfterMs === undefined
  return code === 'db_unreachable' || code === 'db_timeout' || code === 'db_unavailable'
}

/** The database is there, and refuses what it was sent. */
export function isRefusal({ code }: CollectorError): boolean {
  return [
    'db_conflict',
    'db_limit',
    'db_rejected',
    'db_too_large',
    'dead_letters_full',
    'dead_letters_failed',
  ].includes(code)
}

/** The settings that decide what records become, without what they are. */
export interface LineSettings extends Pick<SettingsHistory<unknown>, 'settle' | 'text' | 'restore'> {
  /** Every name that the tailnet had while its changes of settings are kept, that of now first. */
  names(): readonly string[]
  /** Why some records cannot be written as they were written before; the text is a sentence that ends with the fix. */
  problem(nowNs: bigint): { readonly status: 'warning' | 'error'; readonly text: string } | undefined
}

export function createRecovery(
  options: RecoveryOptions,
  deps: {
    readonly source: Pick<Source, 'open'>
    readonly sink: Pick<Sink, 'checkpoint' | 'checkpointStates' | 'write'>
    readonly ledger: Ledger
    readonly settings: LineSettings
    readonly carried: CarriedTexts
    readonly sourceClock: SourceClock
    readonly backoff: Backoff
    /** Opens when the database does not answer. */
    readonly breaker: Pick<CircuitBreaker, 'failed'>
    readonly health: HealthReport
    readonly clock: Clock
    readonly log: Logger
  },
): Recovery {
  const { ledger, settings, sourceClock, backoff, clock, log } = deps
  const reader = createCheckpointReader(
    { tailnet: options.tailnet, tailnets: settings.names },
    { ...deps, writer: ledger.writer, nextAckNs },
  )
  let isStart = true
  let isReached = false
  let dueMs = Number.NEGATIVE_INFINITY
  let outages = 0
  /** What was acknowledged up to here was compared; undefined: everything must be. */
  let provenNs: bigint | undefined
  let lastAckedNs = 0n
  let lastAckedMs = clock.monotonicMs()
  /** When the database was last away, or when this process started. */
  let steadySinceMs = clock.monotonicMs()
  let lastAwayMs = Number.NEGATIVE_INFINITY
  /** What the current outage may have lost, by the clock of acknowledgements. */
  let doubt: { readonly fromNs: bigint; toNs: bigint } | undefined
  let unkeptToNs: bigint | undefined
  let reported: string | undefined
  let hasProblem = false
  /** Comparisons in a row that had an outage in the middle. */
  let disturbed = 0
  /** How often each window was interrupted (by its start) since the last comparison without an outage. */
  const interruptions = new Map<bigint, number>()

  function continueFrom(ackedNs: bigint): void {
    lastAckedNs = ackedNs
    lastAckedMs = clock.monotonicMs()
  }

  async function askTime(signal: AbortSignal): Promise<boolean> {
    try {
      const toNs = clock.now() - options.lagNs
      const answer = await deps.source.open({ fromNs: toNs - MS, toNs }, signal)
      sourceClock.hear(answer.serverNs)
      for await (const _ of answer.groups) break
      backoff.apiWorks()
      return true
    } catch (error) {
      signal.throwIfAborted()
      if (!(error instanceof CollectorError)) throw error
      const { code, reaction } = error
      // The backoff logs a refusal, once.
      log[reaction === 'hold' ? 'debug' : 'warn']({ code, reaction, err: error }, 'API unavailable; polling is on hold')
      backoff.apiFails(error)
      return false
    }
  }

  function nextAckNs(): bigint {
    const passedNs = BigInt(Math.floor((clock.monotonicMs() - lastAckedMs) * 1e6))
    continueFrom(max(clock.now(), lastAckedNs + max(passedNs, 1n)))
    return lastAckedNs
  }

  function mayInterrupt({ fromNs }: Interval): boolean {
    const count = (interruptions.get(fromNs) ?? 0) + 1
    interruptions.set(fromNs, count)
    return count <= INTERRUPTIONS_MAX
  }

  /** What was acknowledged shortly before an outage may be lost even if the checkpoint is not. */
  function readDoubtfulAgain(): void {
    if (doubt === undefined) return
    const { fromNs, toNs } = doubt
    const lost = mayBeReadAgain(ledger.recent(Number.MAX_SAFE_INTEGER), ledger).filter(
      (window) => window.atNs >= fromNs && window.atNs <= toNs && mayInterrupt(window),
    )
    for (const window of lost) ledger.forget(window)
    doubt = undefined
    if (lost.length > 0)
      log.info({ windowCount: lost.length }, 're-reading windows acknowledged shortly before the database went away')
  }

  function report({ unproven }: Pick<Reconciled, 'unproven'>): void {
    const keptNs = unkeptToNs === undefined ? COMPARED_NS : sourceClock.safeNowNs() - unkeptToNs
    const code = unproven?.code ?? (keptNs < COMPARED_NS ? 'retention_short' : undefined)
    const text =
      unproven === undefined
        ? shortRetentionText(keptNs)
        : `points are written, but lost points are not noticed: ${unproven.text}`
    // A kind of database without queries is not a problem: it cannot be fixed.
    const isProblem = code !== undefined && unproven?.isByNature !== true
    if (isProblem) deps.health.set('sink', 'warning', code, text, 'checkpoint')
    else deps.health.set('sink', 'ok', undefined, undefined, 'checkpoint')
    if (code !== undefined && code !== reported)
      log[isProblem ? 'warn' : 'info']({ code, reason: text }, 'checkpoint cannot be compared')
    else if (code === undefined && reported !== undefined) log.info('checkpoint can be compared again')
    reported = code
  }

  /** Only now it is known which settings an earlier ledger had, and what time it is: nothing was read with other settings yet. */
  function settleSettings(): void {
    const newestNs = ledger.settled().at(-1)?.toNs ?? 0n
    const nowNs = max(sourceClock.serverNowNs(), newestNs)
    settings.settle(nowNs)
    const problem = settings.problem(nowNs)
    if (problem) deps.health.set('line', problem.status, 'privacy_key_missing', problem.text, 'privacy key')
    else if (hasProblem) deps.health.set('line', 'ok', undefined, undefined, 'privacy key')
    hasProblem = problem !== undefined
  }

  async function compare(signal: AbortSignal): Promise<void> {
    if (isStart) continueFrom(max(lastAckedNs, lastOf(ledger.recent(Number.MAX_SAFE_INTEGER))))
    readDoubtfulAgain()
    const isWhole = !isReached || provenNs === undefined
    const reconciled = await reconcile(
      {
        nowNs: sourceClock.safeNowNs(),
        serverNowNs: sourceClock.serverNowNs(),
        floorNs: sourceClock.floorNs(),
        lookbackNs: BigInt(options.lookbackMs) * MS,
        lastPassNs: options.lastPassNs,
        parallel: options.parallel,
        isStart,
        provenNs: isWhole ? undefined : provenNs,
        unkeptToNs,
      },
      { ledger, settings, reader, log },
      signal,
    )
    settleSettings()
    // Also above the values that a lost ledger wrote.
    const recordedNs = lastOf(ledger.recent(Number.MAX_SAFE_INTEGER))
    const latestNs = max(lastAckedNs, reconciled.ackedNs, recordedNs)
    if (latestNs > lastAckedNs) continueFrom(latestNs)
    provenNs = reconciled.unproven === undefined ? recordedNs : undefined
    unkeptToNs = reconciled.unkeptToNs ?? unkeptToNs
    report(reconciled)
  }

  return {
    askTime,
    isDue: () => !isReached || clock.monotonicMs() >= dueMs,
    async reach(signal) {
      if (isReached && clock.monotonicMs() < dueMs) return true
      // With a wrong local clock reading would begin in the future, or missing records would be given up as expired.
      if ((!sourceClock.isHeard || sourceClock.hasJumped()) && !(await askTime(signal))) return false
      const outagesBefore = outages
      const wasAway = doubt !== undefined
      try {
        await compare(signal)
      } catch (error) {
        signal.throwIfAborted()
        if (!(error instanceof CollectorError)) throw error
        if (error.stage === 'ledger') backoff.stateFailed(error)
        else deps.breaker.failed(error)
        return false
      }
      isStart = false
      // The database was away again during the comparison: compare once more.
      const isDisturbed = outages !== outagesBefore
      disturbed = isDisturbed ? disturbed + 1 : 0
      isReached = !isDisturbed || disturbed >= COMPARED_AGAIN_MAX
      dueMs = clock.monotonicMs() + (isDisturbed ? COMPARE_SOON_MS : COMPARE_EVERY_MS)
      if (!isDisturbed && !wasAway) interruptions.clear()
      if (isReached) disturbed = 0
      return isReached
    },
    compareSoon() {
      dueMs = Number.NEGATIVE_INFINITY
    },
    databaseWasAway() {
      outages += 1
      lastAwayMs = clock.monotonicMs()
      if (isStart) return
      if (doubt === undefined) {
        // At most half of what was done since the last outage: there must be progress even if the database fails all the time.
        const steadyNs = BigInt(Math.round((clock.monotonicMs() - steadySinceMs) * 1e6))
        doubt = { fromNs: lastAckedNs - min(REWIND_NS, steadyNs / 2n), toNs: lastAckedNs }
      } else doubt.toNs = lastAckedNs
      steadySinceMs = clock.monotonicMs()
      isReached = false
    },
    wasAwaySince: (ms) => lastAwayMs >= ms,
    mayInterrupt,
    nextAckNs,
    comparedFromNs: () => lastAckedNs - max(COMPARED_NS, options.lastPassNs + HOUR),
  }
}
