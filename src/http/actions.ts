/** Commands for the running service: POST with a bearer token only, because browsers never send one by themselves. */
import bearerAuth from '@fastify/bearer-auth'
import type { FastifyInstance, FastifyReply, FastifyRequest, FastifySchema } from 'fastify'
import type { Logger } from 'pino'
import type { Clock } from '../base/clock.ts'
import { CollectorError } from '../base/errors.ts'

import type { BackfillStatus, TickResult } from '../observe/line/status.ts'
import { parseTime } from '../source/parse/time.ts'
import type { DoneAnswer, ErrorAnswer, ReloadAnswer, RunAnswer } from './answers.ts'
import type { Auth } from './auth.ts'
import { refuse } from './refuse.ts'
import { json, query } from './schemas.ts'

/** Actions of the service; a missing one answers 404. The text of a CollectorError is returned as it is. */
export interface Actions {
  /** Polls now instead of at the next scheduled time; resolves with the result. */
  run(): Promise<TickResult>
  pause?(): void
  resume?(): void
  /** Applies new settings if they are valid; rejects with `config_invalid` and all errors if not. */
  reload?(): Promise<ReloadAnswer>
  /** The range is in ns since the epoch. */
  backfill?(
    range: { readonly fromNs: bigint; readonly toNs: bigint },
    again: boolean,
    isOldDeleted: boolean,
  ): BackfillStatus
  cancelBackfill?(): void
}

/** The actions of a service with this pipeline. */
export function serviceActions(service: {
  readonly pipeline: {
    tick: Actions['run']
    pause(): void
    resume(): void
    backfill: NonNullable<Actions['backfill']>
    cancelBackfill(): void
  }
  readonly schedule: { run(): Promise<void> }
  readonly reload: Actions['reload'] | undefined
  readonly onBroken: (error: unknown) => void
}): Actions {
  const { pipeline, schedule, reload } = service
  const pollNow = () => void schedule.run().catch(service.onBroken)
  return {
    run: () => pipeline.tick(),
    pause: pipeline.pause,
    resume() {
      pipeline.resume()
      pollNow()
    },
    backfill(range, again, isOldDeleted) {
      const requested = pipeline.backfill(range, again, isOldDeleted)
      pollNow()
      return requested
    },
    cancelBackfill: pipeline.cancelBackfill,
    ...(reload ? { reload } : {}),
  }
}

export interface ActionDeps {
  readonly auth: Pick<Auth, 'isToken' | 'acceptsActions'>
  readonly actions: Actions
  readonly clock: Clock
  readonly log: Logger
  /** How long POST /api/run waits for the result before it answers that the run continues. */
  readonly runWaitMs: number
}

const TOKEN_NEEDED: ErrorAnswer = {
  status: 401,
  error: 'This request needs the header "Authorization: Bearer <token>" with the value of TAILFLUX_HTTP_TOKEN.',
}
const INTERNAL: ErrorAnswer = { status: 500, error: 'Internal error; see the log of tailflux for the cause.' }
const RESPONSES = {
  401: json('ErrorAnswer', 'The bearer token is missing or wrong.'),
  403: json('ErrorAnswer', 'No token is configured.'),
  500: json('ErrorAnswer', 'An error inside tailflux; its log names the cause.'),
  503: json('ErrorAnswer', 'It cannot be done now; the text says why.'),
}
const BACKFILL = {
  from: 'Begin of the range, RFC 3339: the time at which Tailscale logged the records.',
  to: 'End of the range, RFC 3339.',
  again: '`1`: also read again what is done already.',
  oldPointsDeleted: '`1`, with `again`: the points of version 0.1.0 were deleted from the database (docs/upgrade.md).',
}

