/** The status of the line for status page and commands: how far it is, what it delivered, what it cannot read. */

import { type Clock, END_OF_TIME, MS } from '../../base/clock.ts'
import { isoOf } from '../../base/format.ts'
import type { Gap, Interval, Ledger } from '../../ledger/ledger.ts'

/** How a round of the poll loop ended. */
export const TICK_RESULTS = ['caught_up', 'db_down', 'api_waiting', 'state_failed', 'paused', 'stopped'] as const
export type TickResult = (typeof TICK_RESULTS)[number]
/** The poll left something undone: it is repeated soon, however rare the schedule is. */
export const UNFINISHED: ReadonlySet<TickResult> = new Set(['db_down', 'api_waiting', 'state_failed'])

/** Of the circuit breaker in front of the database: see pipeline/circuit-breaker.ts. */
export type BreakerState = 'closed' | 'open' | 'half-open'

/** How far a late pass is. */
export interface PassView {
  /** 2 for the first late pass. */
  readonly pass: number
  readonly ageSeconds: number
  /** Windows whose age is reached and that were not read again yet. */
  readonly due: number
  /** Windows that are too young for it. */
  readonly waiting: number
}

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
  /** `next`: until then no request goes to the API, after a failure; null while requests may go. */
  readonly api: { next: string | null }
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

/** What is added up over windows. */
type WindowTotals = Readonly<Omit<PipelineStatus['totals'], 'windows' | 'late'>>

/** What was read of a backfill request. */
export interface BackfillCounts {
  windows: number
  messages: number
  points: number
}

/** What was delivered since the start of the process, through every change of its settings. */
export interface Delivered {
  /** Of the backfill request in progress. */
  readonly backfill: BackfillCounts
  /** Counts a window that is done as far as `reachedNs`, and returns it as it is shown. */
  add(
    window: Interval & { readonly queue: string; readonly pass: number },
    reachedNs: bigint,
    result: WindowTotals & { readonly durationMs: number },
  ): NonNullable<PipelineStatus['lastWindow']>
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
  const backfill = { windows: 0, messages: 0, points: 0 }
  let lastWindow: PipelineStatus['lastWindow'] = null
  let lastTick: PipelineStatus['lastTick'] = null

  return {
    backfill,
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

/** `nowNs`: the time by which passes are made, the earlier of both clocks. */
export function passesOf(
  ledger: Pick<Ledger, 'duePasses'>,
  latePassesMs: readonly number[],
  nowNs: bigint,
): readonly PassView[] {
  return latePassesMs.map((ageMs, index) => {
    const pass = index + 2
    const due = ledger.duePasses(pass, nowNs - BigInt(ageMs) * MS, Number.MAX_SAFE_INTEGER).length
    const all = ledger.duePasses(pass, END_OF_TIME, Number.MAX_SAFE_INTEGER).length
    return { pass, ageSeconds: ageMs / 1000, due, waiting: all - due }
  })
}

const SLOT_MS = 5_000
const SLOTS = 12

interface Rates {
  add(nowMs: number, amounts: { messages: number; entries: number; points: number; bytes: number }): void
  /** Per second, over the last minute (or since the start, when that is shorter). */
  perSecond(nowMs: number): { messages: number; entries: number; points: number; bytes: number }
}

function createRates(startMs: number): Rates {
  const slots = new Map<number, { messages: number; entries: number; points: number; bytes: number }>()
  function trim(nowMs: number): void {
    const oldest = Math.floor(nowMs / SLOT_MS) - SLOTS
    for (const slot of slots.keys()) if (slot <= oldest) slots.delete(slot)
  }
  return {
    add(nowMs, amounts) {
      trim(nowMs)
      const slot = Math.floor(nowMs / SLOT_MS)
      const sum = slots.get(slot) ?? { messages: 0, entries: 0, points: 0, bytes: 0 }
      sum.messages += amounts.messages
      sum.entries += amounts.entries
      sum.points += amounts.points
      sum.bytes += amounts.bytes
      slots.set(slot, sum)
    },
    perSecond(nowMs) {
      trim(nowMs)
      const seconds = Math.max(1, Math.min((nowMs - startMs) / 1000, (SLOT_MS * SLOTS) / 1000))
      const total = { messages: 0, entries: 0, points: 0, bytes: 0 }
      for (const sum of slots.values()) {
        total.messages += sum.messages
        total.entries += sum.entries
        total.points += sum.points
        total.bytes += sum.bytes
      }
      return {
        messages: total.messages / seconds,
        entries: total.entries / seconds,
        points: total.points / seconds,
        bytes: total.bytes / seconds,
      }
    },
  }
}
