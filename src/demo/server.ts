/** The simulated tailnet over HTTP, as https://api.tailscale.com serves a real one: token, device list, network flow logs. */
import { randomUUID } from 'node:crypto'
import type { AddressInfo } from 'node:net'
import { Readable } from 'node:stream'
import { setImmediate } from 'node:timers/promises'
import { type FastifyRequest, fastify } from 'fastify'
import type { DemoTailnet } from './tailnet.ts'

/** The OAuth client that gets a token. */
export const DEMO_CLIENT = { id: 'demo', secret: 'tskey-client-demo' } as const

export interface DemoServer {
  /** Listens on a free port of 127.0.0.1; resolves with the base URL of the API. */
  start(): Promise<string>
  /** Ends all connections. Idempotent. */
  stop(): Promise<void>
}

const CHUNK_CHARS = 64 * 1024
const TOKEN_SECONDS = 3600
/** What the API requires of the time range. */
const RANGE = {
  type: 'object',
  required: ['start', 'end'],
  properties: { start: { type: 'string', format: 'date-time' }, end: { type: 'string', format: 'date-time' } },
} as const

/** `nowNs`: the API's clock, ns since the epoch. */
export function createDemoServer(tailnet: DemoTailnet, nowNs = () => BigInt(Date.now()) * 1_000_000n): DemoServer {
  const token = `tskey-demo-${randomUUID()}`
  const app = fastify({ logger: false, forceCloseConnections: true })

  const parseForm = async (_request: FastifyRequest, body: string) => Object.fromEntries(new URLSearchParams(body))
  app.addContentTypeParser('application/x-www-form-urlencoded', { parseAs: 'string' }, parseForm)
  app.post<{ Body: Record<string, string> }>('/api/v2/oauth/token', async ({ body }, reply) => {
    if (body['client_id'] !== DEMO_CLIENT.id || body['client_secret'] !== DEMO_CLIENT.secret)
      return reply.code(401).send({ message: 'API token invalid' })
    return { access_token: token, token_type: 'Bearer', expires_in: TOKEN_SECONDS }
  })

  app.register(
    async (routes) => {
      routes.addHook('onRequest', async ({ headers }, reply) => {
        if (headers.authorization !== `Bearer ${token}`) return reply.code(401).send({ message: 'API token invalid' })
      })
      routes.get('/devices', (_request, reply) =>
        reply.type('application/json').send(Readable.from(chunks('devices', tailnet.devices(nowNs())))),
      )
      routes.get<{ Querystring: { start: string; end: string } }>(
        '/logging/network',
        { schema: { querystring: RANGE } },
        ({ query }, reply) => {
          const now = nowNs()
          const endNs = instantNs(query.end)
          const messages = tailnet.messages(instantNs(query.start), endNs < now ? endNs : now)
          return reply.type('application/json').send(Readable.from(chunks('logs', messages)))
        },
      )
    },
    { prefix: '/api/v2/tailnet/-' },
  )

  return {
    async start() {
      await app.listen({ host: '127.0.0.1', port: 0 })
      return `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`
    },
    stop: () => app.close(),
  }
}

/** A JSON object with one list, in chunks. Each is computed when it is read, and the service runs in between. */
async function* chunks(member: string, items: Iterable<string>): AsyncGenerator<Buffer> {
  let text = `{"${member}":[`
  let separator = ''
  for (const item of items) {
    text += separator + item
    separator = ','
    if (text.length < CHUNK_CHARS) continue
    yield Buffer.from(text)
    text = ''
    await setImmediate()
  }
  yield Buffer.from(`${text}]}\n`)
}

/** RFC 3339 with up to nine fraction digits, as ns since the epoch. */
function instantNs(time: string): bigint {
  const fraction = /\.(\d{1,9})/.exec(time)?.[1] ?? ''
  const seconds = Date.parse(time.replace(/\.\d+/, '')) / 1000
  return BigInt(seconds) * 1_000_000_000n + BigInt(fraction.padEnd(9, '0'))
}
