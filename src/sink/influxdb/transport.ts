/** Requests to InfluxDB: credentials, compression, time-outs, bounds of answers, and errors as sentences. No batching and no retries. POST
 * requests go through the client library (client.ts). Queries do not: each has its own bound for the answer, for which the library has no option. */
import type { Agent } from 'node:http'
import { promisify } from 'node:util'
import { constants, gzip as gzipCallback } from 'node:zlib'
import { CollectorError } from '../../base/errors.ts'
import { createAgent } from '../../http-client/agent.ts'
import { askWith, type HttpMethod } from '../../http-client/ask.ts'
import { codeOf, isTlsFault, remedyOr } from '../../http-client/error-codes.ts'
import { createSecretRegistry } from '../../secrets/redactor.ts'
import type { Secret } from '../../secrets/secret.ts'
import type { InfluxConfig } from '../config.ts'
import { createClient, refusedAnswer } from './client.ts'
import type { RawAnswer } from './response-policy.ts'

export interface InfluxHttp {
  /** Resolves with whatever the server answered; rejects with a CollectorError (`db_unreachable`, `db_timeout`: the outcome is unknown) or
   * with the reason of the signal. */
  send(request: InfluxRequest, signal: AbortSignal): Promise<RawAnswer>
  stop(): void
}

interface InfluxRequest {
  readonly method: HttpMethod
  readonly path: string
  readonly body?: Uint8Array | string
  readonly headers?: Readonly<Record<string, string>>
  readonly gzip?: boolean
  /** Of the answer; more is an error. Without it the first megabyte is taken and the rest broken off: for answers of which only the beginning matters. */
  readonly answerBytesMax?: number
  /** Takes the bytes of an answer below 300 as they come, in place of its `body`, which is then empty. The timeout begins again with each of them. Must
   * not throw. */
  readonly onChunk?: (chunk: Uint8Array) => void
}

/** Of an answer; writes have none, queries of ours small ones. */
const BODY_BYTES_MAX = 1 << 20
/** Of a refusal, which may quote every line of the largest batch. */
const REFUSAL_BYTES_MAX = 64 << 20
/** Below it compressing costs more than it saves. */
const GZIP_BYTES_MIN = 1_000
/** A batch fits into one or two. Many small ones are copied together, and leave 100 MB for the garbage collector. */
const GZIP_CHUNK_BYTES = 1 << 20
/** What may stand in a header line; Node would throw for anything else. */
const HEADER_SAFE = /^[\t\x20-\x7e]*$/

const gzip = promisify(gzipCallback)

