/** Secrets stay out of everything that people read. */
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { inspect } from 'node:util'
import { pino } from 'pino'
import { createScrubber, fileSecret, fixedSecret } from '../../src/source/secret.ts'
import { type Asked, json, type Reply, text } from '../helpers/scripted-api.ts'
import { apiAndSource, faultOf, readAll, WINDOW } from './api-and-source.ts'

test('a secret loses one trailing newline and nothing else', async (t) => {
  const path = join(await mkdtemp(join(tmpdir(), 'tailflux-')), 'secret')
  t.after(() => rm(join(path, '..'), { recursive: true }))
  for (const [content, value] of [
    ['abc', 'abc'],
    ['abc\n', 'abc'],
    ['abc\r\n', 'abc'],
    ['a b~!', 'a b~!'],
  ] as const) {
    await writeFile(path, content)
    assert.equal(await fileSecret(path).read(), value)
    assert.equal(await fixedSecret(content, 'a setting').read(), value)
  }
})

test('what could break out of a header, or is no key, is refused with its origin and without its value', async (t) => {
  const path = join(await mkdtemp(join(tmpdir(), 'tailflux-')), 'secret')
  t.after(() => rm(join(path, '..'), { recursive: true }))
  for (const content of [
    '',
    '\n',
    'CANARY\n\n',
    'CANARY\r\nX-Evil: 1',
    'CANARY\u0000',
    'CANARY\u007f',
    ' CANARY',
    'CANARY ',
    'CANARYé',
    `CANARY${'x'.repeat(70_000)}`,
  ]) {
    await writeFile(path, content)
    const fault = await faultOf(fileSecret(path).read())
    assert.deepEqual([fault.code, fault.reaction], ['api_credentials', 'hold'])
    assert.ok(fault.message.includes(path))
    assert.ok(!inspect(fault).includes('CANARY'))
    if (content.length > 70_000) continue
    assert.match((await faultOf(fixedSecret(content, 'the setting apiKey').read())).message, /the setting apiKey/)
  }
  assert.match((await faultOf(fileSecret('/nowhere/at/all').read())).message, /nowhere.*ENOENT/)
  assert.match((await faultOf(fileSecret(tmpdir()).read())).message, /EISDIR/)
})

test('a secret in settings shows nothing when it is printed', () => {
  const secret = fixedSecret('CANARY', 'a setting')
  assert.ok(!inspect(secret, { depth: 9, showHidden: true }).includes('CANARY'))
  assert.ok(!JSON.stringify({ secret }).includes('CANARY'))
})

test('every way to write a secret is replaced, also where the text was cut', () => {
  const value = 'tskey-"quoted"/and+more=é'
  const scrubber = createScrubber()
  scrubber.learn(value)
  const written = [
    value,
    JSON.stringify(value),
    encodeURIComponent(value),
    new URLSearchParams({ value }).toString(),
    btoaUtf8(value),
    btoaUtf8(`${value}:`),
  ]
  for (const one of written) {
    const clean = scrubber.scrub(`before ${one} after`)
    assert.match(clean, /^before .*\[secret\].* after$/)
    assert.ok(!clean.includes('quoted') && !clean.includes(one))
  }
  const cut = `${value}${value}`.slice(0, -3)
  assert.equal(scrubber.excerpt(`${'x'.repeat(200)}${cut}`, true).includes('quoted'), false)
})

test('only the last secrets are remembered, each is told once', () => {
  const told: string[] = []
  const scrubber = createScrubber((value) => told.push(value))
  for (let round = 0; round < 2; round++) for (let i = 0; i < 40; i++) scrubber.learn(`token-${i}-`)
  assert.equal(scrubber.scrub('token-39-'), '[secret]')
  assert.equal(scrubber.scrub('token-0-'), 'token-0-')
  scrubber.learn('token-39-')
  assert.equal(told.at(-1), 'token-39-')
  assert.equal(told.length, 80)
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
  const idTokenFile = join(await mkdtemp(join(tmpdir(), 'tailflux-')), 'id')
  t.after(() => rm(join(idTokenFile, '..'), { recursive: true }))
  await writeFile(idTokenFile, 'CANARY-id-token.x.y')
  const kinds = [
    { apiKey: 'CANARY-api-key' },
    { oauthClientId: 'id', oauthClientSecret: 'CANARY-client-secret/+' },
    { oauthClientId: 'id', idTokenFile },
  ]
  const shown: string[] = []
  const log = pino({ level: 'trace' }, { write: (line: string) => void shown.push(line) })
  const learned = new Set<string>()
  let faults = 0
  for (const kind of kinds) {
    const { api, source, signal } = await apiAndSource(t, kind, { log, onSecret: (value) => learned.add(value) })
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
          () => source.open(WINDOW, signal).then(readAll),
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

function btoaUtf8(text: string): string {
  return Buffer.from(text).toString('base64')
}
