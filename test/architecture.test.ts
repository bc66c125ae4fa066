/** What may know what: imports point left along source -> flatten -> sink, there are no circles, and nothing imports the composition. */
import assert from 'node:assert/strict'
import { glob, readFile } from 'node:fs/promises'
import { dirname, join, normalize } from 'node:path'
import { before, test } from 'node:test'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../src/', import.meta.url))

/** What each module may import besides itself and `base/`, which imports nothing. */
const MAY_KNOW: Readonly<Record<string, readonly string[]>> = {
  base: [],
  secrets: [],
  schedule: [],
  ledger: [],
  'http-client': [],
  source: ['http-client', 'secrets'],
  directory: ['source', 'flatten', 'sink', 'ledger'],
  rollup: ['source', 'flatten', 'sink', 'directory', 'ledger', 'observers'],
  flatten: ['source'],
  sink: ['source', 'flatten', 'http-client', 'secrets'],
  query: ['sink', 'source', 'directory', 'rollup'],
  privacy: ['source', 'flatten', 'directory', 'secrets'],
  observers: ['source', 'flatten', 'ledger'],
  alerts: ['source', 'flatten', 'sink', 'ledger', 'rollup', 'secrets', 'http-client'],
  observe: ['source', 'flatten', 'sink', 'ledger', 'observers', 'rollup', 'alerts', 'secrets'],
  pipeline: ['source', 'flatten', 'sink', 'ledger', 'directory', 'observers', 'observe'],
  page: ['observe'],
  http: ['source', 'query', 'observe', 'observers', 'page', 'secrets', 'http-client'],
  config: [
    'secrets',
    'http-client',
    'source',
    'flatten',
    'sink',
    'schedule',
    'privacy',
    'directory',
    'rollup',
    'ledger',
    'http',
    'observe',
    'alerts',
  ],
  provision: ['sink', 'http-client'],
  doctor: ['source', 'sink', 'ledger', 'provision', 'config', 'http', 'http-client'],
  demo: [],
}
/** They put everything together, and nothing imports them. */
const COMPOSITION = ['main.ts', 'commands']
/** An import of these is paid with memory, always: see node-http.ts. */
const EXPENSIVE = /^import (?!type )[^']*? from '(?:node:https?|@influxdata\/influxdb-client)'$/m

const texts = new Map<string, string>()
/** Types count too. */
const imports = new Map<string, string[]>()
const moduleOf = (file: string) => file.split('/')[0] ?? ''

before(async () => {
  for await (const file of glob('**/*.ts', { cwd: root })) {
    const text = await readFile(join(root, file), 'utf8')
    texts.set(file, text)
    const targets = [...text.matchAll(/^(?:import|export)\s[^'"]*?from '(\.[^']+)'/gm)]
    imports.set(
      file,
      targets.map(([, target = '']) => normalize(join(dirname(file), target))),
    )
  }
  assert.ok(imports.size > 100, `only ${imports.size} files were read`)
})

test('each module imports only what it may know', () => {
  const faults: string[] = []
  for (const [file, targets] of imports) {
    const module = moduleOf(file)
    if (COMPOSITION.includes(module)) continue
    for (const target of targets) {
      const other = moduleOf(target)
      if (other !== module && other !== 'base' && !MAY_KNOW[module]?.includes(other))
        faults.push(`${file} imports ${target}`)
    }
  }
  assert.deepEqual(faults, [])
})

test('no file imports itself by way of others', () => {
  const circles: string[] = []
  const done = new Set<string>()
  const path: string[] = []
  function visit(file: string): void {
    const at = path.indexOf(file)
    if (at >= 0) circles.push([...path.slice(at), file].join(' -> '))
    if (at >= 0 || done.has(file)) return
    path.push(file)
    for (const target of imports.get(file) ?? []) visit(target)
    path.pop()
    done.add(file)
  }
  for (const file of imports.keys()) visit(file)
  assert.deepEqual(circles, [])
})

test('node:http and the client of InfluxDB are loaded in one place only', () => {
  assert.deepEqual(
    [...texts].filter(([, text]) => EXPENSIVE.test(text)).map(([file]) => file),
    [],
  )
})
