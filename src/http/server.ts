/** http/: probes, metrics, status and the status page. Probes answer without contacting the API or the database, so an outage there
 * never restarts the service. */
import type { AddressInfo, Socket } from 'node:net'
import { type FastifyError, type FastifyReply, type FastifyRequest, fastify } from 'fastify'
import type { Logger } from 'pino'
import type { Clock } from '../base/clock.ts'
import { CollectorError } from '../base/errors.ts'
import { isoOf } from '../base/format.ts'
import type { Health } from '../observe/health.ts'
import type { Metrics } from '../observe/metrics.ts'
import type { ServiceStatus, StatusAnswer } from '../observe/status.ts'
import type { Failures } from '../observers/failures.ts'
import { FILES } from '../page/files.ts'
import { page, parts } from '../page/page.ts'
import { type Actions, registerActions } from './actions.ts'
import { createAuth } from './auth.ts'
import type { HttpConfig } from './config.ts'
import { createBoundedServer } from './connections.ts'
import { createEvents } from './event-stream.ts'

export interface HttpDeps extends Actions {
  readonly log: Logger
  readonly clock: Clock
  readonly version: string
  readonly health: Health
  readonly metrics: Pick<Metrics, 'render' | 'contentType'>
  readonly status: () => ServiceStatus
  /** Is notified which pages cannot be rendered, by route, and which can again. */
  readonly failures?: Pick<Failures, 'failed' | 'works'>
  /** A second token besides the configured one, for commands on this machine. */
  readonly controlToken?: string
  /** Calls the listener when the status changed in a way worth showing at once; returns what ends that. */
  readonly events?: (listener: () => void) => () => void
  /** False when the poll loop hangs and only a restart helps. Looks at nothing outside the process. */
  readonly isAlive?: () => boolean
  readonly limits?: Partial<typeof LIMITS>
}

export interface HttpServer {
  /** Listens; resolves with the address, such as `http://127.0.0.1:9464`. Rejects with a CollectorError (stage `config`) when it cannot. */
  start(): Promise<string>
  /** Ends streams and connections at once. Idempotent. */
  stop(): Promise<void>
}

const LIMITS = {
  /** For the whole request, head and body. */
  requestTimeoutMs: 5_000,
  /** Without a byte in either direction. */
  connectionTimeoutMs: 10_000,
  keepAliveTimeoutMs: 75_000,
  headerBytesMax: 8 * 1024,
  bodyBytesMax: 1024,
  requestsPerSocketMax: 1_000,
  connectionsMax: 256,
  eventClientsMax: 20,
  /** How long POST /api/run waits for the result before it answers that the run continues. */
  runWaitMs: 2_000,
}

const HEADERS = {
  'cache-control': 'no-store',
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
}
const EVENTS = '/api/events'
const METHODS = new Set(['GET', 'HEAD', 'POST'])

