/** What `npm start` gives to Node, so that what is measured is what people run. */
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'

const { scripts } = JSON.parse(readFileSync(resolve(import.meta.dirname, '../../package.json'), 'utf8')) as {
  scripts: { start: string }
}

export const START_FLAGS: readonly string[] = scripts.start.split(' ').filter((word) => word.startsWith('--'))
