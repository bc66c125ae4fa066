/** A simulated tailnet over HTTP as https://api.tailscale.com serves a real one, with faults that tests switch on. It is plain node:http:
 * benchmarks measure the service, and the server must not slow them down. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { API_CREDENTIALS, type ApiCredentials, createGuard, type Refused } from './credentials.ts'
import { aborted, ConnectionBroken, createFaults, type Fault, type RequestedWindow, type Route } from './faults.ts'
import { instantNs } from './instant.ts'
import { type ListBody, sendList } from './list-body.ts'
import { type ApiRequest, type ApiRequests, createRequests } from './requests.ts'
import type { Tailnet } from './tailnet.ts'

export interface SimulatedApiOptions {
  /** The API's clock, ns. Default: the clock of the system. */
  readonly nowNs?: () => bigint
  readonly host?: string
  readonly port?: number
  readonly credentials?: ApiCredentials
  /** Lifetime of a token in seconds of the real clock. */
  readonly tokenLifeSeconds?: number
  /** Before the head of each response. */
  readonly latencyMs?: number
  /** Older messages are left out, without an error. */
  readonly retentionDays?: number
}

export interface SimulatedApi extends ApiRequests {
  /** Base URL; throws before `start`. */
  readonly url: string
  start(): Promise<void>
  stop(): Promise<void>
  /** Switches a fault on; returns what switches it off. */
  setFault(fault: Fault): () => void
  clearFaults(): void
  expireTokens(): void
}

const FORM_BYTES_MAX = 64 * 1024
const SECOND_NS = 1_000_000_000n

