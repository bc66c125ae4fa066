/** InfluxDB 1.x, 2.x and 3.x as a sink: one request, one promise, one acknowledgement. The policy by answer is in influx-answer.ts; here is what
 * follows from it: retries with the same bytes, halves after a 413, and the search for the lines that will never fit. */
import pRetry from 'p-retry'
import type { Logger } from 'pino'
import type { Clock } from '../clock.ts'
import { MS } from '../clock.ts'
import { CollectorError } from '../errors.ts'
import type { InfluxConfig } from './config.ts'
import { judge, type Verdict } from './influx-answer.ts'
import { createInfluxHttp, type InfluxHttp } from './influx-http.ts'
import { createQueries } from './influx-query.ts'
import { type LineSpan, lineCountOf, linesOf, textOf } from './line-spans.ts'
import type { Batch, DeadLetter, DeadLetters, Receipt, Sink, SinkMetrics, Target } from './sink.ts'

export interface InfluxDeps {
  readonly clock: Clock
  readonly log: Logger
  readonly metrics: SinkMetrics
  readonly deadLetters: Pick<DeadLetters, 'append'>
  /** From 0 to 1, for jitter. */
  readonly random?: () => number
  /** The way to the database; its client's transport if absent. Simulations put a database in memory here. */
  readonly http?: InfluxHttp
}

const BACKOFF_MIN_MS = 1_000
const BACKOFF_MAX_MS = 60_000
/** A line that is refused lies in the dead letters; when so many of one batch are, it is not the lines' fault. */
const REJECTED_MIN = 20
const REJECTED_SHARE = 0.05

