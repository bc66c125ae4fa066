import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { CollectorError } from '../../src/base/errors.ts'
import { createLog } from '../../src/observe/log.ts'
import { createSecretRegistry } from '../../src/secrets/redactor.ts'
import { fileSecret, fixedSecret } from '../../src/secrets/secret.ts'
import { createFakeClock } from '../helpers/fake-clock.ts'

const CANARY = 'tskey-canary+/=?"\\ é-0123456789'

function capture(secrets = createSecretRegistry([fixedSecret(CANARY, 'the test')])) {
  const lines: string[] = []
  const clock = createFakeClock()
  const log = createLog({ level: 'trace', secrets, clock, destination: { write: (line) => void lines.push(line) } })
  return { log, lines, clock, secrets, text: () => lines.join('') }
}

/** Each way in which the canary could be written. */
function forms(secret: string): string[] {
  return [
    secret,
    encodeURIComponent(secret),
    encodeURIComponent(secret).toLowerCase(),
    new URLSearchParams({ a: secret }).toString().slice(2),
    Buffer.from(secret).toString('base64'),
    Buffer.from(secret).toString('base64url'),
    Buffer.from(`${secret}:`).toString('base64'),
    Buffer.from(`user:${secret}`).toString('base64'),
    Buffer.from(`u2:${secret}`).toString('base64'),
    Buffer.from(`usr:${secret}`).toString('base64'),
    JSON.stringify({ secret }),
    JSON.stringify(JSON.stringify({ secret })),
  ]
}

/** True when a stretch of the canary that no one could guess is left, plain or inside any base64 text. */
function leaks(text: string): boolean {
  if (/canary|0123456789/.test(text)) return true
  return [...text.matchAll(/[\w+/-]{12,}/g)].some(([word]) =>
    [0, 1, 2, 3].some((skip) => /canary|0123456789/.test(Buffer.from(word.slice(skip), 'base64').toString('latin1'))),
  )
}

test('the check of these tests finds each form when nothing is scrubbed', () => {
  const { log, text } = capture(createSecretRegistry())
  for (const form of forms(CANARY)) {
    log.info({ form }, 'a field')
    assert.ok(leaks(text()), form)
  }
})

test('a secret is kept out of message, fields, errors, stacks, causes and bindings, in every form', () => {
  for (const form of forms(CANARY)) {
    const { log, text, lines } = capture()
    const inner = new Error(`inner ${form}`)
    const outer = new CollectorError(`outer ${form}`, {
      stage: 'source',
      code: 'api_unauthorized',
      reaction: 'hold',
      cause: inner,
    })
    log.info(`a message ${form}`)
    log.trace({ deep: { list: [{ url: `https://user:${form}@host/?q=${form}` }] }, [form]: 1 }, 'fields')
    log.error({ err: outer }, 'an error')
    log.warn(outer)
    log.child({ form }).error('bound')
    assert.equal(lines.length, 5)
    assert.ok(!leaks(text()), `${form}\n${text()}`)
    assert.match(text(), /\[secret\]/)
    for (const line of lines) JSON.parse(line)
  }
})

test('a secret of any characters is kept out, and lines stay JSON', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', minLength: 6, maxLength: 40 }), fc.string(), (secret, before) => {
      // A text that occurs in every line would be replaced there too.
      fc.pre(
        secret.trim() === secret &&
          !/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/.test(secret) &&
          /[^a-z0-9":,{}\s]/i.test(secret),
      )
      const { log, lines } = capture(createSecretRegistry([fixedSecret(secret, 'the test')]))
      log.info({ value: `${before}${secret}`, basic: Buffer.from(`${before}${secret}`).toString('base64') }, 'it')
      const written = JSON.parse(lines[0] ?? '') as { value: string; basic: string }
      assert.ok(!written.value.includes(secret))
      assert.ok(written.basic.includes('[secret]'))
    }),
    { seed: 11, numRuns: 200 },
  )
})

