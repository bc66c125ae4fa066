/** One request to InfluxDB through its client's transport: no batching, no retries, the status visible. The client would treat every 2xx
 * as success and retries by rules of its own, so we use the layer below its WriteApi. */
import type { Agent, ClientRequest, IncomingMessage, RequestOptions } from 'node:http'
import { createRequire } from 'node:module'
import { promisify } from 'node:util'
import { constants, gzip as gzipCallback } from 'node:zlib'
import type { InfluxDB as Client } from '@influxdata/influxdb-client'
import { CollectorError } from '../../base/errors.ts'
import { createAgent } from '../../http-client/agent.ts'
import { codeOf, isTlsFault, proxyRemedies } from '../../http-client/error-codes.ts'
import { boundInterim } from '../../http-client/interim.ts'
import { http, https } from '../../http-client/node-http.ts'
import { createSecretRegistry } from '../../secrets/redactor.ts'
import type { Secret } from '../../secrets/secret.ts'
import type { InfluxConfig } from '../config.ts'
import type { RawAnswer } from './response-policy.ts'

/** Required, not imported: its form as a module imports node:http (see node-http.ts). */
const { HttpError, InfluxDB, setLogger } = createRequire(import.meta.url)(
  '@influxdata/influxdb-client',
) as typeof import('@influxdata/influxdb-client')

export interface InfluxHttp {
  /** Resolves with whatever the server answered; rejects with a CollectorError (`db_unreachable`, `db_timeout`: the outcome is unknown) or
   * with the reason of the signal. */
  send(request: InfluxRequest, signal: AbortSignal): Promise<RawAnswer>
  stop(): void
}

interface InfluxRequest {
  readonly method: 'GET' | 'POST'
  readonly path: string
  readonly body?: Uint8Array | string
  readonly headers?: Readonly<Record<string, string>>
  readonly gzip?: boolean
  /** Of the answer; more is an error. Without it the first megabyte is taken and the rest broken off: for answers of which only the beginning matters. */
  readonly answerBytesMax?: number
}

/** Of an answer; writes have none, queries of ours small ones. */
const BODY_BYTES_MAX = 1 << 20
/** Of a refusal, which may quote every line of the largest batch; and of one that is compressed, though nobody asked for it. */
const REFUSAL_BYTES_MAX = { plain: 64 << 20, compressed: 256 << 10 } as const
/** Below it compressing costs more than it saves. */
const GZIP_BYTES_MIN = 1_000
/** What may stand in a header line; anything else the client would throw far from here, where nobody catches it. */
const HEADER_SAFE = /^[\t\x20-\x7e]*$/

const gzip = promisify(gzipCallback)

