/** The simulated tailnet over HTTP, as https://api.tailscale.com serves a real one. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { createGzip, type Gzip } from 'node:zlib'
import { http } from '../http-client/node-http.ts'
import { createGuard, DEMO_CREDENTIALS, type DemoCredentials, type Refused } from './credentials.ts'
import {
  aborted,
  Broken,
  breathe,
  createFaults,
  type Fault,
  faultyBody,
  type RequestedWindow,
  type Route,
} from './faults.ts'
import { instantNs } from './instant.ts'
import type { Tailnet } from './tailnet.ts'

export interface DemoServerOptions {
  /** The API's clock, ns: the system's unless told otherwise. */
  readonly nowNs?: () => bigint
  readonly host?: string
  readonly port?: number
  readonly credentials?: DemoCredentials
  /** Seconds that a token is valid for, by the real clock. */
  readonly tokenLifeSeconds?: number
  /** Before the head of each answer. */
  readonly latencyMs?: number
  /** What is older is left out, without a word. */
  readonly retentionDays?: number
}

/** One request, from its head on. */
interface DemoRequest {
  readonly route: Route
  readonly method: string
  readonly path: string
  readonly window: RequestedWindow | undefined
  /** 0 until the head of the answer is sent, or when there is none. */
  status: number
  /** Decoded bytes and messages sent so far. */
  bytes: number
  messages: number
  /** `broken`: the connection ended before the answer did. */
  outcome: 'open' | 'done' | 'broken'
}

export interface DemoServer {
  /** Where the API is, without a path; throws before `start`. */
  readonly url: string
  start(): Promise<void>
  stop(): Promise<void>
  /** The newest 10,000, oldest first. */
  readonly requests: readonly DemoRequest[]
  /** How many there were, per route. */
  count(route: Route): number
  /** Resolves with the next request that arrives from now on (and matches). */
  nextRequest(matches?: (request: DemoRequest) => boolean): Promise<DemoRequest>
  /** Switches a fault on; call the result to switch it off. */
  setFault(fault: Fault): () => void
  clearFaults(): void
  expireTokens(): void
}

const REQUESTS_MAX = 10_000
const CHUNK_CHARS = 64 * 1024
const FORM_BYTES_MAX = 64 * 1024
const DAY_NS = 86_400_000_000_000n