export function createHttpServer(config: HttpConfig, deps: HttpDeps): HttpServer {
  const { log, clock, health } = deps
  const limits = { ...LIMITS, ...deps.limits }
  const auth = createAuth({ ...config, controlToken: deps.controlToken })
  const startedAt = isoOf(clock.now())
  const startedMs = clock.monotonicMs()
  const events = createEvents({
    clock,
    clientsMax: limits.eventClientsMax,
    headers: HEADERS,
    onError: (error) => log.debug({ err: error }, 'event stream ended by an error'),
  })

  const app = fastify({
    logger: false,
    bodyLimit: limits.bodyBytesMax,
    forceCloseConnections: true,
    requestIdHeader: false,
    serverFactory: (onRequest) =>
      createBoundedServer(onRequest, {
        requestTimeout: limits.requestTimeoutMs,
        headersTimeout: limits.requestTimeoutMs,
        connectionTimeout: limits.connectionTimeoutMs,
        connectionsCheckingInterval: Math.min(1_000, limits.requestTimeoutMs),
        keepAliveTimeout: limits.keepAliveTimeoutMs,
        maxHeaderSize: limits.headerBytesMax,
        requestsPerSocketMax: limits.requestsPerSocketMax,
        connectionsMax: limits.connectionsMax,
      }),
    clientErrorHandler: refuseBadRequest,
    // An invalid path never reaches a hook.
    frameworkErrors: (error, _request, reply) => refuse(reply.headers(HEADERS), error.statusCode ?? 400, error.message),
  })

  // Bodies are read so that their size limit applies; their content is ignored.
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', { parseAs: 'string' }, (_request, _body, done) => done(null, undefined))

  app.addHook('onRequest', async (request, reply) => {
    reply.headers(HEADERS)
    if (!METHODS.has(request.method)) {
      return refuse(reply.header('allow', 'GET, HEAD, POST'), 405, 'Only GET, HEAD and POST are supported.')
    }
    if (request.routeOptions.config.isProbe) return
    const access = await accessOf(request)
    if (access === 'foreign_name') {
      return refuse(
        reply,
        403,
        'Without a token tailflux answers only to the host names localhost and 127.0.0.1; set TAILFLUX_HTTP_TOKEN to use another name.',
      )
    }
    if (access === 'refused') {
      reply.header('www-authenticate', ['Bearer realm="tailflux"', 'Basic realm="tailflux", charset="UTF-8"'])
      return refuse(
        reply,
        401,
        'A token is required: send the header "Authorization: Bearer <token>" with the value of TAILFLUX_HTTP_TOKEN.',
      )
    }
  })
  app.addHook('onResponse', async (request, reply) => {
    const { method, url } = request
    // A stream answers 200 whatever its pages are.
    if (reply.statusCode === 200 && request.routeOptions.url !== EVENTS) showable(request)
    log.debug({ method, url, status: reply.statusCode, durationMs: Math.round(reply.elapsedTime) }, 'request answered')
  })
  app.setNotFoundHandler((_request, reply) => refuse(reply, 404, 'Not found; the status page is at /.'))
  app.setErrorHandler((error: FastifyError, request, reply) => {
    const status = error.statusCode ?? 500
    if (status < 500) return refuse(reply, status, error.message)
    if (request.method === 'POST' || deps.failures === undefined)
      log.error({ err: error, url: request.url }, 'request failed')
    else deps.failures.failed(...shownBy(request), error)
    return refuse(reply, 500, 'Internal error; see the log of tailflux for the cause.')
  })

  const probe = { config: { isProbe: true } }
  app.get('/livez', probe, (_request, reply) => {
    const isAlive = deps.isAlive?.() ?? true
    return reply.code(isAlive ? 200 : 503).send({ status: isAlive ? 'alive' : 'hangs' })
  })
  app.get<{ Querystring: { strict?: string } }>('/readyz', probe, (request, reply) => {
    const { status } = health.state()
    const isStrict = request.query.strict !== undefined && request.query.strict !== '0'
    const isReady = health.isReady() && !(isStrict && status === 'error')
    return reply.code(isReady ? 200 : 503).send({ ready: isReady, status })
  })
  app.get('/health', probe, async (request, reply) => {
    const state = health.state()
    const isTrusted = (await accessOf(request)) === 'allowed'
    return reply.code(state.status === 'error' ? 503 : 200).send(isTrusted ? state : { status: state.status })
  })

  app.get('/metrics', async (_request, reply) => reply.type(deps.metrics.contentType).send(await deps.metrics.render()))
  app.get('/api/status', (_request, reply) => reply.type('application/json; charset=utf-8').send(toJson(answer())))
  app.get<{ Querystring: { as?: string } }>(EVENTS, { exposeHeadRoute: false }, (request, reply) => {
    const isPage = request.query.as === 'page'
    const render = watched(request, isPage ? () => parts(answer()).text : () => toJson(answer()))
    if (!events.open(reply.raw, isPage ? 'page' : 'status', render)) {
      return refuse(reply.header('retry-after', '10'), 503, 'Too many event streams are open; close some.')
    }
    // A stream lives longer than a request.
    request.raw.socket.setTimeout(0)
    return reply.hijack()
  })
  registerActions(app, { auth, actions: deps, clock, log, runWaitMs: limits.runWaitMs })

  app.get('/', (_request, reply) => reply.type('text/html; charset=utf-8').send(page(answer())))
  for (const [path, file] of Object.entries(FILES)) {
    app.get(path, async (_request, reply) => reply.type(file.type).send(await file.read()))
  }

  function showable(request: FastifyRequest): void {
    if (request.method !== 'POST') deps.failures?.works(...shownBy(request))
  }

  /** A stream is one request and many pages. */
  function watched(request: FastifyRequest, render: () => string): () => string {
    return () => {
      try {
        const text = render()
        showable(request)
        return text
      } catch (error) {
        deps.failures?.failed(...shownBy(request), error)
        throw error
      }
    }
  }

  function accessOf(request: FastifyRequest) {
    return auth.check(request.headers.authorization, request.headers.host)
  }

  function answer(): StatusAnswer {
    return {
      service: 'tailflux',
      version: deps.version,
      now: isoOf(clock.now()),
      startedAt,
      uptimeSeconds: (clock.monotonicMs() - startedMs) / 1000,
      health: health.state(),
      ...deps.status(),
    }
  }

  const unsubscribe: (() => void)[] = []
  let starting: Promise<string> | undefined
  let stopping: Promise<void> | undefined

  async function listen(): Promise<string> {
    try {
      await app.listen({ host: config.host, port: config.port })
    } catch (cause) {
      throw cannotListen(config, cause)
    }
    unsubscribe.push(health.onChange(events.changed), deps.events?.(events.changed) ?? (() => undefined))
    const { port } = app.server.address() as AddressInfo
    const url = `http://${config.host.includes(':') ? `[${config.host}]` : config.host}:${port}`
    log.info({ url }, 'HTTP server listening')
    return url
  }

  return {
    start() {
      starting ??= listen()
      return starting
    },
    stop() {
      stopping ??= (async () => {
        for (const end of unsubscribe) end()
        events.close()
        await app.close()
      })()
      return stopping
    },
  }
}

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Answers without a token. */
    isProbe?: boolean
  }
}

