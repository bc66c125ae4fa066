/** Secrets of the source stay out of everything that people read. */
import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { inspect } from 'node:util'
import { pino } from 'pino'
import { createSecretRegistry } from '../../src/secrets/redactor.ts'
import { fileSecret } from '../../src/secrets/secret.ts'
import { type Asked, json, type Reply, text } from '../helpers/scripted-api.ts'
import { temporaryFolder } from '../helpers/temporary-folder.ts'
import { apiAndSource, faultOf, KEY, runWorkers, WINDOW } from './api-and-source.ts'

test('a key that no header line can hold is refused with its origin and without its value', async (t) => {
  // At the start the settings refuse it; a file may get it later.
  const path = join(temporaryFolder(t), 'key')
  await writeFile(path, KEY)
  const { source, signal } = await apiAndSource(t, { apiKey: fileSecret(path) })
  await writeFile(path, 'CANARYé')
  const fault = await faultOf(source.open(WINDOW, signal))
  assert.deepEqual([fault.stage, fault.code, fault.reaction], ['source', 'api_credentials', 'hold'])
  assert.ok(!inspect(fault).includes('CANARY'))
})

/** Throws everything back that it was sent, with the status and type that the test wants. */
function echo(status: number, type: string, before = ''): Reply {
  return (response, asked: Asked, request) => {
    const authorization = asked.headers.authorization ?? ''
    const token = authorization.replace(/^\w+ /, '')
    const seen = `${authorization} ${asked.body} ${decodeURIComponent(asked.body)} ${Buffer.from(token, 'base64')}`
    const location = `https://${encodeURIComponent(asked.body)}@x.example/${token}?${token}`
    return text(status, `${before}${seen} ${seen.repeat(40)}`, { 'content-type': type, location })(
      response,
      asked,
      request,
    )
  }
}

test('canaries in every credential appear in no error, cause or log line, whatever the API throws back', async (t) => {
  const idTokenFile = join(temporaryFolder(t), 'id')
  await writeFile(idTokenFile, 'CANARY-id-token.x.y')
  const kinds = [
    { apiKey: 'CANARY-api-key' },
    { oauthClientId: 'id', oauthClientSecret: 'CANARY-client-secret/+' },
    { oauthClientId: 'id', idTokenFile },
  ]
  const shown: string[] = []
  const log = pino({ level: 'trace' }, { write: (line: string) => void shown.push(line) })
  const learned = new Set<string>()
  const registry = createSecretRegistry()
  const secrets = {
    ...registry,
    add(value: string) {
      learned.add(value)
      registry.add(value)
    },
  }
  let faults = 0
  for (const kind of kinds) {
    const { api, source, signal } = await apiAndSource(t, kind, { log, secrets })
    const good = json(200, { access_token: 'CANARY-token', expires_in: 3600 })
    const replies: Reply[] = [
      ...[200, 302, 400, 401, 403, 404, 429, 500, 502].map((status) => echo(status, 'text/html')),
      echo(200, 'application/json'),
      echo(200, 'application/json', '{"access_token":"CANARY-token'),
      echo(200, 'application/json', '{"logs":[{"a":'),
      echo(200, 'application/json', '{"devices":[{"a":'),
      (response) => void response.destroy(),
    ]
    for (const reply of replies) {
      for (const signInReply of [good, reply]) {
        api.on('oauth/token', signInReply)
        api.on('oauth/token-exchange', signInReply)
        for (const route of ['logging/network', 'devices', 'settings'] as const) api.on(route, reply)
        const calls = [
          () => source.open(WINDOW, signal).then(runWorkers),
          () => source.devices(signal),
          () => source.settings(signal),
        ]
        for (const call of calls) {
          try {
            await call()
          } catch (error) {
            faults += 1
            log.error({ err: error }, 'it failed')
            shown.push(inspect(error, { depth: 20, showHidden: true }), String((error as Error).stack))
          }
        }
      }
    }
  }
  assert.ok(faults > 100, `${faults}`)
  const all = shown.join('\n')
  const leaks = [...new Set([...all.matchAll(/.{0,60}CANARY.{0,30}/g)].map(([leak]) => leak))]
  assert.deepEqual(leaks, [])
  for (const value of learned) assert.ok(!all.includes(Buffer.from(value).toString('base64').slice(0, 12)), value)
  assert.deepEqual([...learned].toSorted(), [
    'CANARY-api-key',
    'CANARY-client-secret/+',
    'CANARY-id-token.x.y',
    'CANARY-token',
  ])
})
