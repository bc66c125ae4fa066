/** Settings as text: those in force for `print-config`, the sample file, and the tables of the documentation, all from the schema. */
import { Document, type Scalar } from 'yaml'
import { STARTER_NOTIFY, STARTER_RULES } from '../alerts/rules/starter.ts'
import { formatBytes, formatDuration } from '../base/units.ts'
import { Secret } from '../secrets/secret.ts'
import { get } from './at-path.ts'
import { SCHEMA_FILE } from './json-schema.ts'
import { KEYS, type Key } from './keys.ts'
import type { Loaded } from './load.ts'

/** What the sample file shows instead of a default that is empty. */
const EXAMPLES: Readonly<Record<string, string>> = { 'alerts.rules': STARTER_RULES, 'alerts.notify': STARTER_NOTIFY }

/** YAML of the settings in force, without secrets; a comment says where each value comes from. */
export function printSettings({ settings, path, origins }: Loaded): string {
  const document = new Document({})
  document.commentBefore = ` settings in force${path === undefined ? '' : `, from ${path} and the environment`}`
  for (const key of KEYS) {
    const value = shown(key, get(settings, key.path))
    if (value === undefined) continue
    document.setIn(key.path, document.createNode(value))
    const origin = origins.get(key.name)
    const node = document.getIn(key.path, true) as Scalar
    if (origin !== undefined && node) node.comment = ` ${origin}`
  }
  return document.toString({ lineWidth: 0 })
}

/** A settings file with every key, each commented out at its default. */
export function sampleSettings(): string {
  const lines = [
    `# yaml-language-server: $schema=${SCHEMA_FILE}`,
    '# Settings of tailflux. Every key is shown with its default; remove the `#` in front of what you change.',
    '# Each key is also an environment variable, which wins: `poll.interval` is TAILFLUX_POLL_INTERVAL. Secrets can come from files: `apiKeyFile`,',
    '# or TAILSCALE_API_KEY_FILE. `tailflux print-config` shows what is in force.',
  ]
  let component: string | undefined
  for (const key of KEYS) {
    const [first = '', ...rest] = key.path
    const indent = rest.length > 0 ? '  ' : ''
    if (rest.length === 0) {
      component = undefined
      lines.push('')
    } else if (component !== first) {
      component = first
      lines.push('', `${first}:`)
    }
    for (const line of wrapped(key.description + choicesOf(key), 110)) lines.push(`${indent}# ${line}`)
    const example = EXAMPLES[key.name]
    if (example === undefined)
      lines.push(`${indent}# ${key.path.at(-1)}:${key.default === undefined ? '' : ` ${inYaml(key.default)}`}`)
    else for (const line of example.trimEnd().split('\n')) lines.push(`${indent}# ${line}`)
  }
  return `${lines.join('\n')}\n`
}

/** Rows of a Markdown table: all keys, or those whose names are given, in that order. */
export function settingsTable(names?: readonly string[]): string {
  const keys = names === undefined ? KEYS : names.map((name) => keyOf(name))
  const rows = keys.map((key) => {
    const file = key.kind === 'secret' ? ' (or `…_FILE`)' : ''
    const fallback = key.default === undefined ? '' : `\`${inYaml(key.default)}\``
    return `| \`${key.name}\` | \`${key.variables[0]}\`${file} | ${fallback} | ${(key.description + choicesOf(key)).replaceAll('|', '\\|')} |`
  })
  return ['| key | variable | default | what it is |', '|---|---|---|---|', ...rows].join('\n')
}

/** The choices, unless the description names them all. */
function choicesOf({ choices, description }: Key): string {
  return choices.every((choice) => description.includes(choice)) ? '' : ` (${choices.join(', ')})`
}

function keyOf(name: string): Key {
  const key = KEYS.find((one) => one.name === name)
  if (key === undefined) throw new RangeError(`${name} is no settings key`)
  return key
}

function shown(key: Key, value: unknown): unknown {
  if (value instanceof Secret) return '[secret]'
  if (key.kind === 'duration' && typeof value === 'number') return formatDuration(value)
  if (key.kind === 'size' && typeof value === 'number') return formatBytes(value)
  if (key.name === 'poll.latePasses' && Array.isArray(value)) return value.map((ms) => formatDuration(ms))
  return value
}

function inYaml(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(inYaml).join(', ')}]`
  if (typeof value === 'object' && value !== null)
    return `{${Object.entries(value).map(([name, member]) => `${name}: ${inYaml(member)}`)}}`
  return typeof value === 'string' && /^[-?:,[\]{}#&*!|>'"%@`]|: |^$/.test(value) ? `'${value}'` : String(value)
}

function wrapped(text: string, width: number): string[] {
  const lines: string[] = []
  let line = ''
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + word.length + 1 > width) {
      lines.push(line)
      line = word
    } else line = line === '' ? word : `${line} ${word}`
  }
  return [...lines, line]
}