/** A plugin: its hooks count for these routes alone. */
export async function actionRoutes(
  app: FastifyInstance,
  { auth, actions, clock, log, runWaitMs }: ActionDeps,
): Promise<void> {
  app.addHook('onRequest', async (_request, reply) => {
    if (!auth.acceptsActions)
      return refuse(reply, 403, 'Commands over HTTP need a token: set TAILFLUX_HTTP_TOKEN (or http.token).')
  })
  await app.register(bearerAuth, {
    // Not `keys`, which it would keep: the configured token may be in a file that is replaced.
    keys: [],
    auth: auth.isToken,
    specCompliance: 'rfc6749',
    errorResponse: ({ code = '' }: Error & { code?: string }) =>
      code.startsWith('FST_BEARER_AUTH') ? TOKEN_NEEDED : INTERNAL,
    // Anyone can send a wrong token; that must not fill the log.
    verifyErrorLogLevel: 'debug',
  })

  function action(
    path: string,
    schema: FastifySchema,
    work: ((request: FastifyRequest, reply: FastifyReply) => unknown) | undefined,
  ): void {
    if (work === undefined) return
    const described = { security: [{ bearer: [] }], tags: ['commands'], ...schema }
    const response = { ...(schema.response as object), ...RESPONSES }
    app.post(path, { schema: { ...described, response } }, async (request, reply) => {
      try {
        return (await work(request, reply)) ?? ({ done: true } satisfies DoneAnswer)
      } catch (error) {
        if (!(error instanceof CollectorError)) throw error
        return refuse(reply, error.code === 'config_invalid' ? 422 : 503, error.message)
      }
    })
  }

  const done = { response: { 200: json('DoneAnswer', 'Done.') } }
  action(
    '/api/run',
    {
      summary: 'Poll now instead of at the next scheduled time',
      response: {
        200: json('RunAnswer', 'The poll has ended.'),
        202: json('RunAnswer', 'The poll takes longer, and continues.'),
      },
    },
    async (_request, reply): Promise<RunAnswer> => {
      const waiting = new AbortController()
      const timeout = clock.sleep(runWaitMs, waiting.signal).then(
        () => undefined,
        () => undefined,
      )
      const run = actions.run().then((result) => ({ result }))
      // A failure after the answer must still be reported.
      run.catch((error: unknown) => log.error({ err: error }, 'run requested over HTTP failed'))
      const ended = await Promise.race([run, timeout]).finally(() => waiting.abort())
      if (ended !== undefined) return { running: false, ...ended }
      reply.code(202)
      return { running: true }
    },
  )
  action(
    '/api/pause',
    { ...done, summary: 'Stop reading until it is resumed' },
    actions.pause && (() => actions.pause?.()),
  )
  action('/api/resume', { ...done, summary: 'Resume reading' }, actions.resume && (() => actions.resume?.()))
  action(
    '/api/reload',
    {
      summary: 'Apply changed settings and secrets',
      response: {
        200: json('ReloadAnswer', 'The settings are valid; those that changed are applied now.'),
        422: json('ErrorAnswer', 'The settings are invalid, the old ones stay in force; the text lists all errors.'),
      },
    },
    actions.reload && (() => actions.reload?.()),
  )
  action(
    '/api/backfill',
    {
      summary: 'Read a range of time from the past; it replaces an earlier request',
      querystring: query(BACKFILL, ['from', 'to']),
      response: {
        200: json('BackfillStatus', 'The range is read in the background; this is what is missing now.'),
        422: json(
          'ErrorAnswer',
          'A time cannot be read, the API no longer has anything of the range, or version 0.1.0 wrote it.',
        ),
      },
    },
    actions.backfill &&
      (({ query: given }) => {
        const { from = '', to = '', again, oldPointsDeleted } = given as Partial<Record<keyof typeof BACKFILL, string>>
        const range = { fromNs: timeOf('from', from), toNs: timeOf('to', to) }
        return actions.backfill?.(range, again === '1', oldPointsDeleted === '1')
      }),
  )
  action(
    '/api/backfill/cancel',
    { ...done, summary: 'Cancel the backfill; what was read is kept' },
    actions.cancelBackfill && (() => actions.cancelBackfill?.()),
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
