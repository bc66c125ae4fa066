/** The Tailscale API as a source of messages: requests, credentials, and the meaning of refusals. The caller retries. */
import type { Logger } from 'pino'
import { z } from 'zod'
import { type Clock, MS } from '../base/clock.ts'
import { CollectorError } from '../base/errors.ts'
import type { Endpoint, HttpAnswer, HttpAsk } from '../http-client/exchange.ts'
import { createHttp } from '../http-client/http-client.ts'
import { dateMs } from '../http-client/retry.ts'
import { createSecretRegistry, type SecretRegistry } from '../secrets/redactor.ts'
import type { SourceConfig } from './config.ts'
import { createCredentials } from './credentials.ts'
import { createElementList, DEVICES_BYTES_MAX, DEVICES_MAX, deviceOf } from './devices.ts'
import type { Message } from './parse/message.ts'
import { createMessageReader, type MessageReader } from './parse/message-reader.ts'
import { createNodeReader } from './parse/node-info.ts'
import { explain, featureOff, type SignIn } from './response-errors.ts'
import type { Answer, Device, Source, SourceMetrics, Window } from './source.ts'

export interface SourceDeps {
  readonly clock: Clock
  readonly log: Logger
  readonly metrics: SourceMetrics
  /** Learns each secret that is read or received, also tokens, so that errors and the log can keep them out. One of its own if absent. */
  readonly secrets?: Omit<SecretRegistry, 'watch'>
}

/** Requests that only `check` makes. */
export interface TailscaleSource extends Source {
  /** Signs in. `scopes`: what the token may do, undefined for API keys. Rejects with a CollectorError. */
  signIn(signal: AbortSignal): Promise<{ signIn: SignIn; scopes: readonly string[] | undefined }>
  /** `networkFlowLoggingOn` is undefined when the API does not say. Rejects with a CollectorError. */
  settings(signal: AbortSignal): Promise<{ networkFlowLoggingOn?: boolean | undefined }>
}

/** Of settings and tokens. */
const SMALL_BYTES_MAX = 1024 * 1024
/** Of a foreign body, before it is cut down for the log. */
const REFUSAL_BYTES_MAX = 4096

const wireSettings = z.object({ networkFlowLoggingOn: z.boolean().optional().catch(undefined) })

