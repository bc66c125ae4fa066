/** How each stage of the line is doing: how much passed in the last minute, when it went well last, and what went wrong last. */
import type { Clock } from '../base/clock.ts'
import { isoOf } from '../base/format.ts'

export const STAGES = ['api', 'parse', 'aggregate', 'write'] as const
export type StageName = (typeof STAGES)[number]

export interface StageView {
  readonly stage: StageName
  /** What the stage counts, per second, over the last minute; bytes where they mean something. */
  readonly perSecond: number
  readonly bytesPerSecond: number | null
  /** Local clock, RFC 3339; null when it never happened. */
  readonly lastSuccess: string | null
  readonly lastError: { readonly at: string; readonly text: string } | null
  /** The middle and the slow end of the last 64 requests, ms. */
  readonly durationMs: { readonly p50: number; readonly p95: number } | null
}

export interface Stage {
  add(count: number, bytes?: number): void
  succeeded(): void
  failed(text: string): void
  took(ms: number): void
  view(): StageView
}

const SLOT_MS = 5_000
const SLOTS = 12
const DURATIONS_KEPT = 64

export function createStage(stage: StageName, clock: Clock, hasBytes: boolean): Stage {
  const beganMs = clock.monotonicMs()
  // A ring by time: a slot is cleared when its turn comes again.
  const counts = new Float64Array(SLOTS)
  const bytes = new Float64Array(SLOTS)
  const durations: number[] = []
  let newest = slotAt(beganMs)
  let lastSuccess: string | null = null
  let lastError: StageView['lastError'] = null

  function slotAt(ms: number): number {
    return Math.floor(ms / SLOT_MS)
  }

  function turn(): number {
    const now = slotAt(clock.monotonicMs())
    for (let slot = Math.max(newest + 1, now - SLOTS + 1); slot <= now; slot += 1) {
      counts[slot % SLOTS] = 0
      bytes[slot % SLOTS] = 0
    }
    newest = Math.max(newest, now)
    return newest % SLOTS
  }

  return {
    add(count, more = 0) {
      const slot = turn()
      counts[slot] = (counts[slot] ?? 0) + count
      bytes[slot] = (bytes[slot] ?? 0) + more
    },
    succeeded() {
      lastSuccess = isoOf(clock.now())
    },
    failed(text) {
      lastError = { at: isoOf(clock.now()), text }
    },
    took(ms) {
      durations.push(ms)
      if (durations.length > DURATIONS_KEPT) durations.shift()
    },
    view() {
      turn()
      const nowMs = clock.monotonicMs()
      // The newest slot is not over yet: the ring holds so much time.
      const heldMs = (SLOTS - 1) * SLOT_MS + (nowMs % SLOT_MS)
      const seconds = Math.max(1, Math.min(nowMs - beganMs, heldMs) / 1000)
      const sorted = durations.toSorted((one, other) => one - other)
      const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0
      return {
        stage,
        perSecond: sum(counts) / seconds,
        bytesPerSecond: hasBytes ? sum(bytes) / seconds : null,
        lastSuccess,
        lastError,
        durationMs: sorted.length === 0 ? null : { p50: at(0.5), p95: at(0.95) },
      }
    },
  }
}

function sum(values: Float64Array): number {
  return values.reduce((total, value) => total + value, 0)
}