function refuse(reply: FastifyReply, status: number, error: string): FastifyReply {
  return reply.code(status).send({ status, error })
}

/** The component and the route of a page. */
function shownBy({ routeOptions: { url = '' } }: FastifyRequest): ['metrics' | 'page', string] {
  return [url === '/metrics' ? 'metrics' : 'page', url]
}

function toJson(value: unknown): string {
  return JSON.stringify(value, (_key, member: unknown) => (typeof member === 'bigint' ? member.toString() : member))
}

/** Input that is not HTTP, too large or too slow never becomes a request. */
function refuseBadRequest(error: Error & { code?: string }, socket: Socket): void {
  const [status, reason] =
    error.code === 'HPE_HEADER_OVERFLOW'
      ? [431, 'Request Header Fields Too Large']
      : error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? [408, 'Request Timeout']
        : [400, 'Bad Request']
  const body = JSON.stringify({ status, error: reason })
  if (socket.writable && error.code !== 'ECONNRESET') {
    socket.write(
      `HTTP/1.1 ${status} ${reason}\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\nconnection: close\r\n\r\n${body}`,
    )
  }
  socket.destroySoon()
}

const LISTEN_FAULTS: Record<string, string> = {
  EADDRINUSE: 'is in use by another program; stop that program, or set TAILFLUX_HTTP_PORT to a free port.',
  EACCES: 'may not be used by this user; set TAILFLUX_HTTP_PORT to a port above 1023.',
  EADDRNOTAVAIL:
    'is not an address of this machine; set TAILFLUX_HTTP_HOST to 127.0.0.1, or to 0.0.0.0 for all addresses.',
  ENOTFOUND: 'cannot be resolved; set TAILFLUX_HTTP_HOST to an address such as 127.0.0.1.',
}

function cannotListen(config: HttpConfig, cause: unknown): CollectorError {
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : ''
  const fault = LISTEN_FAULTS[code] ?? `cannot be used (${code}); check TAILFLUX_HTTP_HOST and TAILFLUX_HTTP_PORT.`
  return new CollectorError(`${config.host} port ${config.port} ${fault}`, {
    stage: 'config',
    code: 'config_invalid',
    reaction: 'hold',
    cause,
  })
}
