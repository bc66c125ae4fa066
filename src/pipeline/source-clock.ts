/** What time it is for the line. There are two clocks, this machine's and the API's, and either may be wrong.
 *
 * Only the `Date` of an answer says how new its content can be: an answer with a `Date` of ten minutes ago is ten minutes old, whatever the
 * local clock says. So a `Date` that stands still (a caching proxy) stops the line: nothing newer counts as read, nothing is lost, and
 * the component `clock` is an error. The lag is then measured by a clock that runs. */

import { max, min } from '../base/bigint.ts'
import { type Clock, HOUR, MINUTE, MS, SECOND } from '../base/clock.ts'
import type { Interval } from '../ledger/ledger.ts'
import type { HealthReport } from '../observe/health.ts'

export interface SourceClock {
  /** Call with the `Date` header of each answer, or undefined when it had none. */
  hear(serverNs: bigint | undefined): void
  /** The time by the API's clock: its last Date header plus monotonic time, so that a local wall clock that jumps does not matter. The local
   * clock is used where both agree, because it is finer, and before the first Date header. */
  serverNowNs(): bigint
  /** The same, but it runs on by monotonic time while the Date header stands still: for the lag. */
  runningNs(): bigint
  /** The earlier of both clocks, for all that cannot be undone: a window is done, a late pass was made, a range is given up. If one of them
   * is fast nothing is lost; if one is slow everything is late, and a warning about the clocks says so. */
  safeNowNs(serverNs?: bigint): bigint
  /** The oldest time of which the API certainly still has records. */
  floorNs(): bigint
  /** A Date header arrived since the start. */
  readonly isHeard: boolean
  /** Both clocks agree, or only one is known. */
  isAgreed(): boolean
  /** The local wall clock jumped, or the machine slept, since the last Date header: the time is unknown until the next one. */
  hasJumped(): boolean
  /** Local clock minus the API's clock, at the last Date header. */
  skewSeconds(): number | null
}

const RETENTION_MARGIN = HOUR
/** The Date header has whole seconds, and the answer needs time to arrive. */
const CLOCK_TOLERANCE = 2n * SECOND
/** A shorter time is not enough to decide whether the Date header moves. */
const MOVES_AFTER_MS = 60_000
/** A Date header that has not moved for this long, over this many answers, stands still. */
const STILL_MS = 300_000
const STILL_ANSWERS = 3

/** Both local clocks at one instant: two readings a moment apart may lie on two sides of a millisecond. */
interface Instant {
  readonly wallNs: bigint
  readonly monotonicMs: number
}
/** A Date header, and when it arrived. */
interface Heard extends Instant {
  readonly serverNs: bigint
}

export function createSourceClock(
  options: { readonly lagMs: number; readonly retentionMs: number },
  { clock, health }: { readonly clock: Pick<Clock, 'now' | 'monotonicMs'>; readonly health: HealthReport },
): SourceClock {
  const retentionNs = BigInt(options.retentionMs) * MS
  let heard: Heard | undefined
  /** The last Date header that differed from the one before. */
  let moved: Heard | undefined
  let stillAnswers = 0

  const now = (): Instant => ({ wallNs: clock.now(), monotonicMs: clock.monotonicMs() })

  function serverAt(at: Instant): bigint {
    if (heard === undefined) return at.wallNs
    const estimateNs = runOn(heard, at)
    return isNear(at.wallNs, estimateNs) ? at.wallNs : estimateNs
  }

  function safeNowNs(serverNs?: bigint): bigint {
    const at = now()
    return min(at.wallNs, serverNs ?? serverAt(at))
  }

  function hasJumped(): boolean {
    if (heard === undefined) return false
    const at = now()
    return !isNear(at.wallNs - heard.wallNs, toNs(at.monotonicMs - heard.monotonicMs))
  }

  /** How long the Date header has stood still, ms; 0 when it moves. */
  function follow(answer: Heard): number {
    const passedMs = moved === undefined ? 0 : answer.monotonicMs - moved.monotonicMs
    const advanceNs = moved === undefined ? 0n : answer.serverNs - moved.serverNs
    // It was set back, or the one before was wrong: start again from here.
    const isSetBack = moved !== undefined && advanceNs < -CLOCK_TOLERANCE
    if (moved !== undefined && !isSetBack && passedMs < MOVES_AFTER_MS) return 0
    if (moved === undefined || isSetBack || advanceNs > toNs(passedMs) / 2n) {
      moved = answer
      stillAnswers = 0
      return 0
    }
    stillAnswers += 1
    return stillAnswers >= STILL_ANSWERS && passedMs >= STILL_MS ? passedMs : 0
  }

  return {
    hear(serverNs) {
      if (serverNs === undefined) {
        // A Date header from before a jump says nothing any more.
        if (hasJumped()) heard = moved = undefined
        if (heard === undefined)
          health.set(
            'clock',
            'warning',
            'no_date',
            'the API sends no Date header, so the clock of this machine is used instead: keep it synchronised (NTP), and look for a proxy that removes headers',
          )
        return
      }
      heard = { serverNs, ...now() }
      const stillMs = follow(heard)
      if (stillMs > 0) return health.set('clock', 'error', 'date_stands_still', stillText(stillMs))
      const skewMs = Number((heard.wallNs - serverNs) / MS)
      // The header has whole seconds.
      if (Math.abs(skewMs) < options.lagMs / 2 + 1_000) return health.set('clock', 'ok')
      const [seconds, way] = [Math.round(Math.abs(skewMs) / 1000), skewMs > 0 ? 'ahead of' : 'behind']
      health.set(
        'clock',
        'warning',
        'skew',
        `the clock of this machine is ${seconds} s ${way} the API's clock; nothing is lost, but if it is behind, all records are late by the same time: synchronise it (NTP)`,
      )
    },
    serverNowNs: () => serverAt(now()),
    runningNs() {
      const at = now()
      return moved === undefined ? serverAt(at) : max(serverAt(at), runOn(moved, at))
    },
    safeNowNs,
    floorNs: () => safeNowNs() - retentionNs + RETENTION_MARGIN,
    get isHeard() {
      return heard !== undefined
    },
    isAgreed() {
      const at = now()
      return serverAt(at) === at.wallNs
    },
    hasJumped,
    skewSeconds: () => (heard === undefined ? null : Number(heard.wallNs - heard.serverNs) / 1e9),
  }
}

