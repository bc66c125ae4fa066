/** docs/openapi.json: valid, complete, and true: real answers have exactly the members that it lists. */
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join, resolve } from 'node:path'
import { before, test } from 'node:test'
import { Ajv } from 'ajv'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { createGenerator } from 'ts-json-schema-generator'
import { documentedApp, openapi } from '../../config/openapi.ts'
import type { ServiceStatus } from '../../src/observe/status.ts'
import { eventually } from '../helpers/eventually.ts'
import { createFakeClock } from '../helpers/fake-clock.ts'
import { temporaryFolder } from '../helpers/temporary-folder.ts'
import { bearer, readEvent, serve, someStatus, someTraffic, TOKEN } from './serve.ts'
import { startWholeService } from './whole-service.ts'

interface Operation {
  summary: string
  security?: object[]
  responses: Record<string, { description: string; content?: Record<string, { schema: object }> }>
}

const ROOT = new URL('../../', import.meta.url)

let text: string
let document: {
  openapi: string
  paths: Record<string, Record<'get' | 'post', Operation>>
  components: { schemas: Record<string, object> }
}
let ajv: Ajv2020

before(async () => {
  text = await readFile(new URL('docs/openapi.json', ROOT), 'utf8')
  document = JSON.parse(text)
  // Strict: a word that JSON Schema does not know is an error.
  ajv = new Ajv2020({ strict: true, allowUnionTypes: true, allErrors: true })
  for (const [name, schema] of Object.entries(document.components.schemas))
    ajv.addSchema(schema, `#/components/schemas/${name}`)
})

function assertValid(schema: object, value: unknown, what: string): void {
  const validate = ajv.compile(schema)
  validate(value)
  assert.deepEqual(validate.errors ?? [], [], what)
}

test('it is what types and routes make', async () => {
  assert.ok(text === (await openapi()), 'docs/openapi.json is out of date: npm run docs')
})

test('it is valid OpenAPI 3.1, and every schema in it is valid JSON Schema whose references lead somewhere', (t) => {
  const types = createRequire(import.meta.resolve('@fastify/swagger'))
    .resolve('openapi-types')
    .replace(/\.js$/, '.d.ts')
  const dir = temporaryFolder(t)
  const path = join(dir, 'document.ts')
  writeFileSync(path, `import type { OpenAPIV3_1 } from '${types}'\nexport type Root = OpenAPIV3_1.Document\n`)
  const schema = createGenerator({
    path,
    tsconfig: resolve(import.meta.dirname, '../grafana/tsconfig.sdk.json'),
    skipTypeCheck: true,
    additionalProperties: false,
  }).createSchema('Root') as object
  const isDocument = new Ajv({ strict: false, allErrors: true }).compile(schema)
  isDocument(document)
  assert.deepEqual(isDocument.errors ?? [], [])
  assert.equal(isDocument({ ...document, paths: { '/x': { get: { responses: { 200: {} } } } } }), false)
  assert.match(document.openapi, /^3\.1\./)
  for (const name of Object.keys(document.components.schemas)) ajv.getSchema(`#/components/schemas/${name}`)
  for (const [path, operations] of Object.entries(document.paths)) {
    for (const { summary, responses } of Object.values(operations)) {
      assert.notEqual(summary, '', path)
      for (const { description, content } of Object.values(responses)) {
        assert.notEqual(description, 'Default Response', path)
        for (const { schema } of Object.values(content ?? {})) ajv.compile(schema)
      }
    }
  }
})

test('it lists exactly the routes of the server', async (t) => {
  const routes: string[] = []
  const nothing = () => undefined
  await serve(t, {
    token: TOKEN,
    pause: nothing,
    resume: nothing,
    reload: async () => ({ changed: [] }),
    backfill: () => assert.fail(),
    cancelBackfill: nothing,
    beforeRoutes: (app) =>
      app.addHook('onRoute', ({ method, url }) => {
        if (method !== 'HEAD') routes.push(`${String(method).toLowerCase()} ${url}`)
      }),
  })
  const listed = Object.entries(document.paths).flatMap(([path, operations]) =>
    Object.keys(operations).map((method) => `${method} ${path}`),
  )
  assert.ok(listed.length > 15)
  assert.deepEqual(listed.toSorted(), routes.toSorted())
})

