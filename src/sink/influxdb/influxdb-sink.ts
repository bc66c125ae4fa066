/** InfluxDB 1.x, 2.x and 3.x as a sink: one request, one promise, one acknowledgement. Answers are classified in response-policy.ts, single
 * lines are handled in named-lines.ts. This file retries: it sends the same bytes until there is an answer about the lines, a person must
 * act, or the time is over. */

import type { Logger } from 'pino'
import { backoffAfter } from '../../base/backoff.ts'
import type { Clock } from '../../base/clock.ts'
import { MS } from '../../base/clock.ts'
import { type Code, CollectorError } from '../../base/errors.ts'
import { retry } from '../../http-client/retry.ts'
import type { InfluxApi, InfluxConfig, Retention } from '../config.ts'
import { lineCountOf, tailnetOf } from '../line-protocol/line-spans.ts'
import { keepApart } from '../line-protocol/milliseconds.ts'
import { probePoint } from '../probe-point.ts'
import type { Batch, DeadLetters, Sink, SinkMetrics } from '../sink.ts'
import { createSinkListeners } from '../sink-listeners.ts'
import { createCheckpointQuestions } from './checkpoint-query.ts'
import { createLines, type Lines } from './named-lines.ts'
import { createPlaces, type Place } from './places.ts'
import { createQueries } from './query.ts'
import { classify, type WriteOutcome } from './response-policy.ts'
import { createInfluxHttp, type InfluxHttp } from './transport.ts'

export interface InfluxSinkConfig extends InfluxConfig {
  readonly api: InfluxApi
  readonly url: string
  readonly retention: Retention
  /** The database keeps milliseconds. Only a server that was asked is known to. */
  readonly precision?: 'ms'
}

export interface InfluxDeps {
  readonly clock: Clock
  readonly log: Logger
  readonly metrics: SinkMetrics
  readonly deadLetters: Pick<DeadLetters, 'append'>
  /** From 0 to 1, for jitter. */
  readonly random?: () => number
  /** The transport; that of the client library if absent. Simulations put a database in memory here. */
  readonly http?: InfluxHttp
}

const BACKOFF = { minMs: 1_000, maxMs: 60_000 } as const
/** A problem that fewer lines may solve (memory, time) is retried for this long; then the batch is halved. */
const SIZE_PATIENCE_MS = 60_000

/** Refusals about the content of a write: a database that answers so accepts writes. */
const ABOUT_CONTENT: ReadonlySet<string> = new Set(['db_rejected', 'db_conflict', 'db_limit'] satisfies Code[])

