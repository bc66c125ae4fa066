/** One request to the API, over node:http(s): unlike fetch it takes certificate authorities as they are, follows no redirect, shows
 * each byte as it comes, and costs less (a quarter of the CPU of the whole line). What goes wrong becomes a CollectorError here. */
import type { Agent, ClientRequest, IncomingHttpHeaders, IncomingMessage } from 'node:http'
import { pipeline, type Readable } from 'node:stream'
import { urlToHttpOptions } from 'node:url'
import { createGunzip } from 'node:zlib'
import type { Clock } from '../base/clock.ts'
import { type Code, CollectorError, type Reaction } from '../base/errors.ts'
import { createAgent } from './agent.ts'
import { codeOf, isTlsFault, remedyOf } from './error-codes.ts'
import { boundInterim } from './interim.ts'
import { http, https } from './node-http.ts'
import { createWatch, type Late, type WaitLimits } from './timeouts.ts'

/** What was asked for; a closed list (metric label). */
export type Endpoint = 'logging/network' | 'devices' | 'settings' | 'oauth/token' | 'oauth/token-exchange'

export interface HttpMetrics {
  /** `code`: HTTP status as text, or `error` when there was none. */
  request(endpoint: Endpoint, code: string, durationMs: number): void
  /** Decoded bytes received. */
  bytes(count: number): void
}

export interface HttpAsk {
  readonly endpoint: Endpoint
  readonly method: 'GET' | 'POST'
  /** From `/api/v2` on, encoded. */
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string
  /** Decoded bytes; more is `api_too_large`. */
  readonly bytesMax: number
  /** What to do when the answer is too much for somebody: `split` where less can be asked for. */
  readonly tooMuch: Reaction
}