/** Throws a CollectorError (`config_invalid`) without credentials. Opens nothing before the first request. */
export function createTailscaleSource(config: SourceConfig, deps: SourceDeps): TailscaleSource {
  const { clock, log, metrics } = deps
  const secrets = deps.secrets ?? createSecretRegistry()
  const http = createHttp(config, { clock, metrics })
  const credentials = createCredentials(config, { post: postForm, secrets, clock, log })
  /** Of answers that were read; their memory is used for the next ones. */
  const readers: MessageReader[] = []
  /** The same for all of them, so that each node is remembered once. */
  const readNode = createNodeReader()
  const tailnetPath = `/api/v2/tailnet/${encodeURIComponent(config.tailnet)}`

  /** The head of an answer with status 200 and JSON; every other one becomes a CollectorError. */
  async function ask(request: HttpAsk, signal?: AbortSignal): Promise<HttpAnswer> {
    const answer = await http.send(request, signal)
    log.debug({ endpoint: request.endpoint, status: answer.status }, 'request answered')
    if (answer.status === 200 && isJson(answer.headers['content-type'])) return answer
    const excerpt = await excerptOf(answer)
    signal?.throwIfAborted()
    throw explain({
      endpoint: request.endpoint,
      status: answer.status,
      headers: answer.headers,
      excerpt,
      signIn: credentials.signIn,
      tailnet: config.tailnet,
      apiUrl: config.apiUrl,
      location: locationOf(answer.headers.location),
      nowMs: dateMs(answer.headers.date) ?? Number(clock.now() / MS),
    })
  }

  /** The same, with credentials. After a 401 it retries once, with a new token, or with the key that is now in its file. */
  async function askSigned(request: HttpAsk, signal: AbortSignal): Promise<HttpAnswer> {
    signal.throwIfAborted()
    const first = await credentials.authorization(signal)
    try {
      return await ask(signed(request, first), signal)
    } catch (error) {
      if (!(error instanceof CollectorError) || error.code !== 'api_unauthorized') throw error
      credentials.refused(first)
      const second = await credentials.authorization(signal)
      if (second === first) throw error
      log.info(
        { endpoint: request.endpoint, signIn: credentials.signIn },
        'credentials rejected, retrying with new ones',
      )
      return ask(signed(request, second), signal)
    }
  }

  function get(endpoint: Endpoint, query: string, bytesMax: number, tooMuch: 'split' | 'retry'): HttpAsk {
    const path = `${tailnetPath}/${endpoint}${query}`
    return { endpoint, method: 'GET', path, headers: { accept: 'application/json' }, bytesMax, tooMuch }
  }

  async function postForm(
    endpoint: 'oauth/token' | 'oauth/token-exchange',
    form: Record<string, string>,
  ): Promise<unknown> {
    const answer = await ask({
      endpoint,
      method: 'POST',
      path: `/api/v2/${endpoint}`,
      headers: { accept: 'application/json', 'content-type': 'application/x-www-form-urlencoded' },
      body: new URLSearchParams(form).toString(),
      bytesMax: SMALL_BYTES_MAX,
      tooMuch: 'retry',
    })
    return readJson(answer)
  }

  async function excerptOf(answer: HttpAnswer): Promise<string> {
    const pieces: Uint8Array[] = []
    let size = 0
    try {
      for await (const piece of answer.body) {
        pieces.push(piece)
        if ((size += piece.length) >= REFUSAL_BYTES_MAX) break
      }
    } catch (error) {
      // The status is enough; an incomplete text changes nothing.
      log.debug({ err: error }, 'text of a refusal is incomplete')
    }
    const body = Buffer.concat(pieces).subarray(0, REFUSAL_BYTES_MAX)
    return secrets.excerpt(body.toString('utf8'), size >= REFUSAL_BYTES_MAX)
  }

  /** Where a redirect points to, without what may be a secret in it. */
  function locationOf(location: string | undefined): string | undefined {
    const url = location === undefined ? null : URL.parse(location, config.apiUrl)
    return url === null ? undefined : secrets.excerpt(url.origin + url.pathname, false)
  }

  /** The API's clock; undefined without a readable Date header. */
  function serverNsOf(answer: HttpAnswer): bigint | undefined {
    const ms = dateMs(answer.headers.date)
    if (ms === undefined) return undefined
    const serverNs = BigInt(ms) * MS
    metrics.clockSkew(Number(clock.now() - serverNs) / 1e9)
    return serverNs
  }

  async function open(window: Window, signal: AbortSignal): Promise<Answer> {
    const query = `?start=${encodeURIComponent(timeText(window.fromNs))}&end=${encodeURIComponent(timeText(window.toNs))}`
    try {
      const answer = await askSigned(get('logging/network', query, config.answerBytesMax, 'split'), signal)
      const count = { bytes: 0 }
      return { serverNs: serverNsOf(answer), bytesRead: () => count.bytes, groups: groupsOf(answer, window, count) }
    } catch (error) {
      if (error instanceof CollectorError && error.code === 'api_forbidden' && (await isFeatureOff(signal)))
        throw featureOff()
      throw error
    }
  }

  async function* groupsOf(
    answer: HttpAnswer,
    window: Window,
    count: { bytes: number },
  ): AsyncGenerator<Iterable<Message>> {
    const reader = readers.pop() ?? createMessageReader(config, undefined, readNode)
    reader.reset(window)
    try {
      for await (const chunk of answer.body) {
        try {
          const messages = reader.push(chunk)
          count.bytes = reader.bytesRead()
          yield scrubbed(messages)
        } catch (error) {
          throw scrubbedError(error)
        }
      }
      reader.end()
    } finally {
      reader.reset()
      readers.push(reader)
    }
  }

  function* scrubbed(messages: Iterable<Message>): Generator<Message> {
    try {
      yield* messages
    } catch (error) {
      throw scrubbedError(error)
    }
  }

  /** A parse error quotes the text, which may contain our own credentials. */
  function scrubbedError(error: unknown): unknown {
    if (!(error instanceof CollectorError)) return error
    const text = secrets.scrub(error.message)
    if (text === error.message) return error
    return new CollectorError(text, { stage: error.stage, code: error.code, reaction: error.reaction })
  }

  /** True only when the API says so: the reason of a 403 is otherwise unknown. */
  async function isFeatureOff(signal: AbortSignal): Promise<boolean> {
    try {
      return (await settings(signal)).networkFlowLoggingOn === false
    } catch (error) {
      signal.throwIfAborted()
      log.debug({ err: error }, 'settings of the tailnet cannot be read')
      return false
    }
  }

  async function settings(signal: AbortSignal): Promise<{ networkFlowLoggingOn?: boolean | undefined }> {
    const answer = await askSigned(get('settings', '', SMALL_BYTES_MAX, 'retry'), signal)
    return wireSettings.catch({}).parse(await readJson(answer))
  }

  async function devices(signal: AbortSignal): Promise<readonly Device[]> {
    const answer = await askSigned(get('devices', '', DEVICES_BYTES_MAX, 'retry'), signal)
    const list = createElementList('devices')
    const known: Device[] = []
    const nowMs = Number(clock.now() / MS)
    let skippedCount = 0
    for await (const chunk of answer.body) {
      for (const wire of list.push(chunk)) {
        const device = deviceOf(wire, nowMs)
        if (device) known.push(device)
        else skippedCount += 1
        if (known.length > DEVICES_MAX) throw tooManyDevices()
      }
    }
    list.end()
    if (skippedCount > 0) log.warn({ skippedCount, deviceCount: known.length }, 'skipped devices without id or name')
    return known
  }

  return {
    open,
    devices,
    settings,
    async signIn(signal) {
      await credentials.authorization(signal)
      return { signIn: credentials.signIn, scopes: credentials.scopes() }
    },
    stop: () => http.stop(),
  }
}

