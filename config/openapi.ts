/** Makes docs/openapi.json: what the routes of the HTTP server say about themselves, and the types of their answers (src/http/answers.ts). */
import { fileURLToPath } from 'node:url'
import swagger from '@fastify/swagger'
import type { FastifyInstance } from 'fastify'
import { pino } from 'pino'
import { createGenerator } from 'ts-json-schema-generator'
import { systemClock } from '../src/base/clock.ts'
import { compare } from '../src/base/order.ts'
import { createApp, type HttpDeps } from '../src/http/app.ts'
import { fixedSecret } from '../src/secrets/secret.ts'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const ROOT_TYPE = 'Answers'

const DOCUMENT = {
  openapi: '3.1.1',
  info: {
    title: 'tailflux',
    version: '1',
    summary: 'Probes, metrics, status and commands of a running tailflux.',
    description:
      'Without `http.token` the service answers only to its own machine, and takes commands only with the token in the file `control-token` of its data directory.',
    license: { name: 'MIT', identifier: 'MIT' },
  },
  servers: [{ url: 'http://127.0.0.1:9464', description: 'The default address.' }],
  tags: [
    {
      name: 'probes',
      description: 'They need no token, and send requests neither to the Tailscale API nor to the database.',
    },
    { name: 'data' },
    { name: 'commands', description: 'They need a bearer token.' },
    { name: 'page' },
  ],
  components: {
    securitySchemes: {
      bearer: { type: 'http' as const, scheme: 'bearer', description: 'The value of TAILFLUX_HTTP_TOKEN.' },
      basic: { type: 'http' as const, scheme: 'basic', description: 'For browsers: any user, the token as password.' },
    },
  },
}

/** The application with every route, made of parts that are never called. */
export function documentedApp(beforeRoutes: NonNullable<HttpDeps['beforeRoutes']>): FastifyInstance {
  const never = (): never => {
    throw new Error('an application made for its documentation takes no requests')
  }
  return createApp(
    { host: '127.0.0.1', token: fixedSecret('not-a-token', 'the documentation') },
    {
      log: pino({ level: 'silent' }),
      clock: systemClock,
      version: '',
      began: { atNs: 0n, ms: 0 },
      health: { set: never, state: never, setReady: never, isReady: never, onChange: never },
      metrics: { render: never, contentType: '' },
      failures: { failed: never, works: never },
      status: never,
      flows: never,
      run: never,
      pause: never,
      resume: never,
      reload: never,
      backfill: never,
      cancelBackfill: never,
      beforeRoutes,
    },
  ).app
}

/** The schema of each type in `Answers` and of all that they consist of, by name; comments are descriptions. */
function answerSchemas(): readonly object[] {
  const generator = createGenerator({
    path: `${ROOT}src/http/answers.ts`,
    tsconfig: `${ROOT}tsconfig.json`,
    type: ROOT_TYPE,
    // `npm run types` checks.
    skipTypeCheck: true,
    additionalProperties: false,
  })
  const { definitions = {} } = generator.createSchema(ROOT_TYPE)
  // Fastify knows a shared schema by `Name#`.
  const text = JSON.stringify(definitions).replaceAll(/"#\/definitions\/(\w+)"/g, '"$1#"')
  return Object.entries(JSON.parse(text) as Record<string, object>)
    .filter(([name]) => name !== ROOT_TYPE)
    .toSorted(([one], [other]) => compare(one, other))
    .map(([name, schema]) => ({ $id: name, ...schema }))
}

/** JSON text. */
export async function openapi(): Promise<string> {
  const app = documentedApp((instance) => {
    for (const schema of answerSchemas()) instance.addSchema(schema)
    instance.register(swagger, {
      openapi: DOCUMENT,
      refResolver: { buildLocalReference: ({ $id }) => String($id) },
    })
  })
  await app.ready()
  const document = app.swagger()
  await app.close()
  return `${JSON.stringify(document, undefined, 2)}\n`
}
