/** InfluxDB 1.x, 2.x and 3.x as a sink: one request, one promise, one acknowledgement. The policy by answer is in influx-answer.ts, what
 * becomes of single lines in influx-lines.ts; here is the insisting: the same bytes again until there is an answer about the lines, a
 * person must act, or the time is up. */
import pRetry from 'p-retry'
import type { Logger } from 'pino'
import type { Clock } from '../../base/clock.ts'
import { MS } from '../../base/clock.ts'
import { type Code, CollectorError } from '../../base/errors.ts'
import type { InfluxConfig } from '../config.ts'
import { lineCountOf, tailnetOf } from '../line-protocol/line-spans.ts'
import { probePoint } from '../probe-point.ts'
import type { Batch, DeadLetters, Sink, SinkMetrics, Target } from '../sink.ts'
import { createSinkListeners } from '../sink-listeners.ts'
import { createCheckpointQuestion } from './checkpoint-query.ts'
import { createLines } from './named-lines.ts'
import { createQueries } from './query.ts'
import { classify, type Verdict } from './response-policy.ts'
import { createInfluxHttp, type InfluxHttp } from './transport.ts'

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
/** Trouble that fewer lines may end (memory, time) is waited out for so long; then the batch is halved. */
const SIZE_PATIENCE_MS = 60_000

/** Refusals that are about what was written: whoever says so takes writes. */
const ABOUT_CONTENT: ReadonlySet<string> = new Set(['db_rejected', 'db_conflict', 'db_limit'] satisfies Code[])