export function createDemoServer(tailnet: Tailnet, options: DemoServerOptions = {}): DemoServer {
  const {
    nowNs = () => BigInt(Date.now()) * 1_000_000n,
    host = '127.0.0.1',
    credentials = DEMO_CREDENTIALS,
    retentionDays = 30,
    latencyMs = 0,
  } = options
  const guard = createGuard(credentials, options.tokenLifeSeconds ?? 3600)
  const faults = createFaults()
  const requests: DemoRequest[] = []
  const counts = new Map<Route, number>()
  const waiting = new Set<(request: DemoRequest) => void>()
  const server = http.createServer((request, response) => void handle(request, response))
  let url: string | undefined

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const gone = new AbortController()
    response.once('close', () => gone.abort())
    // A client that goes away is no fault of ours; `pipeline` and `close` tell us.
    response.on('error', () => undefined)
    // Anybody can write anything behind GET; what is no path is none of ours.
    const { pathname, searchParams } = URL.parse(request.url ?? '/', 'http://demo') ?? new URL('http://demo/')
    const route = routeOf(request.method ?? 'GET', pathname)
    const entry: DemoRequest = {
      route,
      method: request.method ?? '',
      path: request.url ?? '',
      window: route === 'logs' ? windowOf(searchParams) : undefined,
      status: 0,
      bytes: 0,
      messages: 0,
      outcome: 'open',
    }
    requests.push(entry)
    if (requests.length > REQUESTS_MAX) requests.shift()
    counts.set(route, (counts.get(route) ?? 0) + 1)
    for (const wake of waiting) wake(entry)
    try {
      await answer(request, response, entry, pathname, gone.signal)
      entry.outcome = response.writableFinished ? 'done' : 'broken'
    } catch (error) {
      entry.outcome = 'broken'
      const isLeft = gone.signal.aborted || response.destroyed || request.socket.destroyed
      response.destroy()
      if (!isLeft && !(error instanceof Broken)) throw error
    }
  }

  async function answer(
    request: IncomingMessage,
    response: ServerResponse,
    entry: DemoRequest,
    pathname: string,
    gone: AbortSignal,
  ): Promise<void> {
    const form = request.method === 'POST' ? await formOf(request) : new URLSearchParams()
    if (latencyMs > 0) await sleep(latencyMs, undefined, { signal: gone })
    const now = nowNs()
    response.setHeader('Date', new Date(Number(now / 1_000_000n)).toUTCString())
    const happening = faults.take(entry.route, entry.window)
    for (const fault of happening) {
      if (fault.kind === 'date') {
        response.sendDate = false
        response.removeHeader('Date')
        if (fault.value !== undefined) response.setHeader('Date', fault.value)
      } else if (fault.kind === 'reset') {
        request.socket.resetAndDestroy()
        return
      } else if (fault.kind === 'hang-head') {
        await aborted(gone)
        return
      } else if (fault.kind === 'html') {
        await send(
          response,
          entry,
          200,
          '<!doctype html><html><title>Sign in</title><p>Please sign in.</html>',
          'text/html',
        )
        return
      } else if (fault.kind === 'status') {
        if (fault.retryAfter !== undefined) response.setHeader('Retry-After', fault.retryAfter)
        const body = fault.body ?? JSON.stringify({ message: MESSAGES[fault.status] ?? 'error' })
        await send(response, entry, fault.status, body)
        return
      }
    }
    const off = happening.some((fault) => fault.kind === 'feature-off')
    const bodyFault = happening.find((fault) => BODY_FAULTS.includes(fault.kind))

    const { authorization } = request.headers
    if (entry.route === 'token') return sendJson(response, entry, guard.token(form, authorization))
    if (entry.route === 'token-exchange') return sendJson(response, entry, guard.exchange(form))
    if (entry.route === 'other') return sendJson(response, entry, { status: 404, message: 'not found' })
    const refused = guard.refusal(authorization, entry.route)
    if (refused) return sendJson(response, entry, refused)
    if (!isTailnet(pathname.split('/')[4] ?? ''))
      return sendJson(response, entry, { status: 404, message: 'user tailnet does not match' })
    if (entry.route === 'settings')
      return sendJson(response, entry, { networkFlowLoggingOn: !off, devicesApprovalOn: false, httpsEnabled: true })

    let items: () => Iterable<string> = () => tailnet.devices(now)
    if (entry.route === 'logs') {
      const { window } = entry
      if (window === undefined)
        return sendJson(response, entry, { status: 400, message: 'start and end must be RFC 3339 timestamps' })
      if (window.fromNs > window.toNs) return sendJson(response, entry, { status: 400, message: 'start is after end' })
      if (off) return sendJson(response, entry, { status: 403, message: MESSAGES[403]! })
      const oldestNs = now - BigInt(Math.round(retentionDays * 86_400)) * (DAY_NS / 86_400n)
      const fromNs = window.fromNs > oldestNs ? window.fromNs : oldestNs
      items = () => tailnet.messages(fromNs, window.toNs, { nowNs: now })
    }
    const head = entry.route === 'logs' ? '{"logs":[' : '{"devices":['
    await sendList(request, response, entry, bodyOf(head, items, entry), lengthOf(head, items), bodyFault, gone)
  }

  /** `asked` as in the path: encoded. */
  function isTailnet(asked: string): boolean {
    return asked === '-' || asked === encodeURIComponent(tailnet.name)
  }

  async function sendList(
    request: IncomingMessage,
    response: ServerResponse,
    entry: DemoRequest,
    body: AsyncIterable<Buffer>,
    length: () => number,
    fault: Fault | undefined,
    gone: AbortSignal,
  ): Promise<void> {
    // Compression holds bytes back, so what comes piece by piece, or stays away, is not compressed.
    const plain = fault !== undefined && fault.kind !== 'truncate'
    const zip = !plain && /\bgzip\b/.test(request.headers['accept-encoding'] ?? '')
    let wanted = fault
    if (fault?.kind === 'truncate' && fault.fraction !== undefined)
      wanted = { ...fault, afterBytes: Math.floor(length() * fault.fraction) }
    entry.status = 200
    response.writeHead(200, {
      'Content-Type': 'application/json',
      ...(zip ? { 'Content-Encoding': 'gzip', Vary: 'Accept-Encoding' } : {}),
    })
    response.flushHeaders()
    const gzip = zip ? createGzip({ level: 1 }) : undefined
    const source = wanted === undefined ? body : breakGently(faultyBody(body, wanted, gone), response, gzip)
    if (gzip) await pipeline(Readable.from(source), gzip, response)
    else await pipeline(Readable.from(source), response)
  }

  async function send(
    response: ServerResponse,
    entry: DemoRequest,
    status: number,
    body: string,
    type = 'application/json',
  ): Promise<void> {
    entry.status = status
    entry.bytes = Buffer.byteLength(body)
    response.writeHead(status, { 'Content-Type': type, 'Content-Length': entry.bytes })
    await pipeline(Readable.from([body]), response)
  }

  function sendJson(response: ServerResponse, entry: DemoRequest, value: Refused | object): Promise<void> {
    if ('status' in value && 'message' in value)
      return send(response, entry, Number(value.status), JSON.stringify({ message: value.message }))
    return send(response, entry, 200, JSON.stringify(value))
  }

  let stopping: Promise<void> | undefined
  return {
    get url() {
      if (url === undefined) throw new Error('the demo server was not started')
      return url
    },
    async start() {
      const { promise, resolve, reject } = Promise.withResolvers<void>()
      server.once('error', reject)
      server.listen(options.port ?? 0, host, () => resolve())
      await promise
      const { port } = server.address() as AddressInfo
      url = `http://${host.includes(':') ? `[${host}]` : host}:${port}`
    },
    stop() {
      stopping ??= new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      })
      return stopping
    },
    requests,
    count: (route) => counts.get(route) ?? 0,
    nextRequest(matches = () => true) {
      const { promise, resolve } = Promise.withResolvers<DemoRequest>()
      const wake = (request: DemoRequest) => {
        if (!matches(request)) return
        waiting.delete(wake)
        resolve(request)
      }
      waiting.add(wake)
      return promise
    },
    setFault: faults.set,
    clearFaults: faults.clear,
    expireTokens: guard.expireTokens,
  }
}