export function createInfluxHttp(config: InfluxConfig & { url: string }, label: string): InfluxHttp {
  /** What a database or a proxy says is shown to people, and some say what they were sent, credentials included. */
  const secrets = createSecretRegistry([config.token, config.password].filter((secret) => secret !== undefined))
  const base = config.url.replace(/(\/api\/v2)?\/?$/, '')
  const client = createClient(config.url, async (path, body, { method, headers = {}, signal }) =>
    exchange({ method: method as HttpMethod, path, body, headers }, signal ?? new AbortController().signal),
  )
  let agent: Promise<Agent> | undefined

  async function currentAgent(): Promise<Agent> {
    const { url, caFile, inFlight, timeout } = config
    // A request is late before its connection is.
    agent ??= createAgent({ url, caFile, maxSockets: inFlight + 2, proxyMs: timeout + 1_000 })
    try {
      return await agent
    } catch (error) {
      agent = undefined
      throw error
    }
  }

  /** The next request makes new connections, and reads `caFile` again. */
  function forget(): void {
    agent?.then(
      (made) => made.destroy(),
      () => undefined,
    )
    agent = undefined
  }

  async function exchange(request: InfluxRequest, signal: AbortSignal): Promise<RawAnswer> {
    const { method, path, headers = {}, body = '', answerBytesMax, onChunk } = request
    const answer = await askWith(await currentAgent(), { url: base + path, method, headers, body }, signal)
    const { status, headers: answered } = answer
    const isRefusal = status >= 300
    const bytesMax = isRefusal ? REFUSAL_BYTES_MAX : (answerBytesMax ?? BODY_BYTES_MAX)
    if (onChunk !== undefined && !isRefusal) {
      let bytes = 0
      for await (const chunk of answer.chunks()) {
        bytes += chunk.length
        if (bytes > bytesMax) throw tooLong(bytesMax)
        onChunk(chunk)
      }
      return { status, headers: answered, body: '' }
    }
    const { text, isCut } = await answer.text(bytesMax)
    // It may have no end, so the rest is not waited for.
    if (isCut && isRefusal) throw endlessRefusal(label, status, bytesMax)
    if (isCut && answerBytesMax !== undefined) throw tooLong(answerBytesMax)
    // InfluxDB 1.x sends the reason in a header as well, which a proxy may leave when it drops the body.
    const said = isRefusal && text === '' ? String(answered['x-influxdb-error'] ?? '') : text
    return { status, headers: answered, body: said }
  }

  async function post(request: InfluxRequest, signal: AbortSignal): Promise<RawAnswer> {
    const { path, body, headers = {} } = await compressed(request)
    let status = 0
    let answered: RawAnswer['headers'] = {}
    const options = { method: request.method, headers, signal }
    try {
      const text: string = await client.transport.request(path, body, options, (given, code = 0) => {
        answered = given
        status = code
      })
      return { status, headers: answered, body: text }
    } catch (error) {
      const refused = refusedAnswer(error)
      if (refused === undefined) throw error
      return refused
    }
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
      const patience = createPatience(config.timeout)
      const over = patience.signal
      const either = AbortSignal.any([signal, over])
      const { onChunk } = request
      const wanted =
        onChunk === undefined
          ? request
          : {
              ...request,
              onChunk(chunk: Uint8Array) {
                patience.renew()
                onChunk(chunk)
              },
            }
      try {
        const headers = {
          'content-type': 'text/plain; charset=utf-8',
          'user-agent': 'tailflux',
          ...(await authorization()),
          ...request.headers,
        }
        const isQuery = request.method === 'GET'
        const answer = await (isQuery ? exchange : post)({ ...wanted, headers }, either)
        // The answer to a query is read by us, not shown.
        return isQuery && answer.status < 300 ? answer : { ...answer, body: secrets.scrub(answer.body) }
      } catch (error) {
        signal.throwIfAborted()
        if (error instanceof CollectorError) throw misconfigured(error)
        if (over.aborted) {
          throw new CollectorError(
            `${label} did not answer within ${config.timeout / 1000} s; it is tried again by itself. Check its load, or raise influx.timeout.`,
            { stage: 'sink', code: 'db_timeout', reaction: 'retry', cause: error },
          )
        }
        const failure = unreachable(error, label, config.url)
        if (failure.reaction === 'hold') forget()
        throw failure
      } finally {
        patience.end()
      }
    },
    stop: forget,
  }
}

/** How long a server may say nothing. */
function createPatience(ms: number) {
  const over = new AbortController()
  const timer = setTimeout(() => over.abort(new DOMException('no answer in time', 'TimeoutError')), ms)
  return { signal: over.signal, renew: () => void timer.refresh(), end: () => clearTimeout(timer) }
}

/** Compressed as a whole: a body in chunks of unknown length is refused by some proxies (411). */
async function compressed(request: InfluxRequest): Promise<InfluxRequest & { body: Uint8Array | string }> {
  const { body = '', headers = {} } = request
  if (!request.gzip || body.length < GZIP_BYTES_MIN) return { ...request, body }
  return {
    ...request,
    body: await gzip(body, { level: constants.Z_BEST_SPEED, chunkSize: GZIP_CHUNK_BYTES }),
    headers: { ...headers, 'content-encoding': 'gzip' },
  }
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
  const code = codeOf(error) || 'connection broke off'
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
  const remedy = remedyOr('check that it runs and that INFLUX_URL is right', error, url)
  return new CollectorError(`${label} cannot be reached (${code}). ${remedy}; it is tried again by itself.`, {
    stage: 'sink',
    code: 'db_unreachable',
    reaction: 'retry',
    cause: error,
  })
}
