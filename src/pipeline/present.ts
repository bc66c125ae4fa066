/** What time it is for the line: two clocks, this machine's and the API's, and either may be wrong. */
import { type Clock, HOUR, MS, SECOND } from '../clock.ts'
import type { HealthReport } from './health.ts'
import { min } from './window-size.ts'

export interface Present {
  /** A `Date` header came, or an answer without one. */
  hear(serverNs: bigint | undefined): void
  /** The API's present by its own clock: from its last Date header and monotonic time, so that a local wall clock that jumps does not
   * matter; the local clock where that agrees (it is finer) or nothing was heard yet. */
  serverNowNs(): bigint
  /** The present for all that cannot be undone (a window is done, a late pass was made, a range is given up): the earlier of both clocks.
   * With one of them fast nothing is lost; with one of them slow everything is late, which the warning about the clocks tells. */
  presentNs(serverNs?: bigint): bigint
  /** The oldest that the API still has, for sure. */
  floorNs(): bigint
  /** A Date header came since the start. */
  readonly isHeard: boolean
  /** Both clocks tell the same, or only one is known. */
  isAgreed(): boolean
  /** The local wall clock jumped, or the machine slept, since the API was heard. */
  hasJumped(): boolean
  /** Local clock minus the API's, when it was heard last. */
  skewSeconds(): number | null
}

const RETENTION_MARGIN = HOUR
/** The Date header has whole seconds, and the answer takes its time. */
const CLOCK_TOLERANCE = 2n * SECOND

export function createPresent(
  options: { readonly lagMs: number; readonly retentionMs: number },
  { clock, health }: { readonly clock: Pick<Clock, 'now' | 'monotonicMs'>; readonly health: HealthReport },
): Present {
  const retentionNs = BigInt(options.retentionMs) * MS
  // The last Date header, and both local clocks when it came.
  let heard: { serverNs: bigint; wallNs: bigint; monotonicMs: number } | undefined

  function serverNowNs(): bigint {
    const nowNs = clock.now()
    if (heard === undefined) return nowNs
    const estimateNs = heard.serverNs + elapsedNs(heard)
    return isNear(nowNs, estimateNs) ? nowNs : estimateNs
  }

  function presentNs(serverNs: bigint = serverNowNs()): bigint {
    return min(clock.now(), serverNs)
  }

  function elapsedNs(since: { monotonicMs: number }): bigint {
    return BigInt(Math.round((clock.monotonicMs() - since.monotonicMs) * 1e6))
  }

  return {
    hear(serverNs) {
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
    },
    serverNowNs,
    presentNs,
    floorNs: () => presentNs() - retentionNs + RETENTION_MARGIN,
    get isHeard() {
      return heard !== undefined
    },
    isAgreed: () => serverNowNs() === clock.now(),
    hasJumped: () => heard !== undefined && !isNear(clock.now() - heard.wallNs, elapsedNs(heard)),
    skewSeconds: () => (heard === undefined ? null : Number(heard.wallNs - heard.serverNs) / 1e9),
  }
}

function isNear(one: bigint, other: bigint): boolean {
  const difference = one - other
  return difference <= CLOCK_TOLERANCE && difference >= -CLOCK_TOLERANCE
}