export function createInfluxHttp(config: InfluxConfig & { url: string }, label: string): InfluxHttp {
  // The client writes every failure to the console otherwise; we tell them ourselves.
  setLogger({ error: () => undefined, warn: () => undefined })
  /** What a database or a proxy says is shown to people, and some say what they were sent, credentials included. */
  const secrets = createSecretRegistry([config.token, config.password].filter((secret) => secret !== undefined))
  const bodies: Bodies = new WeakMap()
  const redirects = opening(bodies, label)
  let made: Promise<{ client: Client; agent: Agent }> | undefined

  async function make(): Promise<{ client: Client; agent: Agent }> {
    const { url, caFile, inFlight, timeout } = config
    // A request is late before its connection is.
    const agent = await createAgent({ url, caFile, maxSockets: inFlight + 2, proxyMs: timeout + 1_000 })
    const transportOptions = { agent, 'follow-redirects': redirects }
    return { client: new InfluxDB({ url, timeout: 0, transportOptions }), agent }
  }

  async function transport(): Promise<Client['transport']> {
    made ??= make()
    try {
      return (await made).client.transport
    } catch (error) {
      made = undefined
      throw error
    }
  }

  /** The next request makes connections anew, and reads `caFile` again. */
  function forget(): void {
    made?.then(
      ({ agent }) => agent.destroy(),
      () => undefined,
    )
    made = undefined
  }

  async function authorization(): Promise<Record<string, string>> {
    if (config.token)
      return { authorization: `${config.api === 'v3' ? 'Bearer' : 'Token'} ${await tokenOf(config.token)}` }
    if (config.user !== undefined && config.password) {
      const pair = `${config.user}:${await config.password.read()}`
      return { authorization: `Basic ${Buffer.from(pair).toString('base64')}` }
    }
    return {}
  }

  async function tokenOf(token: Secret): Promise<string> {
    const value = await token.read()
    if (HEADER_SAFE.test(value)) return value
    throw new CollectorError(
      `The token from ${token.origin} holds characters that no token has; copy it again, without quotation marks.`,
      { stage: 'sink', code: 'db_misconfigured', reaction: 'hold' },
    )
  }

  /** Whatever the settings name but does not work: secret files, certificate authorities. */
  function misconfigured(error: CollectorError): CollectorError {
    if (error.stage === 'sink') return error
    return new CollectorError(error.message, {
      stage: 'sink',
      code: 'db_misconfigured',
      reaction: 'hold',
      cause: error,
    })
  }

  return {
    async send(request, signal) {
      signal.throwIfAborted()
      const over = AbortSignal.timeout(config.timeout)
      try {
        const { body, headers } = await packed(request)
        const answer = await once(
          await transport(),
          {
            ...request,
            body,
            headers: { 'content-type': 'text/plain; charset=utf-8', ...(await authorization()), ...headers },
          },
          AbortSignal.any([signal, over]),
          bodies,
        )
        // The answer to a question is read by us, not shown.
        return request.method === 'GET' ? answer : { ...answer, body: secrets.scrub(answer.body) }
      } catch (error) {
        signal.throwIfAborted()
        if (error instanceof CollectorError) throw misconfigured(error)
        if (error instanceof HttpError) {
          return {
            status: error.statusCode,
            headers: (error.headers ?? {}) as RawAnswer['headers'],
            body: secrets.scrub(error.body ?? ''),
          }
        }
        if (over.aborted) {
          throw new CollectorError(
            `${label} did not answer within ${config.timeout / 1000} s; it is tried again by itself. Check its load, or raise influx.timeout.`,
            { stage: 'sink', code: 'db_timeout', reaction: 'retry', cause: error },
          )
        }
        const failure = unreachable(error, label, config.url)
        if (failure.reaction === 'hold') forget()
        throw failure
      }
    },
    stop: forget,
  }
}

/** Compressed here and not by the client, which would send the body in chunks of unknown length: some proxies refuse that (411). */
async function packed(request: InfluxRequest): Promise<{ body: Uint8Array | string; headers: Record<string, string> }> {
  const { body = '', headers = {} } = request
  if (!request.gzip || body.length < GZIP_BYTES_MIN) return { body, headers }
  return {
    body: await gzip(body, { level: constants.Z_BEST_SPEED }),
    headers: { ...headers, 'content-encoding': 'gzip' },
  }
}

/** What each request sends, by its signal, which is its own and which the client hands through. */
type Bodies = WeakMap<AbortSignal, Uint8Array | string>

/** The client lets others open its requests, which is meant for libraries that follow redirects. Two things happen here.
 *
 * It copies every body before it sends it: with four requests in flight 16 MB, which malloc then keeps (20 MB of the whole process). So
 * bodies go out as they are; the client itself adds an empty one.
 *
 * It keeps the body of a refusal in one text, however long that becomes, and where a text cannot be longer it throws out of a listener, which
 * ends the process. So a refusal without an end is broken off. */
