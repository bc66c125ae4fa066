/** The pages for contributors name files and commands; they must be there. */
import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { listOf, recordPath } from '../tools/record-path/record-path.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const read = (path: string) => readFileSync(join(root, path), 'utf8')
const TOP = /^(?:src|test|config|docs|bench|tools|\.github|\.ci)\//

for (const page of ['docs/internals.md', 'CONTRIBUTING.md', 'SECURITY.md']) {
  const text = read(page)
  const code = [...text.matchAll(/`([^`\n]+)`/g)].map(([, word = '']) => word)

  test(`${page} names files that exist`, () => {
    const named = code.filter((word) => TOP.test(word) && !/[\s*<…]/.test(word))
    const linked = [...text.matchAll(/\]\(([^)#:]+)(?:#[^)]*)?\)/g)].map(([, path = '']) => join(dirname(page), path))
    if (page === 'docs/internals.md') assert.ok(named.length > 60, `only ${named.length} files are named`)
    assert.deepEqual(
      [...named, ...linked].filter((path) => !existsSync(join(root, path))),
      [],
    )
  })

  test(`${page} names commands of package.json`, () => {
    const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> }
    const named = [...text.matchAll(/npm run ([\w:-]+)/g)].map(([, name = '']) => name)
    assert.deepEqual(
      named.filter((name) => !(name in scripts)),
      [],
    )
  })
}

test('docs/internals.md lists the files that a record runs through', async () => {
  const files = await recordPath()
  assert.ok(files.length > 20, `only ${files.length} files were found`)
  const [, list = ''] = /### The files on that path\n\n.*?\n\n(- .*?)\n\n/s.exec(read('docs/internals.md')) ?? []
  assert.equal(list, listOf(files), 'npm run record-path -- --write')
})
