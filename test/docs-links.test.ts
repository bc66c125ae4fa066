/** Documents for operators name files, commands and settings of the project; they must be there. (`docs.test.ts` has those for contributors.) */
import assert from 'node:assert/strict'
import { existsSync, globSync, readFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const read = (path: string) => readFileSync(join(root, path), 'utf8')
const PAGES = ['README.md', 'CHANGELOG.md', ...globSync('docs/*.md', { cwd: root })].toSorted()
const SOURCES = globSync('{src,test,bench,tools,config}/**/*', { cwd: root })
const NAMES = new Set(SOURCES.map((path) => basename(path)))

for (const page of PAGES) {
  const text = read(page)
  const code = [...text.matchAll(/`([^`\n]+)`/g)].map(([, word = '']) => word)
  const shown = [...text.matchAll(/```\w*\n([\s\S]*?)```/g)].map(([, block = '']) => block).join('\n')

  test(`${page} has no dead links`, () => {
    const links = [...text.matchAll(/\]\(([^)\s]+)\)/g)].map(([, to = '']) => to).filter((to) => !/^[a-z]+:/.test(to))
    const dead = links.filter((to) => {
      const [path = '', anchor] = to.split('#')
      const target = path === '' ? page : join(dirname(page), path)
      return !existsSync(join(root, target)) || (anchor !== undefined && !anchorsOf(read(target)).has(anchor))
    })
    assert.deepEqual(dead, [])
  })

  test(`${page} names files that exist`, () => {
    const paths = code.filter((word) => /^[\w./-]+\.(?:ts|js|json|lp|sh|iql)$/.test(word))
    assert.deepEqual(
      paths.filter((path) => !isThere(path)),
      [],
    )
    const folders = code.filter((word) => /^(?:src|test|config|docs|bench|tools)\/[\w./-]*$/.test(word))
    assert.deepEqual(
      folders.filter((path) => !existsSync(join(root, path))),
      [],
    )
    const run = [
      ...`${shown}\n${code.join('\n')}`.matchAll(/\bnode (?:--[\w-]+ )*((?:test|bench|tools|src)\/[\w./-]+)/g),
    ]
    assert.deepEqual(
      run.map(([, path = '']) => path).filter((path) => !existsSync(join(root, path))),
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

/** A path from the root, one below `src/` or `test/`, or a bare file name that some folder has. */
function isThere(path: string): boolean {
  if (['package.json', 'tsconfig.json', 'bench.json'].includes(path) || path.startsWith('.cache/')) return true
  if (!path.includes('/')) return NAMES.has(path)
  return ['', 'src', 'test'].some((folder) => existsSync(join(root, folder, path)))
}

/** As GitHub makes them from headings. */
function anchorsOf(markdown: string): Set<string> {
  const headings = markdown.replace(/```[\s\S]*?```/g, '').match(/^#+ .*$/gm) ?? []
  return new Set(
    headings.map((one) =>
      one
        .replace(/^#+ /, '')
        .toLowerCase()
        .replace(/[^\p{L}\p{N} _-]/gu, '')
        .replaceAll(' ', '-'),
    ),
  )
}

/** Files of other projects that a comment names with their place. */
const OTHERS = ['types.ts', 'datasource.ts', 'influx_series.ts', 'response_parser.ts']

test('comments name files that exist', () => {
  const dead = SOURCES.filter((path) => path.endsWith('.ts')).flatMap((path) =>
    read(path)
      .split('\n')
      .filter((line) => /^\s*(?:\/?\*|\/\/)/.test(line))
      .flatMap((line) => line.match(/[\w-]+(?:\.test)?\.ts\b/g) ?? [])
      .filter((name) => !NAMES.has(name) && !OTHERS.includes(name))
      .map((name) => `${path}: ${name}`),
  )
  assert.deepEqual(dead, [])
})
