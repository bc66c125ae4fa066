/** The status of the line for status page and commands: how far it is, what it delivered, what it cannot read. */

import type { Clock } from '../base/clock.ts'
import { isoOf } from '../base/format.ts'
import type { Gap } from '../ledger/ledger.ts'
import type { BreakerState } from './circuit-breaker.ts'
import type { TickResult } from './metrics.ts'
import type { PassView } from './passes.ts'
import { createRates } from './rates.ts'
import type { PlannedWindow, WindowResult } from './window.ts'

export interface PipelineStatus {
  readonly tailnet: string
  readonly sink: string
  /** ns since the epoch as text, or null before the first window. */
  readonly watermarkNs: string | null
  readonly watermark: string | null
  readonly horizon: string | null
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
  readonly passes: readonly PassView[]
  readonly lastWindow: {
    from: string
    to: string
    queue: string
    pass: number
    points: number
    durationMs: number
  } | null
  readonly lastTick: { result: TickResult; at: string } | null
  /** The circuit breaker in front of the database: `closed` means that windows may pass. `next`: time of the next probe, while `open`. */
  readonly database: { state: BreakerState; code: string | null; next: string | null }
  readonly clockSkewSeconds: number | null
  readonly devicesKnown: number
  readonly paused: boolean
  /** The backfill request; the last one stays here when it is done. */
  readonly backfill: BackfillStatus | null
}

export interface BackfillStatus {
  readonly from: string
  readonly to: string
  readonly state: 'running' | 'paused' | 'done'
  /** From 0 to 1. */
  readonly share: number
  /** Since it was requested, or since the start of this process. */
  readonly windows: number
  readonly messages: number
  readonly points: number
  readonly missingSeconds: number
  /** Open gaps inside: the API cannot answer for them now; they are retried automatically. */
  readonly gapSeconds: number
}

/** What was delivered since the start of the process. */
export interface Delivered {
  /** Counts a window that is done as far as `reachedNs`, and returns it as it is shown. */
  add(window: PlannedWindow, reachedNs: bigint, result: WindowResult): NonNullable<PipelineStatus['lastWindow']>
  /** Messages that only a late pass found. */
  late(messages: number): void
  ticked(result: TickResult): void
  view(): Pick<PipelineStatus, 'rates' | 'totals' | 'lastWindow' | 'lastTick'>
}

export function createDelivered(clock: Pick<Clock, 'now' | 'monotonicMs'>): Delivered {
  const rates = createRates(clock.monotonicMs())
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
  let lastWindow: PipelineStatus['lastWindow'] = null
  let lastTick: PipelineStatus['lastTick'] = null

  return {
    add(window, reachedNs, result) {
      rates.add(clock.monotonicMs(), result)
      totals.windows += 1
      for (const key of ['messages', 'entries', 'points', 'bytes', 'quarantined', 'rejected', 'expired'] as const)
        totals[key] += result[key]
      lastWindow = {
        from: isoOf(window.fromNs),
        to: isoOf(reachedNs),
        queue: window.queue,
        pass: window.pass,
        points: result.points,
        durationMs: Math.round(result.durationMs),
      }
      return lastWindow
    },
    late(messages) {
      totals.late += messages
    },
    ticked(result) {
      lastTick = { result, at: isoOf(clock.now()) }
    },
    view: () => ({ rates: rates.perSecond(clock.monotonicMs()), totals: { ...totals }, lastWindow, lastTick }),
  }
}

export function gapView(gap: Gap): PipelineStatus['gaps'][number] {
  return {
    from: isoOf(gap.fromNs),
    to: isoOf(gap.toNs),
    reason: gap.reason,
    state: gap.state,
    attempts: gap.attempts,
    next: gap.state === 'open' ? isoOf(gap.nextNs) : null,
  }
}