const BODY_FAULTS: readonly Fault['kind'][] = ['truncate', 'hang-body', 'drip', 'garbage']

/** Texts that the API's own description gives as examples, and the one that was seen with a missing right. */
const MESSAGES: Readonly<Record<number, string>> = {
  400: 'bad request',
  401: 'API token invalid',
  403: 'calling actor does not have enough permissions to perform this function',
  404: 'not found',
  429: 'too many requests',
  500: 'internal server error',
  502: 'bad gateway',
  504: 'request took too long to process, please try again later',
}

function routeOf(method: string, pathname: string): Route {
  if (method === 'POST') {
    if (pathname === '/api/v2/oauth/token') return 'token'
    if (pathname === '/api/v2/oauth/token-exchange') return 'token-exchange'
  }
  if (method !== 'GET') return 'other'
  const rest = /^\/api\/v2\/tailnet\/[^/]+\/(.+)$/.exec(pathname)?.[1]
  if (rest === 'logging/network') return 'logs'
  return rest === 'devices' || rest === 'settings' ? rest : 'other'
}

function windowOf(query: URLSearchParams): RequestedWindow | undefined {
  const fromNs = instantNs(query.get('start') ?? '')
  const toNs = instantNs(query.get('end') ?? '')
  return fromNs === undefined || toNs === undefined ? undefined : { fromNs, toNs }
}

async function formOf(request: IncomingMessage): Promise<URLSearchParams> {
  let text = ''
  for await (const chunk of request.setEncoding('utf8')) {
    text += chunk
    if (text.length > FORM_BYTES_MAX) break
  }
  return new URLSearchParams(text)
}

/** A list in chunks, made while it is sent. */
async function* bodyOf(head: string, items: () => Iterable<string>, entry: DemoRequest): AsyncGenerator<Buffer> {
  let text = head
  let first = true
  const take = () => {
    const chunk = Buffer.from(text)
    entry.bytes += chunk.length
    text = ''
    return chunk
  }
  for (const item of items()) {
    text += first ? item : `,${item}`
    first = false
    entry.messages += 1
    if (text.length < CHUNK_CHARS) continue
    yield take()
    await breathe()
  }
  text += ']}\n'
  yield take()
}

function lengthOf(head: string, items: () => Iterable<string>): () => number {
  return () => {
    let bytes = Buffer.byteLength(head) + 3
    let count = 0
    for (const item of items()) {
      bytes += Buffer.byteLength(item)
      count += 1
    }
    return bytes + Math.max(0, count - 1)
  }
}

/** Before a connection is broken on purpose, what was made so far goes out. */
async function* breakGently(
  body: AsyncIterable<Buffer>,
  response: ServerResponse,
  gzip: Gzip | undefined,
): AsyncGenerator<Buffer> {
  try {
    yield* body
  } catch (error) {
    for (let i = 0; i < 5; i++) await breathe()
    if (gzip) await new Promise<void>((resolve) => gzip.flush(() => resolve()))
    for (let i = 0; i < 100 && (i < 5 || response.writableLength > 0); i++) await breathe()
    throw error
  }
}