export function createSimulatedApi(tailnet: Tailnet, options: SimulatedApiOptions = {}): SimulatedApi {
  const {
    nowNs = () => BigInt(Date.now()) * 1_000_000n,
    host = '127.0.0.1',
    credentials = API_CREDENTIALS,
    retentionDays = 30,
    latencyMs = 0,
  } = options
  const guard = createGuard(credentials, options.tokenLifeSeconds ?? 3600)
  const faults = createFaults()
  const { add, ...requests } = createRequests()
  const server = createServer((request, response) => void handle(request, response))
  let url: string | undefined

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const gone = new AbortController()
    response.once('close', () => gone.abort())
    // A client may close the connection at any time; `pipeline` and `close` report that.
    response.on('error', () => undefined)
    // A request may have anything as its path. What is not a URL is a path that does not exist.
    const { pathname, searchParams } = URL.parse(request.url ?? '/', 'http://demo') ?? new URL('http://demo/')
    const route = routeOf(request.method ?? 'GET', pathname)
    const entry: ApiRequest = {
      route,
      method: request.method ?? '',
      path: request.url ?? '',
      window: route === 'logs' ? windowOf(searchParams) : undefined,
      status: 0,
      bytes: 0,
      messages: 0,
      outcome: 'open',
    }
    add(entry)
    try {
      await respond(request, response, entry, pathname, gone.signal)
      entry.outcome = response.writableFinished ? 'done' : 'broken'
    } catch (error) {
      entry.outcome = 'broken'
      const isLeft = gone.signal.aborted || response.destroyed || request.socket.destroyed
      response.destroy()
      if (!isLeft && !(error instanceof ConnectionBroken)) throw error
    }
  }

  async function respond(
    request: IncomingMessage,
    response: ServerResponse,
    entry: ApiRequest,
    pathname: string,
    gone: AbortSignal,
  ): Promise<void> {
    const form = request.method === 'POST' ? await formOf(request) : new URLSearchParams()
    if (latencyMs > 0) await sleep(latencyMs, undefined, { signal: gone })
    const now = nowNs()
    response.setHeader('Date', new Date(Number(now / 1_000_000n)).toUTCString())
    const active = faults.take(entry.route, entry.window)
    for (const fault of active) if (await respondWithFault(fault, request, response, entry, gone)) return

    const { authorization } = request.headers
    if (entry.route === 'token') return sendJson(response, entry, guard.token(form, authorization))
    if (entry.route === 'token-exchange') return sendJson(response, entry, guard.exchange(form))
    if (entry.route === 'other') return sendJson(response, entry, { status: 404, message: 'not found' })
    const refused = guard.refusal(authorization, entry.route)
    if (refused) return sendJson(response, entry, refused)
    // The name in the path is encoded.
    if (!['-', encodeURIComponent(tailnet.name)].includes(pathname.split('/')[4] ?? ''))
      return sendJson(response, entry, { status: 404, message: 'user tailnet does not match' })
    const isOff = active.some((fault) => fault.kind === 'feature-off')
    if (entry.route === 'settings')
      return sendJson(response, entry, { networkFlowLoggingOn: !isOff, devicesApprovalOn: false, httpsEnabled: true })
    const list = entry.route === 'logs' ? logsOf(entry.window, now, isOff) : devicesAt(now)
    if ('status' in list) return sendJson(response, entry, list)
    await sendList(request, response, entry, list, active, gone)
  }

  /** True if the fault is the whole response. */
  async function respondWithFault(
    fault: Fault,
    request: IncomingMessage,
    response: ServerResponse,
    entry: ApiRequest,
    gone: AbortSignal,
  ): Promise<boolean> {
    if (fault.kind === 'date') {
      response.sendDate = false
      response.removeHeader('Date')
      if (fault.value !== undefined) response.setHeader('Date', fault.value)
      return false
    }
    if (fault.kind === 'reset') request.socket.resetAndDestroy()
    else if (fault.kind === 'hang-head') await aborted(gone)
    else if (fault.kind === 'html') await send(response, entry, 200, SIGN_IN_PAGE, 'text/html')
    else if (fault.kind === 'status') {
      if (fault.retryAfter !== undefined) response.setHeader('Retry-After', fault.retryAfter)
      const body = fault.body ?? JSON.stringify({ message: MESSAGES[fault.status] ?? 'error' })
      await send(response, entry, fault.status, body)
    } else return false
    return true
  }

  function logsOf(window: RequestedWindow | undefined, now: bigint, isOff: boolean): ListBody | Refused {
    if (window === undefined) return { status: 400, message: 'start and end must be RFC 3339 timestamps' }
    if (window.fromNs > window.toNs) return { status: 400, message: 'start is after end' }
    if (isOff) return { status: 403, message: MESSAGES[403]! }
    const oldestNs = now - BigInt(Math.round(retentionDays * 86_400)) * SECOND_NS
    const fromNs = window.fromNs > oldestNs ? window.fromNs : oldestNs
    return { head: '{"logs":[', items: () => tailnet.messages(fromNs, window.toNs, { nowNs: now }) }
  }

  function devicesAt(now: bigint): ListBody {
    return { head: '{"devices":[', items: () => tailnet.devices(now) }
  }

  let stopping: Promise<void> | undefined
  return {
    ...requests,
    get url() {
      if (url === undefined) throw new Error('the simulated API was not started')
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
    setFault: faults.set,
    clearFaults: faults.clear,
    expireTokens: guard.expireTokens,
  }
}

const SIGN_IN_PAGE = '<!doctype html><html><title>Sign in</title><p>Please sign in.</html>'

/** Examples from the API's description; 403 was seen in a real response. */
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

async function send(
  response: ServerResponse,
  entry: ApiRequest,
  status: number,
  body: string,
  type = 'application/json',
): Promise<void> {
  entry.status = status
  entry.bytes = Buffer.byteLength(body)
  response.writeHead(status, { 'Content-Type': type, 'Content-Length': entry.bytes })
  await pipeline(Readable.from([body]), response)
}

function sendJson(response: ServerResponse, entry: ApiRequest, value: Refused | object): Promise<void> {
  if ('status' in value && 'message' in value)
    return send(response, entry, Number(value.status), JSON.stringify({ message: value.message }))
  return send(response, entry, 200, JSON.stringify(value))
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
