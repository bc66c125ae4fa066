/** The routes that change nothing: probes, metrics, status, event stream and the status page. Probes answer without contacting the API or the
 * database, so an outage there never restarts the service. */
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { Health } from '../observe/health.ts'
import type { Metrics } from '../observe/metrics.ts'
import type { RowsStatus, StatusAnswer } from '../observe/status.ts'
import { FILES } from '../page/files.ts'
import { page, parts } from '../page/page.ts'
import type { HealthAnswer, LivenessAnswer, ReadinessAnswer } from './answers.ts'
import type { Events } from './event-stream.ts'
import { refuse } from './refuse.ts'
import type { Rendering } from './rendering.ts'
import { json, query, READ_ACCESS, REFUSED, text } from './schemas.ts'

export const EVENTS = '/api/events'

export interface RouteDeps {
  readonly health: Pick<Health, 'state' | 'isReady'>
  readonly metrics: Pick<Metrics, 'render' | 'contentType'>
  readonly events: Pick<Events, 'open'>
  readonly rendering: Rendering
  readonly status: () => StatusAnswer
  readonly toJson: (value: unknown) => string
  readonly isAlive: () => boolean
  /** Derived rows; undefined while their observer restarts. Never throws. */
  readonly rows: () => RowsStatus | undefined
  /** May the sender of this request see names and traffic? */
  readonly isAllowed: (request: FastifyRequest) => Promise<boolean>
}

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Answers without a token. */
    isProbe?: boolean
  }
}

export function addRoutes(app: FastifyInstance, deps: RouteDeps): void {
  addProbes(app, deps)
  const { events, metrics, rendering, status, toJson } = deps

  app.get('/metrics', {
    schema: {
      summary: 'Metrics for Prometheus',
      tags: ['data'],
      security: READ_ACCESS,
      response: { 200: text('text/plain', 'Text format of Prometheus.'), ...REFUSED },
    },
    handler: async (_request, reply) => reply.type(metrics.contentType).send(await metrics.render()),
  })
  app.get('/api/status', {
    schema: {
      summary: 'What the status page shows',
      tags: ['data'],
      security: READ_ACCESS,
      response: { 200: json('StatusAnswer', 'Progress, gaps, traffic, alerts and health.'), ...REFUSED },
    },
    handler: async () => status(),
  })
  app.get<{ Querystring: { as?: string } }>(EVENTS, {
    exposeHeadRoute: false,
    schema: {
      summary: 'The status as server-sent events: at once, every two seconds, and whenever health changes',
      tags: ['data'],
      security: READ_ACCESS,
      querystring: query({
        as: '`page`: events named `page` with the HTML of the page; otherwise `status` with the JSON of /api/status.',
      }),
      response: {
        200: text('text/event-stream', 'A stream without an end.'),
        ...REFUSED,
        503: json('ErrorAnswer', 'Too many streams are open.'),
      },
    },
    handler(request, reply) {
      const isPage = request.query.as === 'page'
      const render = rendering.watched(request, () => (isPage ? parts(status()).text : toJson(status())))
      if (!events.open(reply.raw, isPage ? 'page' : 'status', render)) {
        return refuse(reply.header('retry-after', '10'), 503, 'Too many event streams are open; close some.')
      }
      // A stream lives longer than a request.
      request.raw.socket.setTimeout(0)
      return reply.hijack()
    },
  })
  addPage(app, deps)
}

function addProbes(app: FastifyInstance, { health, isAlive, isAllowed, rows }: RouteDeps): void {
  const config = { isProbe: true }
  const tags = ['probes']
  app.get('/livez', {
    config,
    schema: {
      summary: 'Is the process alive?',
      tags,
      response: {
        200: json('LivenessAnswer', 'Yes, also while the API or the database is away.'),
        503: json('LivenessAnswer', 'No: polls hang; restart it.'),
      },
    },
    handler: async (_request, reply): Promise<LivenessAnswer> => {
      if (isAlive()) return { status: 'alive' }
      reply.code(503)
      return { status: 'hangs' }
    },
  })
  app.get<{ Querystring: { strict?: string } }>('/readyz', {
    config,
    schema: {
      summary: 'Has the service started?',
      tags,
      querystring: query({ strict: 'Anything but `0`: also answer 503 while a component has an error.' }),
      response: {
        200: json('ReadinessAnswer', 'Yes.'),
        503: json('ReadinessAnswer', 'Not yet, or it is stopping.'),
      },
    },
    handler: async (request, reply): Promise<ReadinessAnswer> => {
      const { status } = health.state()
      const isStrict = request.query.strict !== undefined && request.query.strict !== '0'
      const ready = health.isReady() && !(isStrict && status === 'error')
      if (!ready) reply.code(503)
      return { ready, status }
    },
  })
  app.get('/health', {
    config,
    schema: {
      summary: 'What works, what does not, and how to fix it',
      tags,
      response: {
        200: json('HealthAnswer', 'No component has an error.'),
        503: json('HealthAnswer', 'A component has an error.'),
      },
    },
    handler: async (request, reply): Promise<HealthAnswer> => {
      const state = health.state()
      if (state.status === 'error') reply.code(503)
      if (!(await isAllowed(request))) return { status: state.status }
      const derived = rows()
      return { ...state, ...(derived ? { rows: derived } : {}) }
    },
  })
}

function addPage(app: FastifyInstance, { status }: RouteDeps): void {
  const schema = { tags: ['page'], security: READ_ACCESS }
  app.get('/', {
    schema: {
      ...schema,
      summary: 'The status page',
      response: { 200: text('text/html', 'Complete without JavaScript.'), ...REFUSED },
    },
    handler: async (_request, reply) => reply.type('text/html; charset=utf-8').send(page(status())),
  })
  for (const [path, { folder, name }] of Object.entries(FILES)) {
    app.get(path, {
      schema: {
        ...schema,
        summary: 'A file of the status page',
        response: { 200: text('*/*', 'The file.'), ...REFUSED },
      },
      handler: (_request, reply) => reply.sendFile(name, folder),
    })
  }
}
