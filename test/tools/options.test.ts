/** Scripts of `npm run` say what they can do, and what they do not know, without a stack trace. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { test } from 'node:test'

const ROOT = resolve(import.meta.dirname, '../..')
const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { scripts: Record<string, string> }

/** Those whose file reads options. */
const READERS = Object.entries(scripts).flatMap(([name, command]) => {
  const [, file] = /^node (\S+\.ts)$/.exec(command) ?? []
  return file !== undefined && /readOptions\(|bench\.ts/.test(readFileSync(join(ROOT, file), 'utf8') + file)
    ? [{ name, file }]
    : []
})

test('--help is the usage, and what is unknown a sentence with exit code 2', () => {
  assert.ok(READERS.length >= 8, READERS.map(({ name }) => name).join())
  for (const { name, file } of READERS) {
    const run = (option: string) => spawnSync(process.execPath, [join(ROOT, file), option], { encoding: 'utf8' })
    const wrong = run('--bogus')
    assert.equal(wrong.status, 2, name)
    assert.match(wrong.stderr, /^Unknown(?: option)?:? '?--bogus/, name)
    assert.doesNotMatch(wrong.stderr, /\n {4}at /, name)
  }
  const help = spawnSync(process.execPath, [join(ROOT, 'config/grafana/generate/main.ts'), '--help'], {
    encoding: 'utf8',
  })
  assert.deepEqual([help.status, help.stderr], [0, ''])
  assert.match(help.stdout, /^Usage: npm run dashboards -- \[options\]\n {2}--out VALUE .*\n {2}--check\n$/)
})

test('no script reads options in another way', () => {
  const files = ['tools', 'config', 'bench'].flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts'))
      .map((name) => join(folder, name)),
  )
  const others = files.filter((file) => readFileSync(join(ROOT, file), 'utf8').includes('parseArgs'))
  assert.deepEqual(others, [join('tools', 'options.ts')])
})
