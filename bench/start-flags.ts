/** What `npm start` gives to Node, so that what is measured is what people run. */
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'

const { scripts } = JSON.parse(readFileSync(resolve(import.meta.dirname, '../package.json'), 'utf8')) as {
  scripts: { start: string }
}
const words = scripts.start.split(' ')

export const START_FLAGS: readonly string[] = words.filter((word) => word.startsWith('--'))
export const START_ENV: Readonly<Record<string, string>> = Object.fromEntries(
  words.slice(0, words.indexOf('node')).map((word) => word.split('=') as [string, string]),
)