/** `config.url` must be set. Opens nothing before `start`. */
export function createInfluxSink(config: InfluxConfig & { url: string }, deps: InfluxDeps): Sink {
  const { clock, log, metrics } = deps
  const random = deps.random ?? Math.random
  const store = config.api === 'v1' ? config.db : (config.bucket ?? config.db)
  const label = `InfluxDB (${config.api}, ${config.url}, ${config.api === 'v2' ? 'bucket' : 'database'} ${store})`
  const http = deps.http ?? createInfluxHttp(config, label)
  const isLoopback = /^(localhost|127\.|\[::1\])/.test(new URL(config.url).hostname)
  const gzip = config.gzip === 'on' || (config.gzip === 'auto' && !isLoopback)
  const queries = createQueries(config, { http, label, clock })
  /** Batches larger than this were refused once. */
  let bytesCeiling = Number.POSITIVE_INFINITY
  /** Set by 429 and 503: all senders wait. */
  let pausedUntilMs = 0

  function writePath(target: Target): string {
    const name = encodeURIComponent(
      (target === 'nodes' && config.api !== 'v1' ? config.nodesBucket : undefined) ?? store ?? '',
    )
    if (config.api === 'v1') {
      // No precision parameter: that means nanoseconds in every version, while its names differ (`n`, `ns`).
      const rp = (target === 'nodes' ? config.nodesBucket : undefined) ?? config.rp
      return `/write?db=${name}${rp === undefined ? '' : `&rp=${encodeURIComponent(rp)}`}`
    }
    if (config.api === 'v3') return `/api/v3/write_lp?db=${name}&precision=nanosecond&accept_partial=true`
    return `/api/v2/write?org=${encodeURIComponent(config.org ?? '')}&bucket=${name}&precision=ns`
  }

  async function post(bytes: Uint8Array, target: Target, signal: AbortSignal): Promise<Verdict> {
    const pauseMs = pausedUntilMs - clock.monotonicMs()
    if (pauseMs > 0) await clock.sleep(pauseMs, signal)
    const beganMs = clock.monotonicMs()
    try {
      const answer = await http.send({ method: 'POST', path: writePath(target), body: bytes, gzip }, signal)
      metrics.request(String(answer.status), clock.monotonicMs() - beganMs)
      return judge(answer, label, Number(clock.now() / MS))
    } catch (error) {
      signal.throwIfAborted()
      metrics.request('error', clock.monotonicMs() - beganMs)
      if (error instanceof CollectorError) return { kind: 'error', error }
      throw error
    }
  }

  /** The same bytes again and again until the answer is about the lines, or a person must act, or the time is up. */
  async function insist(bytes: Uint8Array, target: Target, deadlineMs: number, signal: AbortSignal): Promise<Verdict> {
    let isUnconfirmed = false
    return await pRetry(
      async () => {
        const verdict = await post(bytes, target, signal)
        if (verdict.kind === 'error') throw verdict.error
        if (verdict.kind !== 'unconfirmed') return verdict
        if (isUnconfirmed) throw verdict.error
        // Once more: a proxy may have answered in between.
        isUnconfirmed = true
        throw new CollectorError(verdict.error.message, {
          stage: 'sink',
          code: 'db_unconfirmed',
          reaction: 'retry',
          retryAfterMs: 0,
        })
      },
      {
        retries: Number.POSITIVE_INFINITY,
        // The waiting is ours, by the injected clock.
        minTimeout: 0,
        maxTimeout: 0,
        signal,
        shouldRetry: ({ error }) =>
          error instanceof CollectorError && error.reaction === 'retry' && clock.monotonicMs() < deadlineMs,
        async onFailedAttempt({ error, attemptNumber }) {
          if (!(error instanceof CollectorError) || error.reaction !== 'retry') return
          const jittered = random() * Math.min(BACKOFF_MAX_MS, BACKOFF_MIN_MS * 2 ** Math.min(attemptNumber - 1, 16))
          const waitMs =
            error.code === 'db_overloaded'
              ? Math.max(jittered, error.retryAfterMs ?? 0)
              : (error.retryAfterMs ?? jittered)
          const nowMs = clock.monotonicMs()
          if (nowMs + waitMs >= deadlineMs) throw error
          metrics.retried(error.code)
          log.debug({ code: error.code, attemptNumber, waitMs }, 'write is tried again')
          if (error.code === 'db_overloaded') pausedUntilMs = Math.max(pausedUntilMs, nowMs + waitMs)
          await clock.sleep(waitMs, signal)
        },
      },
    )
  }

  /** Delivers lines that lie one after the other in `bytes`. */
  async function deliver(bytes: Uint8Array, target: Target, state: Delivery, signal: AbortSignal): Promise<Receipt> {
    if (bytes.length > bytesCeiling) {
      const lines = linesOf(bytes)
      if (lines.length > 1) return await halves(bytes, lines, target, state, signal)
    }
    const verdict = await insist(bytes, target, state.deadlineMs, signal)
    switch (verdict.kind) {
      case 'ack':
        return { written: lineCountOf(bytes), rejected: 0, expired: 0 }
      case 'split': {
        const lines = linesOf(bytes)
        if (lines.length === 1) return await bury(bytes, 'too_large', verdict.error.message, state)
        bytesCeiling = Math.min(bytesCeiling, Math.max(1, Math.floor(bytes.length / 2)))
        log.warn({ bytesCeiling }, 'database refused a batch as too large, batches are smaller from now on')
        return await halves(bytes, lines, target, state, signal)
      }
      case 'expired':
        return await withoutExpired(bytes, verdict.dropped, target, state, signal)
      case 'isolate': {
        const lines = linesOf(bytes)
        if (lines.length === 1) return await bury(bytes, 'rejected', verdict.detail, state)
        return await halves(bytes, lines, target, state, signal)
      }
      default:
        throw verdict.error
    }
  }

  /** Good lines may have been stored already: writing them again changes nothing. */
  async function halves(
    bytes: Uint8Array,
    lines: readonly LineSpan[],
    target: Target,
    state: Delivery,
    signal: AbortSignal,
  ): Promise<Receipt> {
    const middle = lines[lines.length >> 1]?.start ?? 0
    const first = await deliver(bytes.subarray(0, middle), target, state, signal)
    const second = await deliver(bytes.subarray(middle), target, state, signal)
    return add(first, second)
  }

  /** Lines older than the retention are dropped by the database's own policy. Which ones: the oldest; how many: as it says, and proven by
   * writing the others again. */
  async function withoutExpired(
    bytes: Uint8Array,
    dropped: number | undefined,
    target: Target,
    state: Delivery,
    signal: AbortSignal,
  ): Promise<Receipt> {
    const lines = linesOf(bytes)
    if (lines.length === 1 || (dropped ?? 0) >= lines.length) {
      metrics.rejected(lines.length, 'expired')
      return { written: 0, rejected: 0, expired: lines.length }
    }
    const oldest = lines.toSorted((one, other) =>
      one.timestampNs < other.timestampNs ? -1 : one.timestampNs > other.timestampNs ? 1 : 0,
    )
    const cut = dropped ?? lines.length >> 1
    const gone = oldest.slice(0, cut)
    const kept = oldest.slice(cut)
    const rest = await deliver(join(bytes, kept), target, state, signal)
    if (dropped !== undefined && rest.expired === 0) {
      metrics.rejected(gone.length, 'expired')
      return add(rest, { written: 0, rejected: 0, expired: gone.length })
    }
    return add(rest, await deliver(join(bytes, gone), target, state, signal))
  }

  async function bury(
    bytes: Uint8Array,
    reason: 'rejected' | 'too_large',
    detail: string,
    state: Delivery,
  ): Promise<Receipt> {
    state.rejected += 1
    if (state.rejected > Math.max(REJECTED_MIN, state.lineCount * REJECTED_SHARE)) {
      throw new CollectorError(
        `${label} refuses more than ${state.rejected - 1} lines of one batch (${detail}). That is no matter of single lines: check for a field type conflict or a schema limit; nothing is lost meanwhile.`,
        { stage: 'sink', code: 'db_rejected', reaction: 'hold' },
      )
    }
    const letter: DeadLetter = { stage: 'sink', reason, detail, text: textOf(bytes) }
    await deps.deadLetters.append([letter])
    metrics.rejected(1, 'rejected')
    log.error({ reason, detail }, 'line refused by the database lies in the dead letters now')
    return { written: 0, rejected: 1, expired: 0 }
  }

  return {
    label,
    async start(signal) {
      if (config.createDatabase && config.api === 'v1') await queries.createDatabase(signal)
    },
    async probe(signal) {
      if (config.createDatabase && config.api === 'v1') await queries.createDatabase(signal)
      await queries.probe(writePath('main'), signal)
      if (config.nodesBucket !== undefined) await queries.probe(writePath('nodes'), signal)
    },
    async write(batch: Batch, signal) {
      signal.throwIfAborted()
      const state: Delivery = {
        deadlineMs: clock.monotonicMs() + config.giveUp,
        rejected: 0,
        lineCount: batch.lineCount,
      }
      const receipt = await deliver(batch.bytes, batch.target, state, signal)
      metrics.written(receipt.written, batch.bytes.length)
      return receipt
    },
    lastMirror: (tailnet, signal) => queries.lastMirror(tailnet, signal),
    async stop() {
      http.stop()
    },
  }
}

interface Delivery {
  readonly deadlineMs: number
  readonly lineCount: number
  rejected: number
}

function add(one: Receipt, other: Receipt): Receipt {
  return {
    written: one.written + other.written,
    rejected: one.rejected + other.rejected,
    expired: one.expired + other.expired,
  }
}

function join(bytes: Uint8Array, lines: readonly LineSpan[]): Uint8Array {
  return Buffer.concat(lines.map(({ start, end }) => bytes.subarray(start, end)))
}
