/** `npm run dashboards`: writes the dashboards' JSON files. `--check` only compares and exits with 1 when a file differs. `--out DIR` writes
 * elsewhere. */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { dashboardFiles } from './all.ts'

const { values } = parseArgs({
  options: {
    out: { type: 'string', default: resolve(import.meta.dirname, '../dashboards') },
    check: { type: 'boolean', default: false },
  },
})

const files = dashboardFiles()
mkdirSync(values.out, { recursive: true })
const differing = [...files].filter(([name, text]) => contentOf(join(values.out, name)) !== text).map(([name]) => name)
const unknown = readdirSync(values.out).filter((name) => name.endsWith('.json') && !files.has(name))
if (values.check) {
  for (const name of differing) console.error(`${name} is not what the generator makes: run npm run dashboards`)
  for (const name of unknown) console.error(`${name} is not made by the generator: remove it`)
  process.exitCode = differing.length + unknown.length > 0 ? 1 : 0
} else {
  for (const name of differing) writeFileSync(join(values.out, name), files.get(name)!)
  console.log(`${files.size} dashboards in ${values.out}, ${differing.length} changed`)
}

function contentOf(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}
