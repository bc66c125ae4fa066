/** Counts the words of the table (senses.ts) that are left in what a user reads: documents, settings, rules, dashboards, and the messages of the
 * program (`npm run words`). Exit code 1 when one is left that is not meant plainly. `--plain` lists the plain ones too. `--code` counts
 * comments and names of the code instead, outside of alerts; places.ts says where a word is meant plainly there. */
import { globSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { readOptions } from '../options.ts'
import { meaningIn } from './places.ts'
import { type Found, wordsIn } from './senses.ts'
import { codeWordsIn, messagesIn, type Text } from './texts.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const DOCUMENTS = [
  '*.md',
  'docs/*.md',
  'docs/openapi.json',
  '.env.example',
  'docker-compose*.yml',
  'config/tailflux.yaml',
  'config/prometheus/tailflux.rules.yml',
]
const SOURCES = ['src/**/*.ts', 'src/**/*.js', 'config/grafana/generate/**/*.ts']
const CODE = ['src/**/*.{ts,js,css}', '{test,bench,tools,config}/**/*.ts']
/** The simulated API answers as the real one does. */
const NOT_OURS = /^src\/demo\//
/** The insides of alerts; and the table itself. */
const NOT_COUNTED = /^(?:src|test)\/alerts\/|^(?:tools\/words\/|test\/tools\/words\.test)/

export interface Left extends Found {
  readonly file: string
  readonly line: number
  /** The line of the text that has it. */
  readonly context: string
}

/** Every word of the table in what a user reads below `root`. */
export function wordsLeft(root: string): readonly Left[] {
  const list = (patterns: string[]) => globSync(patterns, { cwd: root }).toSorted()
  const documents = list(DOCUMENTS).flatMap((file) => found(file, [{ text: read(root, file), line: 1 }]))
  const sources = list(SOURCES).filter((file) => !NOT_OURS.test(file))
  return [...documents, ...sources.flatMap((file) => found(file, messagesIn(read(root, file))))]
}

/** Every word of the table in comments and names of the code below `root`. */
export function wordsInCode(root: string): readonly Left[] {
  const files = globSync(CODE, { cwd: root }).toSorted()
  return files
    .filter((file) => !NOT_COUNTED.test(file))
    .flatMap((file) => found(file, codeWordsIn(read(root, file))))
    .map((one) => ({ ...one, isPlain: one.isPlain || meaningIn(one.file, one.word) !== undefined }))
}

function read(root: string, file: string): string {
  return readFileSync(`${root}/${file}`, 'utf8')
}

function found(file: string, texts: readonly Text[]): readonly Left[] {
  return texts.flatMap(({ text, line }) =>
    wordsIn(text).map((one) => {
      const before = text.slice(0, one.at).split('\n')
      const context = (before.at(-1) ?? '').slice(-50) + (text.slice(one.at).split('\n')[0] ?? '').slice(0, 60)
      return { ...one, file, line: line + before.length - 1, context: context.trim() }
    }),
  )
}

function report(all: readonly Left[], isPlainListed: boolean): string {
  const senses = Map.groupBy(all, ({ say }) => say)
  const lines = ['say                              left  plain']
  for (const [say, ones] of senses) {
    const plain = ones.filter(({ isPlain }) => isPlain).length
    lines.push(`${say.padEnd(32)} ${String(ones.length - plain).padStart(4)} ${String(plain).padStart(6)}`)
  }
  lines.push('')
  for (const { file, line, word, say, context, isPlain } of all)
    if (!isPlain || isPlainListed)
      lines.push(`${file}:${line}: ${isPlain ? '(plain) ' : ''}"${word}" -> ${say}: ${context}`)
  const left = all.filter(({ isPlain }) => !isPlain).length
  return `${lines.join('\n')}\n${left} left, ${all.length - left} meant plainly\n`
}

if (import.meta.main) {
  const { code, plain } = readOptions('npm run words', { code: { type: 'boolean' }, plain: { type: 'boolean' } })
  const all = code ? wordsInCode(ROOT) : wordsLeft(ROOT)
  process.stdout.write(report(all, plain ?? false))
  if (all.some(({ isPlain }) => !isPlain)) process.exitCode = 1
}