test('the whole service answers every route as it says, and as it says without a token', async (t) => {
  const beganMs = performance.now()
  const hasAlert = () => (service.status().alerts ?? []).length > 0
  const rule = '[{name: big, above: 1kB, window: 1m, by: node, kind: virtual}]'
  const { service, url } = await startWholeService(t, {
    env: { TAILFLUX_HTTP_TOKEN: TOKEN, TAILFLUX_ALERTS_RULES: rule, TAILFLUX_POLL_LOOKBACK: '3m' },
    reload: async () => ({ changed: ['log.level'] }),
  })
  await eventually('everything that a status may have', () => {
    const { live, alerting, lastWindow, lastTick } = service.status()
    return live.talkers !== undefined && alerting !== undefined && lastWindow !== null && lastTick !== null
  })
  // The first minute after the start is final two minutes later.
  await eventually('half of the time until an alert', () => performance.now() - beganMs > 100_000 || hasAlert())
  await eventually('an alert', hasAlert)

  const asked = async (path: string, method: string, operation: Operation, init: RequestInit, codes: RegExp) => {
    const what = `${method} ${path}`
    const day = (ago: number) => new Date(Date.now() - ago * 86_400_000).toISOString()
    const answer = await fetch(`${url}${path}${path === '/api/backfill' ? `?from=${day(2)}&to=${day(1)}` : ''}`, {
      method: method.toUpperCase(),
      ...init,
    })
    assert.match(String(answer.status), codes, what)
    const described = operation.responses[answer.status]
    assert.ok(described, `${what}: ${answer.status} is not in the document`)
    const type = answer.headers.get('content-type')?.split(';')[0] ?? ''
    const body = type === 'text/event-stream' ? await readEvent(answer.body!, () => true) : await answer.text()
    const content = described.content?.[type] ?? described.content?.['*/*']
    assert.ok(content, `${what}: ${type} is not in the document`)
    assertValid(content.schema, type === 'application/json' ? JSON.parse(body) : body, `${what}: ${body}`)
    // The data of the stream are those of the status.
    if (type === 'text/event-stream') assertValid({ $ref: '#/components/schemas/StatusAnswer' }, JSON.parse(body), what)
  }
  for (const [path, operations] of Object.entries(document.paths)) {
    for (const [method, operation] of Object.entries(operations)) {
      await asked(path, method, operation, bearer(TOKEN), /^20[02]$/)
      if (operation.security) await asked(path, method, operation, {}, /^401$/)
      else await asked(path, method, operation, {}, /^200$/)
    }
  }
  // Once more, with a backfill in the status.
  for (const [path, method] of [
    ['/api/backfill', 'post'],
    ['/api/status', 'get'],
  ] as const) {
    await asked(path, method, document.paths[path]![method], bearer(TOKEN), /^200$/)
    assert.notEqual(service.status().backfill, null)
  }
})

test('what a component tells arrives whole, in every answer', async (t) => {
  const clock = createFakeClock()
  const full: ServiceStatus = {
    ...someStatus,
    live: { ...someStatus.live, ...someTraffic },
    lastWindow: { from: 'a', to: 'b', queue: 'fresh', pass: 1, points: 2, durationMs: 3 },
    lastTick: { result: 'caught_up', at: 'c' },
    passes: [{ pass: 2, ageSeconds: 900, due: 1, waiting: 4 }],
    gaps: [{ from: 'd', to: 'e', reason: 'f', state: 'open', attempts: 5, next: null }],
    alerts: [],
  }
  const { get, url, health } = await serve(t, { clock, status: () => full, run: async () => 'db_down', token: TOKEN })
  health.set('sink', 'error', 'db_unreachable', 'The database cannot be reached; start it.')
  health.set('names', 'warning', 'api_forbidden', 'Names cannot be read.')
  const state = health.state()
  const reported = async (path: string, init: RequestInit = {}) =>
    (await get(path, { ...bearer(TOKEN), ...init })).json() as Promise<Record<string, unknown>>

  const expected = JSON.parse(JSON.stringify({ ...full, health: state }))
  const { service, version, now, startedAt, uptimeSeconds, ...rest } = await reported('/api/status')
  assert.deepEqual(rest, expected)
  assert.deepEqual([service, version, typeof uptimeSeconds], ['tailflux', '0.0.0-test', 'number'])
  assert.equal(now, startedAt)
  const stream = await fetch(`${url}/api/events`, bearer(TOKEN))
  assert.deepEqual(JSON.parse(await readEvent(stream.body!, () => true)), {
    ...expected,
    ...{ service, version, now, startedAt, uptimeSeconds },
  })
  assert.deepEqual(await reported('/health'), state)
  assert.deepEqual(await reported('/api/run', { method: 'POST' }), { running: false, result: 'db_down' })
  assert.deepEqual(await reported('/nothing'), {
    status: 404,
    error: 'Not found; the status page is the root of this service.',
  })
})

test('an application that is made for its documentation answers nothing', async () => {
  const app = documentedApp(() => undefined)
  const { statusCode } = await app.inject({ url: '/api/status', headers: { host: 'localhost' } })
  assert.equal(statusCode, 401)
  await app.close()
})