function opening(bodies: Bodies, label: string) {
  const bounded = (onAnswer: (answer: IncomingMessage) => void) => (answer: IncomingMessage) => {
    onAnswer(answer)
    if ((answer.statusCode ?? 0) < 300) return
    const most = REFUSAL_BYTES_MAX[answer.headers['content-encoding'] === undefined ? 'plain' : 'compressed']
    let size = 0
    answer.on('data', (chunk: Uint8Array) => {
      size += chunk.length
      if (size <= most) return
      // Told first: breaking off is told by the client as a connection that was lost.
      answer.emit('error', endlessRefusal(label, answer.statusCode ?? 0, most))
      answer.destroy()
    })
  }
  const over = (open: typeof http.request) => ({
    request(options: RequestOptions, onAnswer: (answer: IncomingMessage) => void): ClientRequest {
      const body = options.signal && bodies.get(options.signal)
      if (body === undefined || body.length === 0) return boundInterim(open(options, bounded(onAnswer)))
      const headers = { ...options.headers, 'content-length': Buffer.byteLength(body) }
      const request = boundInterim(open({ ...options, headers }, bounded(onAnswer)))
      request.write(body)
      return request
    },
  })
  return { http: over(http.request), https: over(https.request) }
}

function once(
  transport: Client['transport'],
  request: InfluxRequest & { readonly body: Uint8Array | string; readonly headers: Record<string, string> },
  signal: AbortSignal,
  bodies: Bodies,
): Promise<RawAnswer> {
  return new Promise((resolve, reject) => {
    // While a proxy opens a connection, the client does not hear that its request was given up.
    signal.addEventListener('abort', () => reject(signal.reason), { once: true })
    const chunks: Uint8Array[] = []
    let size = 0
    let status = 0
    let answered: RawAnswer['headers'] = {}
    let cancel = (): void => undefined
    const answer = () => ({ status, headers: answered, body: Buffer.concat(chunks).toString() })
    bodies.set(signal, request.body)
    transport.send(
      request.path,
      '',
      { method: request.method, headers: request.headers, signal },
      {
        responseStarted(given, code) {
          answered = given
          status = code ?? 0
        },
        useCancellable(cancellable) {
          cancel = () => cancellable.cancel()
        },
        next(chunk) {
          size += chunk.length
          if (size <= (request.answerBytesMax ?? BODY_BYTES_MAX)) return void chunks.push(chunk)
          // It may have no end, so the rest is not waited for.
          if (request.answerBytesMax === undefined) resolve(answer())
          else reject(tooLong(request.answerBytesMax))
          cancel()
        },
        error: reject,
        complete: () => resolve(answer()),
      },
    )
  })
}

function endlessRefusal(label: string, status: number, bytesMax: number): CollectorError {
  return new CollectorError(
    `${label} answered ${status} with more than ${bytesMax} bytes of text. Check that INFLUX_URL is InfluxDB itself, and what stands in between; it is tried again by itself.`,
    { stage: 'sink', code: 'db_unavailable', reaction: 'retry' },
  )
}

function tooLong(bytes: number): CollectorError {
  return new CollectorError(
    `The answer of the database has more than ${bytes} bytes, which is too much; query a shorter range.`,
    {
      stage: 'sink',
      code: 'db_too_large',
      reaction: 'split',
    },
  )
}

function unreachable(error: unknown, label: string, url: string): CollectorError {
  // An answer that broke off comes from the client as its AbortError, without a code.
  const code =
    codeOf(error) || (error instanceof Error && error.name === 'AbortError' ? 'connection broke off' : String(error))
  const isForeign = code === 'EPROTO' || code === 'HPE_INVALID_CONSTANT'
  if (isTlsFault(code) || isForeign) {
    const remedy = isForeign
      ? 'The two sides do not speak the same protocol; check whether INFLUX_URL must begin with http or https.'
      : 'Set influx.caFile to its authority, or check the clock and the host name.'
    const what = isForeign ? 'cannot be talked to' : 'shows a certificate that is not trusted'
    return new CollectorError(`${label} ${what} (${code}). ${remedy}`, {
      stage: 'sink',
      code: 'db_misconfigured',
      reaction: 'hold',
      cause: error,
    })
  }
  const { proxy, noProxy } = proxyRemedies(error, url)
  const remedy =
    proxy ?? `check that it runs and that INFLUX_URL is right${noProxy === undefined ? '' : `; ${noProxy}`}`
  return new CollectorError(
    `${label} cannot be reached (${code}). ${remedy.charAt(0).toUpperCase()}${remedy.slice(1)}; it is tried again by itself.`,
    { stage: 'sink', code: 'db_unreachable', reaction: 'retry', cause: error },
  )
}
