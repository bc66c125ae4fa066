/** The components stay in order: imports point left along source -> flatten -> sink, and only the composing files know several components. */
import assert from 'node:assert/strict'
import { glob, readFile } from 'node:fs/promises'
import { dirname, join, normalize } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../src/', import.meta.url))

/** What each component may import besides itself and the leaf files beside the components. */
const MAY_KNOW: Record<string, readonly string[]> = {
  source: [],
  flatten: ['source', 'names'],
  sink: ['flatten', 'source'],
  ledger: [],
  names: ['source', 'ledger'],
  schedule: [],
  demo: ['source'],
  query: ['sink'],
  privacy: ['source', 'flatten', 'names', 'ledger'],
  check: ['source', 'sink', 'query', 'ledger', 'config', 'http'],
  observe: ['source', 'sink', 'pipeline', 'alerts', 'ledger', 'live'],
  http: ['observe', 'live', 'pipeline'],
  live: ['source', 'flatten', 'sink', 'ledger', 'pipeline'],
  alerts: ['source', 'flatten', 'ledger', 'sink', 'pipeline'],
  config: ['source', 'flatten', 'sink', 'pipeline', 'http', 'observe', 'alerts', 'live', 'privacy'],
}
const COMPOSERS = new Set(['pipeline', 'main.ts', 'commands'])
/** An import of these is paid with memory, always: see node-http.ts. */
const DEAR = /^import (?!type )[^']*? from '(?:node:https?|@influxdata\/influxdb-client)'$/m

test('imports point left; only pipeline, main and commands know several components', async () => {
  const faults: string[] = []
  let files = 0
  for await (const file of glob('**/*.ts', { cwd: root })) {
    files += 1
    const component = file.includes('/') ? (file.split('/')[0] ?? '') : file
    const text = await readFile(join(root, file), 'utf8')
    if (DEAR.test(text)) faults.push(`${file} imports node:http, or the client that does`)
    for (const [, target] of text.matchAll(/from '(\.[^']+)'/g)) {
      const path = normalize(join(dirname(file), target ?? ''))
      const other = path.includes('/') ? (path.split('/')[0] ?? '') : path
      if (other === component || !path.includes('/')) continue
      const allowed = COMPOSERS.has(component) || MAY_KNOW[component]?.includes(other)
      if (!allowed) faults.push(`${file} imports ${path}`)
    }
    if (component.endsWith('.ts') && !COMPOSERS.has(component)) {
      for (const [, target] of text.matchAll(/from '(\.\/[^']+\/[^']+)'/g))
        faults.push(`leaf file ${file} imports ${target}`)
    }
  }
  assert.ok(files > 10, `only ${files} files were read`)
  assert.deepEqual(faults, [])
})
