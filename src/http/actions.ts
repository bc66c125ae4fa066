/** Commands for the running service: POST with a bearer token only, because browsers never send one by themselves. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Logger } from 'pino'
import type { Clock } from '../base/clock.ts'
import { CollectorError } from '../base/errors.ts'
import { parseTime } from '../source/parse/time.ts'
import type { Auth } from './auth.ts'

/** Actions of the service; a missing one answers 404. Each resolves with the body of the answer; the text of a CollectorError is returned as it is. */
export interface Actions {
  /** Polls now instead of at the next scheduled time; resolves with the result. */
  run(): Promise<unknown>
  pause?(): unknown
  resume?(): unknown
  /** Applies new settings if they are valid; rejects with `config_invalid` and all errors if not. */
  reload?(): Promise<unknown>
  /** The range is in ns since the epoch. */
  backfill?(range: { readonly fromNs: bigint; readonly toNs: bigint }, again: boolean): unknown
  cancelBackfill?(): unknown
}

export interface ActionDeps {
  readonly auth: Pick<Auth, 'mayAct' | 'acceptsActions'>
  readonly actions: Actions
  readonly clock: Clock
  readonly log: Logger
  /** How long POST /api/run waits for the result before it answers that the run continues. */
  readonly runWaitMs: number
}

export function registerActions(app: FastifyInstance, { auth, actions, clock, log, runWaitMs }: ActionDeps): void {
  function action(path: string, work: ((request: FastifyRequest, reply: FastifyReply) => unknown) | undefined): void {
    if (work === undefined) return
    app.post(path, async (request, reply) => {
      if (!auth.acceptsActions) {
        return refuse(reply, 403, 'Commands over HTTP need a token: set TAILFLUX_HTTP_TOKEN (or http.token).')
      }
      if (!(await auth.mayAct(request.headers.authorization))) {
        return refuse(
          reply,
          401,
          'This request needs the header "Authorization: Bearer <token>" with the value of TAILFLUX_HTTP_TOKEN.',
        )
      }
      try {
        return (await work(request, reply)) ?? { done: true }
      } catch (error) {
        if (!(error instanceof CollectorError)) throw error
        return refuse(reply, error.code === 'config_invalid' ? 422 : 503, error.message)
      }
    })
  }

  action('/api/run', async (_request, reply) => {
    const patience = new AbortController()
    const wait = clock.sleep(runWaitMs, patience.signal).then(
      () => undefined,
      () => undefined,
    )
    const run = actions.run().then((result) => ({ result }))
    // A failure after the answer must still be reported.
    run.catch((error: unknown) => log.error({ err: error }, 'run requested over HTTP failed'))
    const done = await Promise.race([run, wait]).finally(() => patience.abort())
    if (done === undefined) return reply.code(202).send({ running: true })
    return { running: false, ...done }
  })
  action('/api/pause', actions.pause && (() => actions.pause?.()))
  action('/api/resume', actions.resume && (() => actions.resume?.()))
  action('/api/reload', actions.reload && (() => actions.reload?.()))
  action('/api/backfill/cancel', actions.cancelBackfill && (() => actions.cancelBackfill?.()))
  action(
    '/api/backfill',
    actions.backfill &&
      ((request) => {
        const { from = '', to = '', again } = request.query as { from?: string; to?: string; again?: string }
        return actions.backfill?.({ fromNs: timeOf('from', from), toNs: timeOf('to', to) }, again === '1')
      }),
  )
}

function timeOf(name: string, text: string): bigint {
  const bytes = Buffer.from(text)
  const ns = parseTime(bytes, 0, bytes.length)
  if (ns !== undefined) return ns
  throw new CollectorError(`${name} must be a time such as 2026-08-01T12:00:00Z.`, {
    stage: 'config',
    code: 'config_invalid',
    reaction: 'hold',
  })
}

function refuse(reply: FastifyReply, status: number, error: string): FastifyReply {
  return reply.code(status).send({ status, error })
}