test('a secret that changes with its file, and one that is learned later, are kept out from then on', async () => {
  const path = join(tmpdir(), `tailflux-${process.pid}-secret`)
  await writeFile(path, 'first-value\n')
  const secret = fileSecret(path)
  const { log, secrets, text } = capture(createSecretRegistry([secret]))
  log.info('first-value and token-of-now')
  await writeFile(path, 'second-value\n')
  assert.equal(await secret.refresh(), true)
  secrets.add('token-of-now')
  log.info('second-value and first-value and token-of-now')
  assert.match(text(), /"\[secret\] and token-of-now"/)
  assert.match(text(), /"\[secret\] and \[secret\] and \[secret\]"/)
})

test('tokens that come and go do not pile up, and never push out a secret of the settings', () => {
  const secrets = createSecretRegistry([fixedSecret('lasting-secret', 'the test')])
  for (let index = 0; index < 300; index += 1) secrets.add(`token-number-${index}-end`)
  assert.equal(secrets.scrub('lasting-secret token-number-299-end'), '[secret] [secret]')
  assert.equal(secrets.scrub('token-number-0-end'), 'token-number-0-end')
})

test('a very short secret does not garble the log', () => {
  const { log, text } = capture(createSecretRegistry([fixedSecret('a', 'the test')]))
  log.info('a message with an a')
  assert.match(text(), /a message with an a/)
})

test('lines carry level by name, time and component, and error causes', () => {
  const { log, lines } = capture()
  log
    .child({ component: 'sink' })
    .warn({ code: 'db_timeout', err: new Error('outer', { cause: new Error('inner') }) }, 'write failed')
  const line = JSON.parse(lines[0] ?? '') as Record<string, unknown> & { err: { message: string } }
  assert.equal(line['level'], 'warn')
  assert.equal(line['component'], 'sink')
  assert.match(String(line['time']), /^\d{4}-\d\d-\d\dT/)
  assert.match(line.err.message, /outer: inner/)
})

test('repeats of a warning are held back and counted; other codes, components and infos are not', async () => {
  const { log, lines, clock } = capture()
  const sink = log.child({ component: 'sink' })
  for (let index = 0; index < 50; index += 1) sink.warn({ code: 'db_timeout', index }, 'write failed')
  assert.equal(lines.length, 10)
  sink.warn({ code: 'db_unreachable' }, 'write failed')
  log.child({ component: 'source' }).warn({ code: 'db_timeout' }, 'write failed')
  for (let index = 0; index < 50; index += 1) sink.info('window delivered')
  assert.equal(lines.length, 62)
  await clock.advance(10_000)
  sink.warn({ code: 'db_timeout' }, 'write failed')
  sink.warn({ code: 'db_timeout' }, 'write failed')
  assert.equal((JSON.parse(lines.at(-2) ?? '') as { heldBackCount: number }).heldBackCount, 40)
  assert.doesNotMatch(lines.at(-1) ?? '', /heldBackCount/)
})

test('hostile names make one line each', () => {
  const { log, lines } = capture()
  log.info({ name: 'evil\n{"level":"error"}\u001b[31m\u2028' }, 'device seen')
  assert.equal(lines.length, 1)
  assert.equal(lines[0]?.split('\n').length, 2)
})

test('an error that says what is wrong has no stack, a programmer’s has one', () => {
  const { log, lines } = capture()
  const options = { stage: 'sink', code: 'db_unreachable', reaction: 'retry', cause: new Error('refused') } as const
  log.warn({ err: new CollectorError('It cannot be reached.', options) }, 'told')
  log.error({ err: new TypeError('x is not a function') }, 'broken')
  const [reported, broken] = lines.map((line) => (JSON.parse(line) as { err: Record<string, string> }).err)
  assert.deepEqual(reported, { type: 'CollectorError', message: 'It cannot be reached.: refused' })
  assert.match(broken?.['stack'] ?? '', /log\.test\.ts/)
})
