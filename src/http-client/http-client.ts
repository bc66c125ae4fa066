/** Requests to the API, over node:http(s): unlike fetch it takes certificate authorities as they are, follows no redirect, shows
 * each byte as it comes, and costs less (a quarter of the CPU of the whole line). One exchange is in exchange.ts. */
import type { Agent } from 'node:http'
import { urlToHttpOptions } from 'node:url'
import type { Clock } from '../base/clock.ts'
import { CollectorError } from '../base/errors.ts'
import { createAgent } from './agent.ts'
import { codeOf, isTlsFault } from './error-codes.ts'
import { type Exchange, type ExchangeMetrics, type HttpAnswer, type HttpAsk, startExchange } from './exchange.ts'
import { http, https } from './node-http.ts'
import { retry } from './retry.ts'
import type { WaitLimits } from './timeouts.ts'
import { boundInterim } from './timeouts.ts'

export interface HttpMetrics extends ExchangeMetrics {
  /** `code`: HTTP status as text, or `error` when there was none. */
  request(endpoint: HttpAsk['endpoint'], code: string, durationMs: number): void
}

export interface Http {
  /** Resolves when the head is there, whatever its status. Rejects with a CollectorError or the signal's reason. */
  send(ask: HttpAsk, signal?: AbortSignal): Promise<HttpAnswer>
  /** Closes all sockets and waits for it. Idempotent. */
  stop(): Promise<void>
}

export interface HttpConfig extends WaitLimits {
  readonly apiUrl: string
  readonly caFile?: string | undefined
}

/** Connections that a busy catch-up keeps open; more than that are opened and closed again. */
const IDLE_SOCKETS_MAX = 8
const IDLE_SOCKET_MS = 30_000

export function createHttp(config: HttpConfig, deps: { clock: Clock; metrics: HttpMetrics }): Http {
  const { clock, metrics } = deps
  const base = new URL(config.apiUrl)
  const isTls = base.protocol === 'https:'
  const { request: open } = isTls ? https : http
  const flying = new Set<Exchange>()
  const agents = new Set<Agent>()
  let agent: Promise<Agent> | undefined
  let isStopped = false

  async function makeAgent(): Promise<Agent> {
    const made = await createAgent({
      url: config.apiUrl,
      caFile: config.caFile,
      maxFreeSockets: IDLE_SOCKETS_MAX,
      idleMs: IDLE_SOCKET_MS,
      proxyMs: config.headTimeout,
    })
    agents.add(made)
    return made
  }

  async function send(ask: HttpAsk, signal?: AbortSignal): Promise<HttpAnswer> {
    const beganMs = clock.monotonicMs()
    let code = 'error'
    try {
      const answer = await sendAgain(ask, signal)
      code = String(answer.status)
      return answer
    } finally {
      if (!signal?.aborted) metrics.request(ask.endpoint, code, clock.monotonicMs() - beganMs)
    }
  }

  /** Sends once more when the other side closed an idle connection at the moment when it was taken up again: that side never saw this request. All
   * other errors are the caller's. */
  function sendAgain(ask: HttpAsk, signal: AbortSignal | undefined): Promise<HttpAnswer> {
    let wasIdle = false
    const attempt = () =>
      sendOnce(ask, signal, (isIdle) => {
        wasIdle = isIdle
      })
    return retry(attempt, { clock, signal, waitMs: (_error, count) => (wasIdle && count === 1 ? 0 : undefined) })
  }

  async function sendOnce(
    ask: HttpAsk,
    signal: AbortSignal | undefined,
    onFailed: (wasIdle: boolean) => void,
  ): Promise<HttpAnswer> {
    agent ??= makeAgent().catch((error) => {
      agent = undefined
      throw error
    })
    const current = agent
    const made = await current
    signal?.throwIfAborted()
    if (isStopped) throw stopped()
    const options = {
      ...urlToHttpOptions(base),
      agent: made,
      method: ask.method,
      path: base.pathname.replace(/\/$/, '') + ask.path,
      // An answer out of a cache is as old as its Date, and nothing newer could be taken as read.
      headers: { 'accept-encoding': 'gzip', 'cache-control': 'no-cache', 'user-agent': 'tailflux', ...ask.headers },
    }
    const request = boundInterim(open(options))
    try {
      const exchange = startExchange(request, ask, { config, clock, metrics }, signal)
      flying.add(exchange)
      exchange.closed.then(() => flying.delete(exchange))
      return await exchange.head
    } catch (error) {
      const code = error instanceof CollectorError ? codeOf(error.cause) : ''
      // caFile may be corrected meanwhile: the next request reads it again. The old agent may still carry others.
      if (isTlsFault(code) && agent === current) agent = undefined
      onFailed(request.reusedSocket && (code === 'ECONNRESET' || code === 'EPIPE'))
      throw error
    }
  }

  function stopped(): CollectorError {
    return new CollectorError('The source is stopped.', { stage: 'source', code: 'api_unreachable', reaction: 'retry' })
  }

  return {
    send,
    async stop() {
      isStopped = true
      // One that waits for its proxy has no socket yet, and does not say when it is closed.
      const closed = [...flying].flatMap((one) => (one.hasSocket() ? [one.closed] : []))
      for (const one of flying) one.fail(stopped())
      await Promise.all(closed)
      for (const one of agents) one.destroy()
    },
  }
}
