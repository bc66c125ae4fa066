/** Actions to the service: POST only, by bearer token only, as browsers send that never by themselves. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Logger } from 'pino'
import type { Clock } from '../base/clock.ts'
import { CollectorError } from '../base/errors.ts'
import type { Auth } from './auth.ts'

/** What the service can be told to do; orders that are missing answer 404. Each resolves with what is shown; a CollectorError is told as it is. */
export interface Actions {
  /** Reads now instead of at the next turn of the schedule; resolves with what came of it. */
  run(): Promise<unknown>
  pause?(): unknown
  resume?(): unknown
  /** Takes over new settings if they are good; rejects with `config_invalid` and all faults if not. */
  reload?(): Promise<unknown>
  backfill?(ask: { from: string; to: string; again: boolean }): unknown
  cancelBackfill?(): unknown
}

export interface ActionDeps {
  readonly auth: Pick<Auth, 'mayOrder' | 'takesOrders'>
  readonly orders: Actions
  readonly clock: Clock
  readonly log: Logger
  /** How long an order to run waits for the result before it says that the run goes on. */
  readonly runWaitMs: number
}

export function registerActions(app: FastifyInstance, { auth, orders, clock, log, runWaitMs }: ActionDeps): void {
  function order(path: string, work: ((request: FastifyRequest, reply: FastifyReply) => unknown) | undefined): void {
    if (work === undefined) return
    app.post(path, async (request, reply) => {
      if (!auth.takesOrders) {
        return refuse(
          reply,
          403,
          'Set TAILFLUX_HTTP_TOKEN (or http.token) first: without a token nobody may give orders over HTTP.',
        )
      }
      if (!(await auth.mayOrder(request.headers.authorization))) {
        return refuse(reply, 401, 'This needs the header Authorization: Bearer with the value of TAILFLUX_HTTP_TOKEN.')
      }
      try {
        return (await work(request, reply)) ?? { done: true }
      } catch (error) {
        if (!(error instanceof CollectorError)) throw error
        return refuse(reply, error.code === 'config_invalid' ? 422 : 503, error.message)
      }
    })
  }

  order('/api/run', async (_request, reply) => {
    const patience = new AbortController()
    const wait = clock.sleep(runWaitMs, patience.signal).then(
      () => undefined,
      () => undefined,
    )
    const run = orders.run().then((result) => ({ result }))
    // A failure after the answer still has to be told.
    run.catch((error: unknown) => log.error({ err: error }, 'run asked for over HTTP failed'))
    const done = await Promise.race([run, wait]).finally(() => patience.abort())
    if (done === undefined) return reply.code(202).send({ running: true })
    return { running: false, ...done }
  })
  order('/api/pause', orders.pause && (() => orders.pause?.()))
  order('/api/resume', orders.resume && (() => orders.resume?.()))
  order('/api/reload', orders.reload && (() => orders.reload?.()))
  order('/api/backfill/cancel', orders.cancelBackfill && (() => orders.cancelBackfill?.()))
  order(
    '/api/backfill',
    orders.backfill &&
      ((request) => {
        const { from = '', to = '', again } = request.query as { from?: string; to?: string; again?: string }
        return orders.backfill?.({ from, to, again: again === '1' })
      }),
  )
}

function refuse(reply: FastifyReply, status: number, error: string): FastifyReply {
  return reply.code(status).send({ status, error })
}
