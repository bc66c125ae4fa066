/** What time it is for the line: two clocks, this machine's and the API's, and either may be wrong.
 *
 * The `Date` of an answer is the only word about what the answer can hold: a `Date` of ten minutes ago is an answer of ten minutes ago, whatever
 * the local clock says. So a `Date` that stands still (a caching proxy) holds the line: nothing newer is taken as read, nothing is lost, and
 * the trouble is an error of the component `clock`. How far behind reading is, is then measured by a clock that runs. */
import { type Clock, HOUR, MINUTE, MS, SECOND } from '../base/clock.ts'
import type { HealthReport } from './health/health-report.ts'
import { max, min } from './window-size.ts'

export interface SourceClock {
  /** A `Date` header came, or an answer without one. */
  hear(serverNs: bigint | undefined): void
  /** The API's present by its own clock: from its last Date header and monotonic time, so that a local wall clock that jumps does not
   * matter; the local clock where that agrees (it is finer) or nothing was heard yet. */
  serverNowNs(): bigint
  /** The same, but it runs on by monotonic time while the Date header stands still: for how far behind reading is. */
  runningNs(): bigint
  /** The present for all that cannot be undone (a window is done, a late pass was made, a range is given up): the earlier of both clocks.
   * With one of them fast nothing is lost; with one of them slow everything is late, which the warning about the clocks tells. */
  safeNowNs(serverNs?: bigint): bigint
  /** The oldest that the API still has, for sure. */
  floorNs(): bigint
  /** A Date header came since the start. */
  readonly isHeard: boolean
  /** Both clocks tell the same, or only one is known. */
  isAgreed(): boolean
  /** The local wall clock jumped, or the machine slept, since the API was heard: nobody knows the time until it is heard again. */
  hasJumped(): boolean
  /** Local clock minus the API's, when it was heard last. */
  skewSeconds(): number | null
}

const RETENTION_MARGIN = HOUR
/** The Date header has whole seconds, and the answer takes its time. */
const CLOCK_TOLERANCE = 2n * SECOND
/** A shorter time is not enough to tell whether the Date header moves. */
const MOVES_AFTER_MS = 60_000
/** A Date header that has not moved for so long, over so many answers, stands still. */
const STILL_MS = 300_000
const STILL_ANSWERS = 3

/** Both local clocks at one instant: two looks a moment apart may lie on two sides of a millisecond. */
interface Instant {
  readonly wallNs: bigint
  readonly monotonicMs: number
}
/** A Date header, and when it came. */
interface Heard extends Instant {
  readonly serverNs: bigint
}

export function createSourceClock(
  options: { readonly lagMs: number; readonly retentionMs: number },
  { clock, health }: { readonly clock: Pick<Clock, 'now' | 'monotonicMs'>; readonly health: HealthReport },
): SourceClock {
  const retentionNs = BigInt(options.retentionMs) * MS
  let heard: Heard | undefined
  /** The last one that had moved on since the one before. */
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
    // Set back, or the one before was wrong: from here on anew.
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
        // What was heard before a jump tells nothing any more.
        if (hasJumped()) heard = moved = undefined
        if (heard === undefined)
          health.set(
            'clock',
            'warning',
            'no_date',
            'the API tells no time (Date header), so the clock of this machine stands in: keep it right, and look for a proxy that takes headers away',
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
        `the clock of this machine is ${seconds} s ${way} the API's; nothing is lost, but with a clock that is behind everything is late by as much: set it right (NTP)`,
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

/** The API's clock at this instant, had it run on since that answer. */
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
  return `the Date header of the API's answers has not moved for ${minutes} minutes although answers came, so it is not known how new they are, and nothing newer is taken as read (nothing is lost, it is read later). Probably a proxy between here and the API answers from its cache or has a clock that stopped: let requests to tailscale.apiUrl pass uncached, or set that clock right`
}
