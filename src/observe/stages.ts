/** How each stage of the line is doing: how much passed in the last minute, the last success and the last error. */
import type { Clock } from '../base/clock.ts'
import { isoOf } from '../base/format.ts'

const STAGES = ['api', 'parse', 'aggregate', 'write'] as const
export type StageName = (typeof STAGES)[number]

export interface StageView {
  readonly stage: StageName
  /** What the stage counts, per second, over the last minute; bytes where they mean something. */
  readonly perSecond: number
  readonly bytesPerSecond: number | null
  /** What it counted since the process began; for `write` the points that the database acknowledged, rows included. */
  readonly total: number
  /** Local clock, RFC 3339; null when it never happened. */
  readonly lastSuccess: string | null
  readonly lastError: { readonly at: string; readonly text: string } | null
  /** Until a request that failed is sent again, while it waits; null without one. */
  readonly nextTrySeconds: number | null
  /** Median and 95th percentile of the last 64 requests, ms. */
  readonly durationMs: { readonly p50: number; readonly p95: number } | null
}

interface Stage {
  add(count: number, bytes?: number): void
  succeeded(): void
  failed(text: string): void
  took(ms: number): void
  retried(waitMs: number): void
  view(): StageView
}

/** What happens on the line. */
interface StageReports {
  apiAnswered(code: string, durationMs: number): void
  apiBytes(count: number): void
  windowDone(amounts: { readonly messages: number; readonly points: number; readonly bytes: number }): void
  databaseAnswered(durationMs: number): void
  written(lines: number, bytes: number): void
  /** A write failed and is repeated after this time. */
  retried(waitMs: number): void
  failed(stage: StageName, text: string): void
}

export interface Stages {
  readonly reports: StageReports
  view(): readonly StageView[]
}

export function createStages(clock: Clock): Stages {
  const stages = {
    api: createStage('api', clock, true),
    parse: createStage('parse', clock, true),
    aggregate: createStage('aggregate', clock, false),
    write: createStage('write', clock, true),
  }
  const { api, parse, aggregate, write } = stages
  return {
    reports: {
      apiAnswered(code, durationMs) {
        api.add(1)
        api.took(durationMs)
        if (code === '200') api.succeeded()
      },
      apiBytes: (count) => api.add(0, count),
      windowDone({ messages, points, bytes }) {
        parse.add(messages, bytes)
        parse.succeeded()
        aggregate.add(points)
        aggregate.succeeded()
      },
      databaseAnswered: (durationMs) => write.took(durationMs),
      written(lines, bytes) {
        write.add(lines, bytes)
        write.succeeded()
      },
      retried: write.retried,
      failed: (stage, text) => stages[stage].failed(text),
    },
    view: () => STAGES.map((name) => stages[name].view()),
  }
}

const BUCKET_MS = 5_000
const BUCKETS = 12
const DURATIONS_KEPT = 64

function createStage(stage: StageName, clock: Clock, hasBytes: boolean): Stage {
  const beganMs = clock.monotonicMs()
  // A ring by time: a bucket is cleared when its turn comes again.
  const counts = new Float64Array(BUCKETS)
  const bytes = new Float64Array(BUCKETS)
  const durations: number[] = []
  let newest = bucketAt(beganMs)
  let total = 0
  let nextMs = 0
  let lastSuccess: string | null = null
  let lastError: StageView['lastError'] = null

  function bucketAt(ms: number): number {
    return Math.floor(ms / BUCKET_MS)
  }

  function turn(): number {
    const now = bucketAt(clock.monotonicMs())
    for (let bucket = Math.max(newest + 1, now - BUCKETS + 1); bucket <= now; bucket += 1) {
      counts[bucket % BUCKETS] = 0
      bytes[bucket % BUCKETS] = 0
    }
    newest = Math.max(newest, now)
    return newest % BUCKETS
  }

  return {
    add(count, more = 0) {
      const bucket = turn()
      total += count
      counts[bucket] = (counts[bucket] ?? 0) + count
      bytes[bucket] = (bytes[bucket] ?? 0) + more
    },
    succeeded() {
      lastSuccess = isoOf(clock.now())
    },
    failed(text) {
      lastError = { at: isoOf(clock.now()), text }
    },
    retried(waitMs) {
      nextMs = clock.monotonicMs() + waitMs
    },
    took(ms) {
      durations.push(ms)
      if (durations.length > DURATIONS_KEPT) durations.shift()
    },
    view() {
      turn()
      const nowMs = clock.monotonicMs()
      // The newest bucket is not over yet: the ring holds so much time.
      const heldMs = (BUCKETS - 1) * BUCKET_MS + (nowMs % BUCKET_MS)
      const seconds = Math.max(1, Math.min(nowMs - beganMs, heldMs) / 1000)
      const sorted = durations.toSorted((one, other) => one - other)
      const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0
      return {
        stage,
        perSecond: sum(counts) / seconds,
        bytesPerSecond: hasBytes ? sum(bytes) / seconds : null,
        total,
        lastSuccess,
        lastError,
        nextTrySeconds: nextMs > nowMs ? (nextMs - nowMs) / 1000 : null,
        durationMs: sorted.length === 0 ? null : { p50: at(0.5), p95: at(0.95) },
      }
    },
  }
}

function sum(values: Float64Array): number {
  return values.reduce((total, value) => total + value, 0)
}
