/** Secrets: read as they are, refused when they cannot be one, and never shown by accident. */
import assert from 'node:assert/strict'
import { rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { inspect } from 'node:util'
import { CollectorError } from '../../src/base/errors.ts'
import { createSecretRegistry } from '../../src/secrets/redactor.ts'
import { fileSecret, fixedSecret } from '../../src/secrets/secret.ts'
import { temporaryFolder } from '../helpers/temporary-folder.ts'

async function fileOf(t: TestContext): Promise<string> {
  const dir = temporaryFolder(t)
  return join(dir, 'secret')
}

function faultOf(run: () => unknown): CollectorError {
  try {
    run()
  } catch (error) {
    if (error instanceof CollectorError) return error
    throw error
  }
  throw new Error('it did not fail')
}

test('a secret loses one trailing newline and nothing else', async (t) => {
  const path = await fileOf(t)
  for (const [content, value] of [
    ['abc', 'abc'],
    ['abc\n', 'abc'],
    ['abc\r\n', 'abc'],
    ['a b~!é', 'a b~!é'],
  ] as const) {
    await writeFile(path, content)
    assert.equal(await fileSecret(path).read(), value)
    assert.equal(fixedSecret(content, 'a setting').reveal(), value)
  }
})

test('what could break out of a header, or is no secret, is refused with its origin and without its value', async (t) => {
  const path = await fileOf(t)
  for (const content of [
    '',
    '\n',
    'CANARY\n\n',
    'CANARY\r\nX-Evil: 1',
    'CANARY\u0000',
    'CANARY\u007f',
    ' CANARY',
    'CANARY ',
    `CANARY${'x'.repeat(70_000)}`,
  ]) {
    await writeFile(path, content)
    const fault = faultOf(() => fileSecret(path))
    assert.deepEqual([fault.code, fault.reaction], ['config_invalid', 'hold'])
    assert.ok(fault.message.includes(path))
    assert.ok(!inspect(fault).includes('CANARY'))
    assert.match(faultOf(() => fixedSecret(content, 'the setting apiKey')).message, /the setting apiKey/)
  }
  assert.match(faultOf(() => fileSecret('/nowhere/at/all')).message, /nowhere.*ENOENT/)
  assert.match(faultOf(() => fileSecret(tmpdir())).message, /EISDIR/)
})

test('a replaced file counts at the next reading; one that went bad or away leaves the old value and says so', async (t) => {
  const path = await fileOf(t)
  await writeFile(path, 'first\n')
  const secret = fileSecret(path)
  const seen: string[] = []
  secret.watch((value) => seen.push(value))
  await writeFile(path, 'second\n')
  assert.equal(await secret.refresh(), true)
  assert.equal(await secret.refresh(), false)
  await writeFile(path, '')
  await assert.rejects(secret.read(), { code: 'config_invalid' })
  await rm(path)
  await assert.rejects(secret.read(), /ENOENT/)
  assert.equal(secret.reveal(), 'second')
  assert.deepEqual(seen, ['first', 'second'])
})

test('a secret shows nothing when it is printed', () => {
  const secret = fixedSecret('CANARY', 'a setting')
  assert.ok(!inspect(secret, { depth: 9, showHidden: true }).includes('CANARY'))
  assert.ok(!JSON.stringify({ secret }).includes('CANARY'))
  assert.equal(`${secret}`, '[secret]')
})

test('every way to write a secret is replaced, also where the text was cut', () => {
  const value = 'tskey-"quoted"/and+more=é'
  const secrets = createSecretRegistry()
  secrets.add(value)
  const base64 = (text: string) => Buffer.from(text).toString('base64')
  const written = [
    value,
    JSON.stringify(value),
    encodeURIComponent(value),
    new URLSearchParams({ value }).toString(),
    base64(value),
    base64(`${value}:`),
  ]
  for (const one of written) {
    const clean = secrets.scrub(`before ${one} after`)
    assert.match(clean, /^before .*\[secret\].* after$/)
    assert.ok(!clean.includes('quoted') && !clean.includes(one))
  }
  const cut = `${value}${value}`.slice(0, -3)
  assert.equal(secrets.excerpt(`${'x'.repeat(200)}${cut}`, true).includes('quoted'), false)
})
