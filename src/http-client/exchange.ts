/** One request to the API and its answer, from the first byte sent to the last one received. */
import type { ClientRequest, IncomingHttpHeaders, IncomingMessage } from 'node:http'
import { pipeline, type Readable } from 'node:stream'
import { createGunzip } from 'node:zlib'
import type { Clock } from '../base/clock.ts'
import { type Code, CollectorError, type Reaction } from '../base/errors.ts'
import { codeOf, remedyOf } from './error-codes.ts'
import { createWatch, type Late, type WaitLimits } from './timeouts.ts'

/** What was asked for; a closed list (metric label). */
export type Endpoint = 'logging/network' | 'devices' | 'settings' | 'oauth/token' | 'oauth/token-exchange'

export interface ExchangeMetrics {
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
  /** What to do when the answer is too large or too slow: `split` where less can be asked for. */
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

export interface Exchange {
  /** Resolves when the head is there, whatever its status. Rejects with a CollectorError or the signal's reason. */
  readonly head: Promise<HttpAnswer>
  /** The connection is closed, or free for the next request. */
  readonly closed: Promise<void>
  /** Ends it with this reason. */
  fail(reason: unknown): void
  /** False while it waits for a connection. */
  hasSocket(): boolean
}

export interface ExchangeDeps {
  readonly config: WaitLimits & { readonly apiUrl: string }
  readonly clock: Clock
  readonly metrics: ExchangeMetrics
}

/** Sends the request. Everything that ends it early goes through `fail`, and becomes a CollectorError. */
export function startExchange(
  request: ClientRequest,
  ask: HttpAsk,
  { config, clock, metrics }: ExchangeDeps,
  signal: AbortSignal | undefined,
): Exchange {
  const base = new URL(config.apiUrl)
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
    const remedy = ask.tooMuch === 'split' ? 'it is retried with a shorter window' : 'check what answers at the API URL'
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
    socket.once(base.protocol === 'https:' ? 'secureConnect' : 'connect', () => {
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
      // Without head and without error, as after an upgrade that was not requested.
      if (!hasHead) fail(broken(undefined))
      done()
    })
  })
  signal?.addEventListener('abort', onAbort, { once: true })
  request.end(ask.body)
  return { head, fail, closed, hasSocket: () => Boolean(request.socket) }
}

function inBrackets(code: string): string {
  return code === '' ? '' : ` (${code})`
}