/** Opens nothing before `start`. */
export function createInfluxSink(config: InfluxSinkConfig, deps: InfluxDeps): Sink {
  const { clock, log, metrics } = deps
  const random = deps.random ?? Math.random
  const places = createPlaces(config)
  const labelOf = (place: Place) => `InfluxDB (${config.api}, ${config.url}, ${place.label})`
  const label = labelOf(places.of('main'))
  const http = deps.http ?? createInfluxHttp(config, label)
  const gzip = config.gzip === 'on' || (config.gzip === 'auto' && !isLoopback(config.url))
  const queries = createQueries(places, { http, labelOf, clock })
  const listeners = createSinkListeners()
  /** By place, and apart for what must not disturb the line: what the database refuses in one says nothing about the others. */
  const lines = new Map<string, Lines>()
  /** Set by 429 and 503: all senders wait. */
  let pause: { readonly untilMs: number; readonly error: CollectorError } | undefined
  /** A problem that fewer lines may solve: since when, and the smallest request that met it. */
  let pressure: { readonly sinceMs: number; readonly bytes: number } | undefined

  function linesFor(place: Place, isBestEffort: boolean | undefined): Lines {
    const key = `${place.target} ${isBestEffort ?? false}`
    const known = lines.get(key)
    if (known !== undefined) return known
    const made = createLines({ label: labelOf(place), clock, log, metrics, deadLetters: deps.deadLetters })
    lines.set(key, made)
    return made
  }

  /** Waits while all senders pause; throws the reason of the pause when that would take too long. */
  async function waitOutPause(deadlineMs: number, signal: AbortSignal): Promise<void> {
    while (pause !== undefined && pause.untilMs > clock.monotonicMs()) {
      if (pause.untilMs >= deadlineMs) throw pause.error
      await clock.sleep(pause.untilMs - clock.monotonicMs(), signal)
    }
  }

  async function post(bytes: Uint8Array, place: Place, signal: AbortSignal): Promise<WriteOutcome> {
    const beganMs = clock.monotonicMs()
    try {
      if (place.isMadeByWriting) await queries.expectMade(place, signal)
      const answer = await http.send({ method: 'POST', path: place.path, body: bytes, gzip }, signal)
      metrics.request(String(answer.status), clock.monotonicMs() - beganMs)
      return classify(answer, labelOf(place), Number(clock.now() / MS), place.ifMissing)
    } catch (error) {
      signal.throwIfAborted()
      metrics.request('error', clock.monotonicMs() - beganMs)
      if (error instanceof CollectorError) return { kind: 'error', error, isAboutSize: error.code === 'db_timeout' }
      throw error
    }
  }

  /** Splits a batch that had a problem with its size for long enough. */
  function withPatience(outcome: WriteOutcome, bytes: Uint8Array): WriteOutcome {
    if (outcome.kind === 'ack' && bytes.length >= (pressure?.bytes ?? 0)) pressure = undefined
    if (outcome.kind !== 'error' || !outcome.isAboutSize) return outcome
    const nowMs = clock.monotonicMs()
    pressure = { sinceMs: pressure?.sinceMs ?? nowMs, bytes: Math.min(pressure?.bytes ?? bytes.length, bytes.length) }
    if (nowMs - pressure.sinceMs < SIZE_PATIENCE_MS || lineCountOf(bytes) === 1) return outcome
    // The halves have their own time.
    pressure = undefined
    return { kind: 'split', error: outcome.error, isPassing: true }
  }

  async function postWithRetry(
    bytes: Uint8Array,
    place: Place,
    isBestEffort: boolean | undefined,
    deadlineMs: number,
    signal: AbortSignal,
    answered: (sentMs: number) => void,
  ): Promise<WriteOutcome> {
    const heard = isBestEffort ? undefined : listeners
    let isUnconfirmed = false
    return await retry(
      async () => {
        await waitOutPause(deadlineMs, signal)
        const sentMs = clock.monotonicMs()
        const answer = await post(bytes, place, signal)
        if (answer.kind === 'ack') heard?.succeeded(lineCountOf(bytes))
        if (answer.kind === 'error' || answer.kind === 'unconfirmed') heard?.failed(answer.error)
        const outcome = withPatience(answer, bytes)
        if (outcome.kind === 'error') throw outcome.error
        if (outcome.kind !== 'unconfirmed') {
          answered(sentMs)
          return outcome
        }
        if (isUnconfirmed) throw outcome.error
        // Try once more: the answer may have come from a proxy in between.
        isUnconfirmed = true
        throw new CollectorError(outcome.error.message, {
          stage: 'sink',
          code: 'db_unconfirmed',
          reaction: 'retry',
          retryAfterMs: 0,
        })
      },
      {
        clock,
        signal,
        waitMs(error, attempt) {
          const nowMs = clock.monotonicMs()
          const waitMs = waitAfter(error, attempt)
          if (error.code === 'db_overloaded' && nowMs + waitMs > (pause?.untilMs ?? 0)) {
            pause = { untilMs: nowMs + waitMs, error }
          }
          if (nowMs + waitMs >= deadlineMs) return undefined
          metrics.retried(error.code, waitMs)
          log.debug({ code: error.code, attemptNumber: attempt, waitMs }, 'write will be retried')
          return waitMs
        },
      },
    )
  }

  /** Exponential with full jitter; at least as long as Retry-After says. */
  function waitAfter(error: CollectorError, attempt: number): number {
    const jittered = random() * backoffAfter(attempt, BACKOFF)
    if (error.code === 'db_overloaded') return Math.max(jittered, error.retryAfterMs ?? 0)
    return error.retryAfterMs ?? jittered
  }

  async function probeMain(signal: AbortSignal): Promise<void> {
    try {
      await queries.probe(places.of('main'), signal)
    } catch (error) {
      const isMissing = error instanceof CollectorError && error.code === 'db_not_found'
      if (!isMissing || !config.createDatabase || config.api !== 'v1') throw error
      await queries.createDatabase(signal)
      log.info({ db: config.db }, 'database created')
      await queries.probe(places.of('main'), signal)
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
        const outcome = await post(line, places.of('main'), signal)
        const isProblem = outcome.kind === 'error' || outcome.kind === 'unconfirmed'
        if (isProblem && !ABOUT_CONTENT.has(outcome.error.code)) throw outcome.error
      }
      // Not the place of minutes: where it is missing, raw points go on.
      const raw = places.of('raw')
      if (raw.target === 'raw') await queries.probe(raw, signal)
    },
    async write(batch: Batch, signal) {
      signal.throwIfAborted()
      if (config.precision === 'ms') keepApart(batch.bytes)
      const deadlineMs = clock.monotonicMs() + config.giveUp
      const place = places.of(batch.target)
      let sentMs = Number.POSITIVE_INFINITY
      const answered = (ms: number) => {
        sentMs = Math.min(sentMs, ms)
      }
      const sender = {
        send: (bytes: Uint8Array) => postWithRetry(bytes, place, batch.isBestEffort, deadlineMs, signal, answered),
        async control() {
          const tailnet = tailnetOf(batch.bytes) ?? 'default'
          const outcome = await sender.send(probePoint({ tailnet }, clock.now()))
          return outcome.kind !== 'refused' || outcome.cause !== 'unknown'
        },
      }
      const receipt = await linesFor(place, batch.isBestEffort).deliver(batch, deadlineMs, sender)
      metrics.written(receipt.written, batch.bytes.length)
      return { ...receipt, sentMs }
    },
    ...createCheckpointQuestions(config, { http, label, places }),
    listen: listeners.add,
    async stop() {
      http.stop()
    },
  }
}

function isLoopback(url: string): boolean {
  return /^(localhost$|127\.|\[::1\]$)/.test(new URL(url).hostname)
}
