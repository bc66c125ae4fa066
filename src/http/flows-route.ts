/** GET /api/flows: what `tailflux flows` prints, as JSON. The only route that asks the database, so it has limits of its own. */
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { type Clock, DAY } from '../base/clock.ts'
import { CollectorError } from '../base/errors.ts'
import { parsePort, parseProto, parseWhen } from '../query/flow-texts.ts'
import { answerOf, type FlowsRequest, type FoundFlows } from '../query/flows.ts'
import { KINDS } from '../source/parse/message.ts'
import { refuse } from './refuse.ts'
import { json, query, READ_ACCESS, REFUSED } from './schemas.ts'

export interface FlowsRouteDeps {
  readonly flows: (request: FlowsRequest, signal: AbortSignal) => Promise<FoundFlows>
  readonly tailnet: () => string
  readonly clock: Pick<Clock, 'now'>
  /** Requests at the same time. */
  readonly queriesMax: number
}

const LIMIT = 20
const LIMIT_MAX = 1_000
/** Of raw points, which are many. */
const RAW_RANGE_MAX = DAY
const PARAMETERS = {
  from: 'RFC 3339, a day such as 2026-08-01 (UTC), or an age such as 2h; without it 15m.',
  to: 'The end; without it now.',
  node: 'Only flows of this device: name, address or stable id.',
  owner: 'Only flows of devices of this user, or with this tag.',
  kind: `Only this kind: ${KINDS.join(', ')}. Without it all but physical, which are the same bytes, encrypted.`,
  port: 'Only this service port; `none`: flows without one.',
  proto: 'Only this protocol, such as `tcp`, or its number.',
  raw: `Anything but \`0\`: raw points as each node reported them, of at most 24 hours.`,
  limit: `How many, at most ${LIMIT_MAX}; without it ${LIMIT}.`,
} as const
type Parameter = keyof typeof PARAMETERS

export function flowsRoute(app: FastifyInstance, { flows, tailnet, clock, queriesMax }: FlowsRouteDeps): void {
  let running = 0

  app.get('/api/flows', {
    exposeHeadRoute: false,
    schema: {
      summary: 'Stored flows of a range, summed, each byte once, largest first',
      tags: ['data'],
      security: READ_ACCESS,
      querystring: query(PARAMETERS),
      response: {
        200: json('FlowsAnswer', 'The largest flows, and the range that they are of: whole minutes, hours or days.'),
        400: json('ErrorAnswer', 'A parameter is wrong.'),
        ...REFUSED,
        503: json('ErrorAnswer', 'The database cannot be read, or too many such requests are in progress.'),
      },
    },
    async handler(request, reply) {
      const wanted = requestOf(request, clock.now())
      if (typeof wanted === 'string') return refuse(reply, 400, wanted)
      if (running >= queriesMax)
        return refuse(
          reply.header('retry-after', '5'),
          503,
          `${queriesMax} requests of flows are in progress already; try again when they are answered.`,
        )
      running += 1
      const gone = new AbortController()
      reply.raw.once('close', () => gone.abort(new Error('the client hung up')))
      // A query may take longer than a connection may be silent.
      const { socket } = request.raw
      const silentMs = socket.timeout
      socket.setTimeout(0)
      try {
        return answerOf(tailnet(), await flows(wanted, gone.signal))
      } catch (error) {
        if (error instanceof CollectorError)
          return refuse(reply, error.code === 'config_invalid' ? 400 : 503, error.message)
        if (gone.signal.aborted) return reply.hijack()
        throw error
      } finally {
        running -= 1
        socket.setTimeout(silentMs ?? 0)
      }
    },
  })
}

/** A text says what is wrong. */
function requestOf(request: FastifyRequest, nowNs: bigint): FlowsRequest | string {
  const given = request.query as Readonly<Record<string, string | readonly string[]>>
  for (const [name, value] of Object.entries(given)) {
    if (!Object.hasOwn(PARAMETERS, name))
      return `There is no parameter "${name}"; there are ${Object.keys(PARAMETERS).join(', ')}.`
    if (typeof value !== 'string') return `The parameter "${name}" is there more than once; leave one.`
  }
  const text = (name: Parameter) => (given[name] === '' ? undefined : (given[name] as string | undefined))
  const fromNs = parseWhen(text('from') ?? '15m', nowNs)
  const toNs = parseWhen(text('to') ?? 'now', nowNs)
  if (fromNs === undefined || toNs === undefined)
    return '"from" and "to" must be times such as 2026-08-01T12:00:00Z, a day, an age such as 24h, or now.'
  if (fromNs >= toNs) return '"from" must be earlier than "to".'
  const kind = KINDS.find((one) => one === text('kind'))
  if (text('kind') !== undefined && kind === undefined) return `"kind" must be one of ${KINDS.join(', ')}.`
  const port = parsePort(text('port') ?? 'none')
  if (port === undefined) return '"port" must be a number from 0 to 65535, or none.'
  const proto = parseProto(text('proto') ?? 'none')
  if (proto === undefined) return '"proto" must be a name such as tcp, udp or icmp, or a number from 0 to 255.'
  const limit = Number(text('limit') ?? LIMIT)
  if (!Number.isSafeInteger(limit) || limit < 1 || limit > LIMIT_MAX)
    return `"limit" must be a whole number from 1 to ${LIMIT_MAX}.`
  const isRaw = text('raw') !== undefined && text('raw') !== '0'
  if (isRaw && toNs - fromNs > RAW_RANGE_MAX) return 'A range of raw points must not be longer than 24 hours.'
  return {
    fromNs,
    toNs,
    node: text('node'),
    owner: text('owner'),
    kind,
    port: text('port') === undefined ? undefined : port,
    proto: text('proto') === undefined ? undefined : proto,
    limit,
    isRaw,
  }
}
