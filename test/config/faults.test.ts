/** What is wrong with a settings file is told in sentences of ours, with the line and the fix. */
import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { CollectorError } from '../../src/base/errors.ts'
import { KEYS } from '../../src/config/keys.ts'
import { loadSettings } from '../../src/config/load.ts'
import { temporaryFolder } from '../helpers/temporary-folder.ts'

async function faultsOf(t: TestContext, file: string | Uint8Array): Promise<string> {
  const path = join(temporaryFolder(t), 'tailflux.yaml')
  await writeFile(path, file)
  try {
    loadSettings({ path, env: {} })
  } catch (error) {
    assert.ok(error instanceof CollectorError)
    return error.message
  }
  return ''
}

/** Every setting with a value of each of these kinds. */
const VALUES = [
  '123456',
  'true',
  '-1',
  '1.5',
  '99999999999',
  '""',
  'word',
  '[]',
  '[1, a]',
  '{}',
  '{a: 1}',
  '2026-08-01',
]
/** Words that only zod uses; node-cron says how many fields it expected. */
const OF_ZOD =
  /invalid (?!expression)|expected (?!5 or 6 fields)|received|too (?:small|big)|unrecognized|>=|<=|nonoptional/i

test('no value of any key is answered in the words of the library', async (t) => {
  for (const { path } of KEYS) {
    for (const value of VALUES) {
      const yaml = path.map((part, depth) => `${'  '.repeat(depth)}${part}:`).join('\n')
      const text = await faultsOf(t, `${yaml} ${value}\n`)
      assert.doesNotMatch(text.replaceAll(/\/\S+tailflux\.yaml/g, ''), OF_ZOD, `${path.join('.')}: ${value}`)
    }
  }
  const nested = `networks:
  - {cidr: 5, name: "", fold: 3, foo: 1}
  - 5
alerts:
  rules:
    - {name: 5, above: [], kind: none, by: 3, where: {port: 0, proto: 3, node: {}}, severity: 1, labels: {a: 1}, for: 3}
    - {name: a, above: 1GB, recoverBelow: {}, title: "", summary: 3, paused: perhaps, within: "", per: 3}
  notify: [{webhook: 3}, {ntfy: []}, 7, {alertmanager: "http://a", token: 3, user: []}]
  grafana: {folder: "", contactPoint: 3}
`
  const text = await faultsOf(t, nested)
  assert.doesNotMatch(text, OF_ZOD)
  assert.ok(text.split('\n').length > 25, text)
})

test('a number where a text belongs: put it in quotation marks; nothing secret is shown', async (t) => {
  const text = await faultsOf(t, 'influx:\n  user: admin\n  password: 123456\n')
  assert.match(
    text,
    /line 3: influx\.password: must be a text, and YAML reads this as a number; put it in quotation marks/,
  )
  assert.ok(!text.includes('123456'))
  assert.match(await faultsOf(t, 'influx:\n  org: ""\n'), /line 2: influx\.org: must not be empty; give it a value/)
  assert.match(await faultsOf(t, 'http:\n  tls: a.pem\n'), /http\.tls: must have two files, as in \{cert: tls\.crt, /)
  assert.match(await faultsOf(t, 'influx:\n  gzip: fast\n'), /influx\.gzip: must be one of auto, on, off/)
})

test('a file that is two documents, in another encoding, or not YAML says so with the line', async (t) => {
  assert.match(
    await faultsOf(t, 'ports: none\n---\nports: full\n'),
    /line 2: a second document begins here \(---\); settings are one document, so remove the line/,
  )
  for (const bytes of [Buffer.from('\ufeffports: none\n', 'utf16le'), Buffer.from('ports: none\n', 'utf16le')])
    assert.match(await faultsOf(t, bytes), /tailflux\.yaml is saved as UTF-16; save it as UTF-8/)
  assert.match(await faultsOf(t, Buffer.from('\ufeffports: none\n', 'utf16le').swap16()), /UTF-16/)
  assert.match(await faultsOf(t, Buffer.from('tailnetName: Caf\u00e9\n', 'latin1')), /is not UTF-8; save it as UTF-8/)
  assert.match(await faultsOf(t, 'poll:\n\tlag: 3s\n'), /line 2: this is not valid YAML: Tabs are not allowed/)
  for (const empty of ['', '# nothing yet\n', '---\n', '---\n# nothing\n', '\ufeff', 'ports:\n'])
    assert.equal(await faultsOf(t, empty), '', JSON.stringify(empty))
})
