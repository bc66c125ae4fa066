/** Writes one point of `tailflux_window` per window that is done. It is the checkpoint of that window: as long as the database shows it, the
 * database holds what was acknowledged for the window. */

import { max, min } from '../../base/bigint.ts'
import type { Clock } from '../../base/clock.ts'
import { END_OF_TIME, HOUR, MS } from '../../base/clock.ts'
import { CollectorError } from '../../base/errors.ts'
import type { Interval, Ledger } from '../../ledger/ledger.ts'
import type { HealthReport } from '../../observe/health.ts'
import { encodeLine } from '../../sink/line-protocol/encode-line.ts'
import type { CheckpointPoint, CheckpointState, Sink, Unanswered } from '../../sink/sink.ts'
import type { CircuitBreaker } from '../circuit-breaker.ts'
import type { WindowResult } from '../deliver-window.ts'
import type { PlannedWindow } from '../planner.ts'
import type { SourceClock } from '../source-clock.ts'

/** What each point carries for a ledger that starts without a state file (take-over.ts): the field of each text. */
export type CarriedTexts = () => { readonly unsettled: string; readonly settings: string }

/** Returns a function that writes the point of a window that is done as far as `doneToNs`. Resolves with true when it is stored. It rejects only on a programmer's error. */
export function createCheckpoint(
  options: { readonly tailnet: string; readonly latePasses: number },
  deps: {
    readonly sink: Pick<Sink, 'write'>
    readonly ledger: Pick<Ledger, 'writer' | 'watermarkNs' | 'duePasses' | 'isOriginGuessed'>
    readonly sourceClock: Pick<SourceClock, 'runningNs'>
    readonly breaker: Pick<CircuitBreaker, 'failed'>
    readonly recovery: { compareSoon(): void }
    readonly carried: CarriedTexts
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
      ...deps.carried(),
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

/** Reads the checkpoint back from the database, and checks whether its answers can be trusted: only if they show what was just written.
 * With a token of another organisation, a mapping to another bucket, or a second database behind one address they do not. */
/** Why the checkpoint proves nothing at the moment. */
export interface Unproven {
  readonly code: 'checkpoint_unanswered' | 'checkpoint_unseen' | 'db_rejected'
  /** A sentence that ends with the fix. */
  readonly text: string
  readonly isByNature: boolean
}

export interface CheckpointReader {
  /** Points with a time in the range, newest hours first; ends early when `isEnough` returns true. */
  read(range: Interval, signal: AbortSignal, isEnough?: (points: readonly CheckpointPoint[]) => boolean): Promise<Read>
  /** Writes a point of that time and reads it back. `unkept`: it was accepted and cannot be read, or is beyond the retention. Rejects with
   * the CollectorError of the write, or the signal's reason. */
  probe(timeNs: bigint, signal: AbortSignal): Promise<'shown' | 'unkept' | Unproven>
  /** What this point carries; undefined when the database does not show it any more. */
  state(
    point: CheckpointPoint,
    signal: AbortSignal,
  ): Promise<{ readonly state: CheckpointState | undefined } | Unproven>
  /** Writes that reading went back to this watermark, for a later start without the state file. Rejects as `probe`. */
  wentBack(timeNs: bigint, watermarkNs: bigint, signal: AbortSignal): Promise<void>
}

type Read = { readonly points: readonly CheckpointPoint[] } | Unproven

/** Range of one query: InfluxDB 3 Core reads at most 432 files of ten minutes. */
const PIECE_NS = 12n * HOUR
/** The longest time for all queries of one read. */
const READ_MS_MAX = 300_000
/** Waits between queries, ms. InfluxDB 3 shows a point after the next flush of its log, up to a second later; replicas may take longer. */
const LOOK_AGAIN_MS = [250, 500, 1_000, 1_500, 2_000]
/** The pass of probe points; windows have numbers. */
const PROBE_PASS = 'probe'

const SLOW =
  'the database answers the queries for the checkpoint too slowly. Check its load, and the network between it and tailflux'
const UNSEEN =
  'tailflux cannot read back what it just wrote to the database. InfluxDB 2.x answers InfluxQL for the organisation of the token and by the mapping of the database name: check that INFLUX_ORG is the organisation of the token, and that the mapping leads to the bucket (influx v1 dbrp list). Otherwise check that INFLUX_URL leads to one database only'
const REFUSED =
  'the database refuses the points of tailflux_window, so lost points are not noticed. The dead letters say why: a field type conflict (drop that measurement), or a retention of minutes (raise it)'

/** `tailnets`: the names that the tailnet had, also that of now; its points are looked for under each. */
export function createCheckpointReader(
  options: { readonly tailnet: string; readonly tailnets?: () => readonly string[] },
  deps: {
    readonly sink: Pick<Sink, 'write' | 'checkpoint' | 'checkpointStates'>
    readonly writer: string
    readonly nextAckNs: () => bigint
    readonly carried?: CarriedTexts
    readonly clock: Pick<Clock, 'sleep' | 'monotonicMs'>
  },
): CheckpointReader {
  const { sink, writer } = deps
  const { tailnet, tailnets = () => [tailnet] } = options

  async function ask(range: Interval, signal: AbortSignal): Promise<Read> {
    const points: CheckpointPoint[] = []
    for (const name of tailnets()) {
      const answer = await sink.checkpoint(name, range, signal)
      if (!('points' in answer)) return unproven(answer)
      points.push(...answer.points)
    }
    return { points }
  }

  async function write(pass: string, fields: Record<string, bigint | string>, timeNs: bigint, signal: AbortSignal) {
    const bytes = encodeLine('tailflux_window', { pass, tailnet, writer }, fields, timeNs)
    return await sink.write({ bytes, lineCount: 1, target: 'main' }, signal)
  }

  return {
    async read({ fromNs, toNs }, signal, isEnough = () => false) {
      const points: CheckpointPoint[] = []
      const untilMs = deps.clock.monotonicMs() + READ_MS_MAX
      for (let endNs = toNs; endNs >= fromNs; endNs -= PIECE_NS) {
        const found = await ask({ fromNs: max(fromNs, endNs - PIECE_NS + 1n), toNs: endNs }, signal)
        if ('code' in found) return found
        points.push(...found.points.filter(({ pass }) => pass !== PROBE_PASS))
        if (isEnough(points)) break
        if (deps.clock.monotonicMs() > untilMs) return { code: 'checkpoint_unanswered', text: SLOW, isByNature: false }
      }
      return { points }
    },

    async state({ timeNs, writer: author, pass }, signal) {
      for (const name of tailnets()) {
        const answer = await sink.checkpointStates(name, timeNs, signal)
        if (!('states' in answer)) return unproven(answer)
        const state = answer.states.find((one) => one.writer === author && one.pass === pass)
        if (state !== undefined) return { state }
      }
      return { state: undefined }
    },

    async wentBack(timeNs, watermarkNs, signal) {
      const fields = { acked: deps.nextAckNs(), watermark: watermarkNs, passed: watermarkNs, ...deps.carried?.() }
      await write('recovery', fields, timeNs, signal)
    },

    async probe(timeNs, signal) {
      const ackedNs = deps.nextAckNs()
      const receipt = await write(PROBE_PASS, { acked: ackedNs }, timeNs, signal)
      if (receipt.expired > 0) return 'unkept'
      if (receipt.written !== 1) return { code: 'db_rejected', text: REFUSED, isByNature: false }
      for (const waitMs of [0, ...LOOK_AGAIN_MS]) {
        if (waitMs > 0) await deps.clock.sleep(waitMs, signal)
        const found = await ask({ fromNs: timeNs, toNs: timeNs }, signal)
        if ('code' in found) return found
        if (found.points.some((one) => one.writer === writer && one.ackedNs === ackedNs)) return 'shown'
      }
      return 'unkept'
    },
  }
}

function unproven({ cannotBeQueried, isByNature = false }: Unanswered): Unproven {
  return { code: 'checkpoint_unanswered', text: cannotBeQueried, isByNature }
}

/** The meaning of `unkept` for a point that was written just now. */
export const UNSHOWN: Unproven = { code: 'checkpoint_unseen', text: UNSEEN, isByNature: false }