export interface HttpAnswer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  /** Decoded chunks, to be read once. Ends only when the answer is whole; otherwise throws a CollectorError or the signal's reason.
   * Leaving early closes the socket. */
  readonly body: AsyncIterable<Uint8Array>
  /** Closes the socket unless the body was read to its end. */
  close(): void
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
  const flying = new Map<ClientRequest, { fail: (reason: unknown) => void; closed: Promise<void> }>()
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
      const answer = await sendOnce(ask, signal, true)
      code = String(answer.status)
      return answer
    } finally {
      if (!signal?.aborted) metrics.request(ask.endpoint, code, clock.monotonicMs() - beganMs)
    }
  }

  async function sendOnce(ask: HttpAsk, signal: AbortSignal | undefined, mayRepeat: boolean): Promise<HttpAnswer> {
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
      return await exchange(request, ask, signal)
    } catch (error) {
      const code = error instanceof CollectorError ? codeOf(error.cause) : ''
      // caFile may be mended meanwhile: the next request reads it again. The old agent may still carry others.
      if (isTlsFault(code) && agent === current) agent = undefined
      // The other side closed an idle connection at the moment when we took it up again: it never saw this request.
      const wasIdle = request.reusedSocket && (code === 'ECONNRESET' || code === 'EPIPE')
      if (mayRepeat && wasIdle) return sendOnce(ask, signal, false)
      throw error
    }
  }

  /** From the first byte sent to the last one received. Everything that ends it early goes through `fail`. */
  function exchange(request: ClientRequest, ask: HttpAsk, signal: AbortSignal | undefined): Promise<HttpAnswer> {
    const { promise: head, resolve, reject } = Promise.withResolvers<HttpAnswer>()
    let failure: { reason: unknown } | undefined
    let isConnected = false
    let hasHead = false
    const watch = createWatch(config, clock, (what) => fail(late(what)))

    function fail(reason: unknown): void {
      failure ??= { reason }
      finish()
      request.destroy()
      reject(failure.reason)
    }
    function finish(): void {
      watch.end()
      signal?.removeEventListener('abort', onAbort)
    }
    function onAbort(): void {
      fail(signal?.reason)
    }
    function late(what: Late): CollectorError {
      if (!isConnected) {
        return fault(
          'api_unreachable',
          'retry',
          `no connection within ${config.headTimeout} ms; check the network, and a proxy or firewall in between`,
        )
      }
      const limit = { head: 'headTimeout', idle: 'idleTimeout', total: 'totalTimeout' } as const
      const waited = `${config[limit[what]]} ms (${limit[what]})`
      const waitedFor = {
        head: 'it began no answer within',
        idle: 'its answer stood still for',
        total: 'its answer was not complete after',
      }
      const remedy =
        ask.tooMuch === 'split' ? '; it is retried with a shorter window' : '; if it is only slow, raise that limit'
      return fault('api_timeout', ask.tooMuch, `${waitedFor[what]} ${waited}${remedy}`)
    }
    function fault(code: Code, reaction: Reaction, what: string, cause?: unknown): CollectorError {
      const text = `The request for ${ask.endpoint} at ${base.origin} failed: ${what}.`
      return new CollectorError(text, { stage: 'source', code, reaction, cause })
    }
    function brokenOff(cause: unknown): CollectorError {
      const remedy = ask.tooMuch === 'split' ? 'it is retried with a shorter window' : 'it is retried'
      return fault(
        'api_truncated',
        ask.tooMuch,
        `its answer broke off or was damaged${inBrackets(codeOf(cause))}; ${remedy}`,
        cause,
      )
    }

    async function* read(response: IncomingMessage, decoded: Readable): AsyncGenerator<Uint8Array> {
      let total = 0
      try {
        const chunks = decoded[Symbol.asyncIterator]() as AsyncIterator<Uint8Array>
        for (;;) {
          watch.wait()
          const { done, value } = await chunks.next()
          if (failure) break
          watch.bytes()
          watch.rest()
          if (done) break
          total += value.length
          metrics.bytes(value.length)
          if (total > ask.bytesMax) throw tooLarge()
          yield value
          if (failure) break
        }
        if (!failure && !response.complete) throw brokenOff(undefined)
      } catch (error) {
        fail(error instanceof CollectorError ? error : brokenOff(error))
      } finally {
        close(response)
      }
      if (failure) throw failure.reason
    }
    function tooLarge(): CollectorError {
      const remedy =
        ask.tooMuch === 'split' ? 'it is retried with a shorter window' : 'check what answers at the API URL'
      return fault('api_too_large', ask.tooMuch, `its answer has more than ${ask.bytesMax} bytes; ${remedy}`)
    }
    function close(response: IncomingMessage): void {
      finish()
      // A socket whose answer was read to the end goes back to the agent.
      if (!response.complete || !response.readableEnded) request.destroy()
    }

    request.once('socket', (socket) => {
      // Through a proxy it comes only when all of it is connected.
      isConnected = request.reusedSocket || !socket.connecting
      if (isConnected) return
      socket.once(isTls ? 'secureConnect' : 'connect', () => {
        isConnected = true
      })
    })
    function broken(cause: unknown): CollectorError {
      if (hasHead) return brokenOff(cause)
      return fault('api_unreachable', 'retry', `${remedyOf(cause, config.apiUrl)}${inBrackets(codeOf(cause))}`, cause)
    }
    request.on('error', (cause) => fail(broken(cause)))
    request.once('response', (response) => {
      hasHead = true
      watch.head()
      // The reader sees the error; without a listener one that comes before the reader would end the process.
      response.on('error', () => undefined)
      const encoding = response.headers['content-encoding']?.trim().toLowerCase() ?? 'identity'
      let decoded: Readable = response
      if (encoding === 'gzip' || encoding === 'x-gzip') {
        let received = 0
        decoded = pipeline(response, createGunzip({ chunkSize: 64 * 1024 }), () => undefined)
        response.on('data', (chunk: Uint8Array) => {
          watch.bytes()
          received += chunk.length
          if (received > ask.bytesMax) fail(tooLarge())
        })
      } else if (encoding !== 'identity' && encoding !== '') {
        fail(
          fault(
            'api_not_json',
            'retry',
            'its answer is compressed in a way that was not asked for; look for a proxy in between',
          ),
        )
        return
      }
      resolve({
        status: response.statusCode ?? 0,
        headers: response.headers,
        body: { [Symbol.asyncIterator]: () => read(response, decoded) },
        close: () => close(response),
      })
    })
    const closed = new Promise<void>((done) => {
      request.once('close', () => {
        flying.delete(request)
        // Without head and without error, as after an upgrade that nobody asked for.
        if (!hasHead) fail(broken(undefined))
        done()
      })
    })
    flying.set(request, { fail, closed })
    signal?.addEventListener('abort', onAbort, { once: true })
    request.end(ask.body)
    return head
  }

  function stopped(): CollectorError {
    return new CollectorError('The source is stopped.', { stage: 'source', code: 'api_unreachable', reaction: 'retry' })
  }

  return {
    send,
    async stop() {
      isStopped = true
      // One that waits for its proxy has no socket yet, and does not say when it is closed.
      const closed = [...flying].flatMap(([request, one]) => (request.socket ? [one.closed] : []))
      for (const one of flying.values()) one.fail(stopped())
      await Promise.all(closed)
      for (const one of agents) one.destroy()
    },
  }
}

function inBrackets(code: string): string {
  return code === '' ? '' : ` (${code})`
}
