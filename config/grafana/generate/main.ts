/** `npm run dashboards`: writes the dashboards' JSON files, one folder per query language. `--check` only compares and exits with 1 when a file differs.
 * `--out DIR` writes to folders there. */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { readOptions } from '../../../tools/options.ts'
import { dashboardFiles, FOLDERS } from './all.ts'

const values = readOptions('npm run dashboards', {
  out: { type: 'string', default: resolve(import.meta.dirname, '..') },
  check: { type: 'boolean', default: false },
})

for (const [name, language] of Object.entries(FOLDERS)) {
  const folder = join(values.out, name)
  const files = dashboardFiles(language)
  mkdirSync(folder, { recursive: true })
  const differing = [...files].filter(([name, text]) => contentOf(join(folder, name)) !== text).map(([name]) => name)
  const unknown = readdirSync(folder).filter((name) => name.endsWith('.json') && !files.has(name))
  if (values.check) {
    for (const name of differing) console.error(`${name} is not what the generator makes: run npm run dashboards`)
    for (const name of unknown) console.error(`${name} is not made by the generator: remove it`)
    if (differing.length + unknown.length > 0) process.exitCode = 1
  } else {
    for (const name of differing) writeFileSync(join(folder, name), files.get(name)!)
    console.log(`${files.size} dashboards in ${folder}, ${differing.length} changed`)
  }
}

function contentOf(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}
