/** The JSON schema by which editors check the settings file: it takes what the service takes, and marks what the service refuses. */
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { before, test } from 'node:test'
import { isDeepStrictEqual } from 'node:util'
import { Ajv, type ValidateFunction } from 'ajv'
import { parse } from 'yaml'
import { STARTER_NOTIFY, STARTER_RULES } from '../../src/alerts/rules/starter.ts'
import { KEYS } from '../../src/config/keys.ts'
import { loadSettings } from '../../src/config/load.ts'
import { runCli } from '../helpers/cli.ts'
import { temporaryFolder } from '../helpers/temporary-folder.ts'

const FILES = new URL('../../config/', import.meta.url)

let schema: { properties: Record<string, unknown> }
let validate: ValidateFunction

before(async () => {
  schema = JSON.parse(await readFile(new URL('settings.schema.json', FILES), 'utf8'))
  // Strict: a word that JSON Schema does not know is an error.
  validate = new Ajv({ strict: true, allowUnionTypes: true, allErrors: true }).compile(schema)
})

function faultsOf(yaml: string): string[] {
  validate(parse(yaml))
  return (validate.errors ?? []).map(({ instancePath, message, params }) =>
    [instancePath, message, params['additionalProperty']].filter(Boolean).join(' '),
  )
}

test('the sample file is valid, as it is and with every default put in force, and names its schema', async () => {
  const sample = await readFile(new URL('tailflux.yaml', FILES), 'utf8')
  const [, name = ''] = /^# yaml-language-server: \$schema=(\S+)\n/.exec(sample) ?? []
  assert.deepEqual(JSON.parse(await readFile(new URL(name, FILES), 'utf8')), schema)
  const inForce = sample.replace(/^( *)# ([A-Za-z]+:.*)$/gm, (_, indent, line) =>
    line.endsWith(':') ? '' : indent + line,
  )
  assert.notEqual(inForce, sample)
  for (const text of [sample, inForce]) assert.deepEqual(faultsOf(text), [])
  const indented = (text: string) => text.replace(/^/gm, '  ')
  assert.deepEqual(faultsOf(`alerts:\n${indented(STARTER_RULES)}\n${indented(STARTER_NOTIFY)}`), [])
})

test('every key is in it, with its description and its default', () => {
  for (const { path, description, default: fallback, kind, name } of KEYS) {
    let at = schema as { properties?: Record<string, unknown>; description?: string; default?: unknown }
    for (const part of path) at = at.properties?.[part] as typeof at
    assert.ok(at.description?.startsWith(description), name)
    if (!isDeepStrictEqual(fallback, {})) assert.deepEqual(at.default, fallback, name)
    if (kind === 'duration' || kind === 'size') assert.match(at.description ?? '', / From \S+ to \S+\.$/, name)
  }
})

test('what it marks the service refuses too, and what it takes the service takes', (t) => {
  const dir = temporaryFolder(t)
  const path = join(dir, 'tailflux.yaml')
  const isLoaded = (yaml: string) => {
    writeFileSync(path, yaml)
    try {
      return loadSettings({ path, env: {} }) !== undefined
    } catch {
      return false
    }
  }
  const wrong: [string, RegExp][] = [
    ['ports: some', /^\/ports must be equal to one of/],
    ['prots: none', /additional properties prots/],
    ['poll:\n  intervall: 30s', /^\/poll .*additional properties intervall/],
    ['poll:\n  lag: 60', /^\/poll\/lag must be string/],
    ['poll:\n  lag: one minute', /^\/poll\/lag must match pattern/],
    ['poll:\n  parallel: 17', /^\/poll\/parallel must be <= 16/],
    ['poll:\n  latePasses: [15m, never]', /^\/poll\/latePasses\/1 must match pattern/],
    ['influx:\n  batchBytesMax: 4000000', /^\/influx\/batchBytesMax must be string/],
    ['influx:\n  createDatabase: "yes"', /^\/influx\/createDatabase must be boolean/],
    ['http:\n  port: 99999', /^\/http\/port must be <= 65535/],
    ['http:\n  host: a b', /^\/http\/host must match pattern/],
    ['- ports: none', /must be object/],
    ['alerts:\n  rules:\n    - above: 1GB', /^\/alerts\/rules\/0 must have required property 'name'/],
    [
      'alerts:\n  rules:\n    - {name: a, above: 1GB, kinds: exit}',
      /^\/alerts\/rules\/0 must NOT have additional properties kinds/,
    ],
    ['alerts:\n  rules:\n    - {name: a, above: 1GB, title: }', /^\/alerts\/rules\/0\/title must be string/],
  ]
  for (const [yaml, fault] of wrong) {
    assert.match(faultsOf(yaml).join('\n'), fault, yaml)
    assert.equal(isLoaded(yaml), false, yaml)
  }
  const secret = join(dir, 'secret')
  writeFileSync(secret, 'tskey-api-1\n')
  const right = [
    '',
    'poll:',
    'tailscale:\n  apiKey: tskey-api-1\n  tailnet: T1234CNTRL',
    `tailscale:\n  apiKeyFile: ${secret}`,
    `http:\n  tokenFile:\n  host: '::1'`,
    'tailnetName:\npoll:\n  latePasses: []\n  windowBytesTarget: 1.5 mib\n  lag: 1m30s',
    'alerts:\n  rules:\n    - {name: a, above: 1GB, window: 1h, kind: [exit], by: exitNode, labels: {team: net}}',
    'alerts:\n  notify:\n    - {webhook: "http://127.0.0.1:1/hook", token: abc}',
  ]
  for (const yaml of right) {
    assert.deepEqual(faultsOf(yaml === '' ? '{}' : yaml), [], yaml)
    assert.equal(isLoaded(yaml), true, yaml)
  }
})

test('print-config --schema prints it', async (t) => {
  const { code, stdout } = await runCli(t, ['print-config', '--schema'])
  assert.equal(code, 0)
  assert.deepEqual(JSON.parse(stdout), schema)
})