/** `config.url` must be set. Opens nothing before `start`. */
export function createInfluxSink(config: InfluxConfig & { url: string }, deps: InfluxDeps): Sink {
  const { clock, log, metrics } = deps
  const random = deps.random ?? Math.random
  const store = config.api === 'v1' ? config.db : (config.bucket ?? config.db)
  const label = `InfluxDB (${config.api}, ${config.url}, ${config.api === 'v2' ? 'bucket' : 'database'} ${store})`
  const http = deps.http ?? createInfluxHttp(config, label)
  const gzip = config.gzip === 'on' || (config.gzip === 'auto' && !isLoopback(config.url))
  const queries = createQueries(config, { http, label, clock })
  const lines = createLines({ label, clock, log, metrics, deadLetters: deps.deadLetters })
  const listeners = createSinkListeners()
  /** Set by 429 and 503: all senders wait. */
  let pause: { readonly untilMs: number; readonly error: CollectorError } | undefined
  /** Trouble that fewer lines may end: since when, and what was the smallest request in it. */
  let pressure: { readonly sinceMs: number; readonly bytes: number } | undefined

  function writePath(target: Target): string {
    const name = encodeURIComponent(
      (target === 'nodes' && config.api !== 'v1' ? config.nodesBucket : undefined) ?? store ?? '',
    )
    if (config.api === 'v1') {
      // No precision parameter: that means nanoseconds in every version, while its names differ (`n`, `ns`).
      const rp = (target === 'nodes' ? config.nodesBucket : undefined) ?? config.rp
      return `/write?db=${name}${rp === undefined ? '' : `&rp=${encodeURIComponent(rp)}`}`
    }
    if (config.api === 'v3') return `/api/v3/write_lp?db=${name}&precision=nanosecond&accept_partial=false`
    return `/api/v2/write?org=${encodeURIComponent(config.org ?? '')}&bucket=${name}&precision=ns`
  }

  /** Backoff while all senders pause; throws what they pause for when that would take too long. */
  async function waitOutPause(deadlineMs: number, signal: AbortSignal): Promise<void> {
    while (pause !== undefined && pause.untilMs > clock.monotonicMs()) {
      if (pause.untilMs >= deadlineMs) throw pause.error
      await clock.sleep(pause.untilMs - clock.monotonicMs(), signal)
    }
  }

  async function post(bytes: Uint8Array, target: Target, signal: AbortSignal): Promise<Verdict> {
    const beganMs = clock.monotonicMs()
    try {
      const answer = await http.send({ method: 'POST', path: writePath(target), body: bytes, gzip }, signal)
      metrics.request(String(answer.status), clock.monotonicMs() - beganMs)
      return classify(answer, label, Number(clock.now() / MS))
    } catch (error) {
      signal.throwIfAborted()
      metrics.request('error', clock.monotonicMs() - beganMs)
      if (error instanceof CollectorError) return { kind: 'error', error, isAboutSize: error.code === 'db_timeout' }
      throw error
    }
  }

  /** What has met trouble about its size for long enough is tried by halves. */
  function withPatience(verdict: Verdict, bytes: Uint8Array): Verdict {
    if (verdict.kind === 'ack' && bytes.length >= (pressure?.bytes ?? 0)) pressure = undefined
    if (verdict.kind !== 'error' || !verdict.isAboutSize) return verdict
    const nowMs = clock.monotonicMs()
    pressure = { sinceMs: pressure?.sinceMs ?? nowMs, bytes: Math.min(pressure?.bytes ?? bytes.length, bytes.length) }
    if (nowMs - pressure.sinceMs < SIZE_PATIENCE_MS || lineCountOf(bytes) === 1) return verdict
    // The halves have their own time.
    pressure = undefined
    return { kind: 'split', error: verdict.error, isPassing: true }
  }

  async function insist(
    bytes: Uint8Array,
    { target, isAside }: Pick<Batch, 'target' | 'isAside'>,
    deadlineMs: number,
    signal: AbortSignal,
    answered: (sentMs: number) => void,
  ): Promise<Verdict> {
    const heard = isAside ? undefined : listeners
    let isUnconfirmed = false
    return await pRetry(
      async () => {
        await waitOutPause(deadlineMs, signal)
        const sentMs = clock.monotonicMs()
        const answer = await post(bytes, target, signal)
        if (answer.kind === 'ack') heard?.succeeded(lineCountOf(bytes))
        if (answer.kind === 'error' || answer.kind === 'unconfirmed') heard?.failed(answer.error)
        const verdict = withPatience(answer, bytes)
        if (verdict.kind === 'error') throw verdict.error
        if (verdict.kind !== 'unconfirmed') {
          answered(sentMs)
          return verdict
        }
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
          const nowMs = clock.monotonicMs()
          const waitMs = waitAfter(error, attemptNumber)
          if (error.code === 'db_overloaded' && nowMs + waitMs > (pause?.untilMs ?? 0)) {
            pause = { untilMs: nowMs + waitMs, error }
          }
          if (nowMs + waitMs >= deadlineMs) throw error
          metrics.retried(error.code)
          log.debug({ code: error.code, attemptNumber, waitMs }, 'write is tried again')
          await clock.sleep(waitMs, signal)
        },
      },
    )
  }

  /** Exponential with full jitter; at least what the database asked for. */
  function waitAfter(error: CollectorError, attemptNumber: number): number {
    const jittered = random() * Math.min(BACKOFF_MAX_MS, BACKOFF_MIN_MS * 2 ** Math.min(attemptNumber - 1, 16))
    if (error.code === 'db_overloaded') return Math.max(jittered, error.retryAfterMs ?? 0)
    return error.retryAfterMs ?? jittered
  }

  async function probeMain(signal: AbortSignal): Promise<void> {
    try {
      await queries.probe(writePath('main'), signal)
    } catch (error) {
      const isMissing = error instanceof CollectorError && error.code === 'db_not_found'
      if (!isMissing || !config.createDatabase || config.api !== 'v1') throw error
      await queries.createDatabase(signal)
      log.info({ db: config.db }, 'database created')
      await queries.probe(writePath('main'), signal)
    }
  }

  return {
    label,
    async start(signal) {
      if (config.createDatabase) await probeMain(signal)
    },
    async probe(signal, line) {
      await probeMain(signal)
      if (line !== undefined) {
        const verdict = await post(line, 'main', signal)
        const isTrouble = verdict.kind === 'error' || verdict.kind === 'unconfirmed'
        if (isTrouble && !ABOUT_CONTENT.has(verdict.error.code)) throw verdict.error
      }
      if (config.nodesBucket !== undefined) await queries.probe(writePath('nodes'), signal)
    },
    async write(batch: Batch, signal) {
      signal.throwIfAborted()
      const deadlineMs = clock.monotonicMs() + config.giveUp
      let sentMs = Number.POSITIVE_INFINITY
      const answered = (ms: number) => {
        sentMs = Math.min(sentMs, ms)
      }
      const way = {
        send: (bytes: Uint8Array) => insist(bytes, batch, deadlineMs, signal, answered),
        async control() {
          const tailnet = tailnetOf(batch.bytes) ?? 'default'
          const verdict = await insist(probePoint({ tailnet }, clock.now()), batch, deadlineMs, signal, answered)
          return verdict.kind !== 'refused' || verdict.cause !== 'unknown'
        },
      }
      const receipt = await lines.deliver(batch, deadlineMs, way)
      metrics.written(receipt.written, batch.bytes.length)
      return { ...receipt, sentMs }
    },
    checkpoint: createCheckpointQuestion(config, { http, label }),
    listen: listeners.add,
    async stop() {
      http.stop()
    },
  }
}

function isLoopback(url: string): boolean {
  return /^(localhost$|127\.|\[::1\]$)/.test(new URL(url).hostname)
}
