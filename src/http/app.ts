/** The Fastify application: access, safety headers, errors, and all routes. It does not listen. */

import type { Server } from 'node:http'
import fastifyStatic from '@fastify/static'
import {
  type FastifyBaseLogger,
  type FastifyError,
  type FastifyInstance,
  type FastifyRequest,
  fastify,
  LogController,
} from 'fastify'
import type { Logger } from 'pino'
import type { Clock } from '../base/clock.ts'
import { isoOf } from '../base/format.ts'
import type { Health } from '../observe/health.ts'
import type { Metrics } from '../observe/metrics.ts'
import type { RowsStatus, ServiceStatus, StatusAnswer } from '../observe/status.ts'
import type { Failures } from '../observers/failures.ts'
import type { FlowsRequest, FoundFlows } from '../query/flows.ts'
import { type Actions, actionRoutes } from './actions.ts'
import { createAuth } from './auth.ts'
import type { HttpConfig } from './config.ts'
import { createBoundedServer } from './connections.ts'
import { createEvents, type Events } from './event-stream.ts'
import { flowsRoute } from './flows-route.ts'
import { refuse, refuseBadRequest } from './refuse.ts'
import { createRendering } from './rendering.ts'
import { addRoutes, EVENTS } from './routes.ts'

export interface HttpDeps extends Actions {
  readonly log: Logger
  readonly clock: Clock
  readonly version: string
  /** When the service began: ns by the local clock, and ms of monotonic time. */
  readonly began: { readonly atNs: bigint; readonly ms: number }
  readonly health: Health
  readonly metrics: Pick<Metrics, 'render' | 'contentType'>
  readonly status: () => ServiceStatus
  /** Rejects with a CollectorError when the database cannot be read. */
  readonly flows: (request: FlowsRequest, signal: AbortSignal) => Promise<FoundFlows>
  /** Is notified which pages cannot be rendered, by route, and which can again. */
  readonly failures: Pick<Failures, 'failed' | 'works'>
  /** A second token besides the configured one, for commands on this machine. */
  readonly controlToken?: string
  /** False when the poll loop hangs and only a restart helps. Looks at nothing outside the process. */
  readonly isAlive?: () => boolean
  /** Derived rows, for `/health`. Never throws. */
  readonly rows?: () => RowsStatus | undefined
  readonly limits?: Partial<typeof LIMITS>
  /** Called before there are routes: a plugin that is registered here sees each of them. */
  readonly beforeRoutes?: (app: FastifyInstance) => void
}

export const LIMITS = {
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
  /** Requests of flows at the same time. */
  flowQueriesMax: 2,
  /** How long POST /api/run waits for the result before it answers that the run continues. */
  runWaitMs: 2_000,
  /** Between two looks at the files of the certificate. */
  certificateLookMs: 10_000,
}

const HEADERS = {
  'cache-control': 'no-store',
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
}
/** Schemas describe and do not decide. fast-json-stringify leaves out what a schema does not list and knows no bigint; ajv costs 4 MB, and its
 * sentences about a parameter do not say how to fix it, as those of the handlers do. */
const COMPILERS = {
  buildSerializer: () => () => toJson,
  // The type of a validator is that of ajv.
  buildValidator: (() => () => () => true) as never,
}
const METHODS = new Set(['GET', 'HEAD', 'POST'])

export function createApp(
  config: Pick<HttpConfig, 'host' | 'token' | 'tls'>,
  deps: HttpDeps,
): { app: FastifyInstance; events: Events } {
  const { log, clock, health, began } = deps
  const limits = { ...LIMITS, ...deps.limits }
  const auth = createAuth({ ...config, controlToken: deps.controlToken })
  const rendering = createRendering(deps.failures)
  const events = createEvents({
    clock,
    clientsMax: limits.eventClientsMax,
    headers: HEADERS,
    onError: (error) => log.debug({ err: error }, 'event stream ended by an error'),
  })

  let beforeClose: () => void = () => undefined
  const app = fastify({
    // Only warnings of Fastify itself: it would log each address it listens on, in a text that varies.
    loggerInstance: log.child({}, { level: log.isLevelEnabled('info') ? 'warn' : log.level }) as FastifyBaseLogger,
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: limits.bodyBytesMax,
    forceCloseConnections: true,
    requestIdHeader: false,
    schemaController: { compilersFactory: COMPILERS },
    serverFactory(onRequest) {
      const { server, endHandshakes } = createBoundedServer(
        onRequest,
        {
          requestTimeout: limits.requestTimeoutMs,
          headersTimeout: limits.requestTimeoutMs,
          connectionTimeout: limits.connectionTimeoutMs,
          connectionsCheckingInterval: Math.min(1_000, limits.requestTimeoutMs),
          keepAliveTimeout: limits.keepAliveTimeoutMs,
          maxHeaderSize: limits.headerBytesMax,
          requestsPerSocketMax: limits.requestsPerSocketMax,
          connectionsMax: limits.connectionsMax,
        },
        config.tls !== undefined,
      )
      beforeClose = endHandshakes
      return server as Server
    },
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
    if (reply.statusCode === 200 && request.routeOptions.url !== EVENTS) rendering.works(request)
    log.debug({ method, url, status: reply.statusCode, durationMs: Math.round(reply.elapsedTime) }, 'request answered')
  })
  app.setNotFoundHandler((_request, reply) =>
    refuse(reply, 404, 'Not found; the status page is the root of this service.'),
  )
  app.setErrorHandler((error: FastifyError, request, reply) => {
    const status = error.statusCode ?? 500
    if (status < 500) return refuse(reply, status, error.message)
    if (request.method === 'POST') log.error({ err: error, url: request.url }, 'request failed')
    else rendering.failed(request, error)
    return refuse(reply, 500, 'Internal error; see the log of tailflux for the cause.')
  })

  app.addHook('preClose', async () => beforeClose())
  deps.beforeRoutes?.(app)
  app.register(fastifyStatic, { serve: false, cacheControl: false })
  app.register(async (scope) => {
    addRoutes(scope, {
      ...deps,
      events,
      rendering,
      toJson,
      status: answer,
      isAlive: deps.isAlive ?? (() => true),
      rows: deps.rows ?? (() => undefined),
      isAllowed: async (request) => (await accessOf(request)) === 'allowed',
    })
    flowsRoute(scope, {
      flows: deps.flows,
      tailnet: () => deps.status().tailnet,
      clock,
      queriesMax: limits.flowQueriesMax,
    })
    scope.register(actionRoutes, { auth, actions: deps, clock, log, runWaitMs: limits.runWaitMs })
  })

  function accessOf(request: FastifyRequest) {
    return auth.check(request.headers.authorization, request.headers.host)
  }

  function answer(): StatusAnswer {
    return {
      service: 'tailflux',
      version: deps.version,
      now: isoOf(clock.now()),
      startedAt: isoOf(began.atNs),
      uptimeSeconds: (clock.monotonicMs() - began.ms) / 1000,
      health: health.state(),
      ...deps.status(),
    }
  }

  return { app, events }
}

function toJson(value: unknown): string {
  return JSON.stringify(value, (_key, member: unknown) => (typeof member === 'bigint' ? member.toString() : member))
}