function tooManyDevices(): CollectorError {
  const text = `The devices API lists more than ${DEVICES_MAX} devices, which cannot be a tailnet. Check TAILSCALE_API_URL, and which server answers there.`
  return new CollectorError(text, { stage: 'source', code: 'api_too_large', reaction: 'retry' })
}

function signed(request: HttpAsk, authorization: string): HttpAsk {
  return { ...request, headers: { ...request.headers, authorization } }
}

/** Some servers send no type; what the body is then shows when it is read. */
function isJson(contentType: string | undefined): boolean {
  return contentType === undefined || /^\s*(application|text)\/([\w.+-]+\+)?json\s*(;|$)/i.test(contentType)
}

/** RFC 3339 with all nine digits of the nanoseconds: the API's bounds are inclusive to the nanosecond. */
function timeText(ns: bigint): string {
  const whole = ns / 1_000_000_000n - (ns % 1_000_000_000n < 0n ? 1n : 0n)
  const fraction = String(ns - whole * 1_000_000_000n).padStart(9, '0')
  return new Date(Number(whole) * 1000).toISOString().replace(/\.\d+Z$/, `.${fraction}Z`)
}

/** The body of a small answer. What cannot be parsed is not shown: it may hold a token. */
async function readJson(answer: HttpAnswer): Promise<unknown> {
  const pieces: Uint8Array[] = []
  for await (const piece of answer.body) pieces.push(piece)
  try {
    return JSON.parse(Buffer.concat(pieces).toString('utf8'))
  } catch {
    // The parser's own error quotes the text, so it does not come along.
    const text = 'The response is not JSON. Look for a proxy or portal in between, and check TAILSCALE_API_URL.'
    throw new CollectorError(text, { stage: 'source', code: 'api_not_json', reaction: 'retry' })
  }
}