/** The safe read horizon: up to where windows are requested. How far a window is done depends on the Date header of its own answer
 * (deliver-window.ts). The horizon stands still for an interval, so that a tick comes to an end. */
export interface SafeReadHorizon {
  /** The horizon, ns; renewed when it is an interval old. */
  ns(): bigint
  /** The horizon as it stands, without renewing it; for the status page. */
  standingNs(): bigint
  /** Renews it at the next call of `ns`. */
  forget(): void
  /** A window ended and is done as far as `reachedNs`; `hasHeard`: its answer had a Date header. */
  learn(window: Interval, reachedNs: bigint, hasHeard: boolean): void
}

export function createSafeReadHorizon(
  options: { readonly intervalMs: number; readonly lagNs: bigint },
  { clock, sourceClock }: { readonly clock: Pick<Clock, 'monotonicMs'>; readonly sourceClock: SourceClock },
): SafeReadHorizon {
  let horizonNs: bigint | undefined
  let setMs = 0

  function ns(): bigint {
    const nowMs = clock.monotonicMs()
    if (horizonNs === undefined || nowMs - setMs >= options.intervalMs) {
      horizonNs = sourceClock.safeNowNs() - options.lagNs
      setMs = nowMs
    }
    return horizonNs
  }

  return {
    ns,
    standingNs: () => horizonNs ?? sourceClock.serverNowNs() - options.lagNs,
    forget() {
      horizonNs = undefined
    },
    learn(window, reachedNs, hasHeard) {
      if (reachedNs >= window.toNs) {
        horizonNs ??= ns()
        return
      }
      // The clocks did not allow the whole window: until the horizon is renewed there is nothing more to read.
      if (hasHeard) horizonNs = undefined
      horizonNs = min(ns(), reachedNs)
    },
  }
}

/** The API's clock at this instant, if it ran on since that answer. */
function runOn(from: Heard, at: Instant): bigint {
  return from.serverNs + toNs(at.monotonicMs - from.monotonicMs)
}

function toNs(ms: number): bigint {
  return BigInt(Math.round(ms * 1e6))
}

function isNear(one: bigint, other: bigint): boolean {
  const difference = one - other
  return difference <= CLOCK_TOLERANCE && difference >= -CLOCK_TOLERANCE
}

function stillText(stillMs: number): string {
  const minutes = Math.floor(stillMs / Number(MINUTE / MS))
  return `the Date header of the API's answers has not moved for ${minutes} minutes although responses arrived. So their age is unknown, and nothing newer counts as read; nothing is lost, it is read later. Probably a proxy in between answers from its cache, or its clock has stopped: let requests to tailscale.apiUrl pass uncached, or fix that clock`
}
