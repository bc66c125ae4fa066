/** Loads settings from one YAML file and from environment variables, which win. All errors are reported at once, each with its place and
 * its fix. Before everything is valid nothing is opened but the settings file and the files of secrets. */
import { readFileSync } from 'node:fs'
import { type Document, isMap, isNode, LineCounter, parse, parseDocument } from 'yaml'
import type { z } from 'zod'
import { CollectorError } from '../base/errors.ts'
import { readProxy } from '../http-client/proxy.ts'
import { fileSecret, fixedSecret, Secret } from '../secrets/secret.ts'
import { KEYS, type Key } from './keys.ts'
import { type Settings, settingsSchema } from './settings.ts'

export interface Loaded {
  readonly settings: Settings
  /** The settings file, if there is one. */
  readonly path: string | undefined
  /** By key name: the variable or file that set it. Keys that are not in here have their defaults. */
  readonly origins: ReadonlyMap<string, string>
  /** Every secret in force, the passwords of proxies too. */
  readonly secrets: readonly Secret[]
  /** For people; undefined without a proxy. */
  readonly proxy: string | undefined
}

type Environment = Readonly<Record<string, string | undefined>>

/** Set by Kubernetes for a service named tailflux (`TAILFLUX_PORT` is then a URL); no settings of ours. */
const FOREIGN_VARIABLES = /^TAILFLUX_(SERVICE_(HOST|PORT)(_|$)|PORT_\d+_)/
const FOREIGN_URL = /^(tcp|udp|sctp):\/\//
/** Ours, but no keys: the settings file, and what only tests look at. */
const OTHER_VARIABLES = /^TAILFLUX_(CONFIG$|TEST_|REQUIRE_)/

/** `path`: the settings file; without it `TAILFLUX_CONFIG`, without that none. `changes` win over everything (key name to value as in YAML). Throws a
 * CollectorError (`config_invalid`) whose text has one line for each fault. */
export function loadSettings(
  options: {
    readonly path?: string | undefined
    readonly env?: Environment
    readonly changes?: Readonly<Record<string, unknown>>
  } = {},
): Loaded {
  const env = options.env ?? process.env
  const faults: string[] = []
  const origins = new Map<string, string>()
  const path = options.path ?? filled(env['TAILFLUX_CONFIG'])
  const file = path === undefined ? undefined : readFile(path, faults)
  const raw: Record<string, unknown> = file?.value ?? {}
  for (const key of KEYS) if (get(raw, key.path) !== undefined) origins.set(key.name, `the file ${path}`)

  for (const key of KEYS.filter(({ kind }) => kind === 'secret')) takeSecretOfFile(key, raw, origins, faults)
  for (const key of KEYS) takeVariables(key, env, raw, origins, faults)
  for (const variable of Object.keys(env)) {
    const isForeign =
      FOREIGN_VARIABLES.test(variable) || (variable === 'TAILFLUX_PORT' && FOREIGN_URL.test(env[variable] ?? ''))
    const isOurs = variable.startsWith('TAILFLUX_') && !isForeign
    if (!isOurs || OTHER_VARIABLES.test(variable) || VARIABLES.has(variable) || filled(env[variable]) === undefined)
      continue
    faults.push(`unknown variable ${variable}${suggestion(variable, [...VARIABLES])}; remove or rename it`)
  }
  for (const [name, value] of Object.entries(options.changes ?? {})) {
    set(raw, name.split('.'), value)
    origins.set(name, 'the command line')
  }

  const proxy = takeProxy(env, faults)
  const parsed = settingsSchema.safeParse(raw)
  for (const issue of parsed.error?.issues ?? []) faults.push(...describe(issue, file, path, origins))
  if (faults.length > 0 || !parsed.success) {
    const count = faults.length === 1 ? 'The settings have 1 error' : `The settings have ${faults.length} errors`
    throw new CollectorError(`${count}:\n${faults.map((fault) => `  - ${fault}`).join('\n')}`, {
      stage: 'config',
      code: 'config_invalid',
      reaction: 'hold',
    })
  }
  const secrets = [...secretsIn(parsed.data), ...(proxy?.passwords ?? [])]
  return { settings: parsed.data, path, origins, secrets, proxy: proxy?.text }
}

function takeProxy(env: Environment, faults: string[]): { text: string | undefined; passwords: Secret[] } | undefined {
  try {
    const { text, passwords } = readProxy(env)
    return { text, passwords: passwords.map((one) => fixedSecret(one, 'the URL of a proxy')) }
  } catch (error) {
    if (!(error instanceof CollectorError)) throw error
    faults.push(error.message)
    return undefined
  }
}

const VARIABLES: ReadonlySet<string> = new Set(
  KEYS.flatMap((key) => [
    ...key.variables,
    ...(key.kind === 'secret' ? key.variables.map((variable) => `${variable}_FILE`) : []),
  ]),
)

interface SettingsFile {
  readonly value: Record<string, unknown>
  lineOf(path: readonly PropertyKey[]): number | undefined
}

function readFile(path: string, faults: string[]): SettingsFile | undefined {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? ` (${error.code})` : ''
    faults.push(`the settings file ${path} cannot be read${code}; check --config or TAILFLUX_CONFIG`)
    return undefined
  }
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, uniqueKeys: true })
  for (const error of document.errors) {
    const { line } = lines.linePos(error.pos[0])
    faults.push(`${path} line ${line}: ${error.message.split('\n')[0]}`)
  }
  if (document.errors.length > 0) return undefined
  if (document.contents !== null && !isMap(document.contents)) {
    faults.push(`${path} must contain keys and values, such as \`ports: none\``)
    return undefined
  }
  return {
    value: withoutEmpty(document.toJS({ maxAliasCount: 100 }) ?? {}) as Record<string, unknown>,
    lineOf: (at) => lineOf(document, lines, at),
  }
}

/** `poll:` with nothing below it (all of it commented out) is the same as no `poll`. */
function withoutEmpty(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
  const members = Object.entries(value).filter(([, member]) => member !== null)
  return Object.fromEntries(members.map(([name, member]) => [name, withoutEmpty(member)]))
}

/** The line of the deepest part of the path that the file has. */
function lineOf(document: Document, lines: LineCounter, path: readonly PropertyKey[]): number | undefined {
  for (let length = path.length; length > 0; length -= 1) {
    const parent = length === 1 ? document.contents : document.getIn(path.slice(0, length - 1), true)
    const name = path[length - 1]
    const pair = isMap(parent) ? parent.items.find((item) => String(item.key) === String(name)) : undefined
    const node = pair === undefined ? document.getIn(path.slice(0, length), true) : pair.key
    if (isNode(node) && node.range) return lines.linePos(node.range[0]).line
  }
  return undefined
}

/** `apiKeyFile: /run/secrets/key` in the settings file. */
function takeSecretOfFile(
  key: Key,
  raw: Record<string, unknown>,
  origins: Map<string, string>,
  faults: string[],
): void {
  const parent = get(raw, key.path.slice(0, -1))
  const name = key.path.at(-1) ?? ''
  if (typeof parent !== 'object' || parent === null) return
  const members = parent as Record<string, unknown>
  const given = members[name]
  const path = members[`${name}File`]
  delete members[`${name}File`]
  if (path !== undefined && given !== undefined) {
    faults.push(`${key.name} and ${key.name}File are both set; keep one of them`)
  } else if (path !== undefined) takeSecret(key, raw, () => fileSecret(String(path)), faults)
  else if (typeof given === 'string') takeSecret(key, raw, () => fixedSecret(given, `the setting ${key.name}`), faults)
  if (path !== undefined) origins.set(key.name, `the file ${path}`)
}

function takeVariables(
  key: Key,
  env: Environment,
  raw: Record<string, unknown>,
  origins: Map<string, string>,
  faults: string[],
): void {
  const given = key.variables.filter((variable) => filled(env[variable]) !== undefined)
  const files = key.kind === 'secret' ? key.variables.map((variable) => `${variable}_FILE`) : []
  const givenFiles = files.filter((variable) => filled(env[variable]) !== undefined)
  const [variable, other] = [...given, ...givenFiles]
  if (variable === undefined) return
  if (other !== undefined) faults.push(`the variables ${variable} and ${other} set the same; keep one of them`)
  const text = env[variable] ?? ''
  origins.set(key.name, variable)
  if (givenFiles.includes(variable)) {
    takeSecret(key, raw, () => fileSecret(text.trim()), faults)
    origins.set(key.name, `the file ${text.trim()}`)
  } else if (key.kind === 'secret') takeSecret(key, raw, () => fixedSecret(text, `the variable ${variable}`), faults)
  else set(raw, key.path, parsedText(key, text))
}

function takeSecret(key: Key, raw: Record<string, unknown>, make: () => Secret, faults: string[]): void {
  try {
    set(raw, key.path, make())
  } catch (error) {
    if (!(error instanceof CollectorError)) throw error
    faults.push(`${key.name}: ${error.message}`)
    set(raw, key.path, undefined)
  }
}

/** The text of a variable as the YAML file would have it. */
function parsedText(key: Key, text: string): unknown {
  const value = text.trim()
  switch (key.kind) {
    case 'number':
      return /^-?\d+(\.\d+)?$/.test(value) ? Number(value) : value
    case 'boolean':
      return /^(true|yes|on|1)$/i.test(value) ? true : /^(false|no|off|0)$/i.test(value) ? false : value
    case 'list':
      return value.startsWith('[') || value.startsWith('{')
        ? yamlOf(value)
        : value.split(',').flatMap((one) => (one.trim() === '' ? [] : [one.trim()]))
    default:
      return value
  }
}

function yamlOf(text: string): unknown {
  try {
    return parse(text)
  } catch {
    // The schema says what it expected instead.
    return text
  }
}

/** An issue of the schema as lines for people. */
function describe(
  issue: z.core.$ZodIssue,
  file: SettingsFile | undefined,
  path: string | undefined,
  origins: ReadonlyMap<string, string>,
): string[] {
  const where = (at: readonly PropertyKey[]) => {
    const name = at.join('.')
    const key = KEYS.find((one) => name === one.name || name.startsWith(`${one.name}.`))
    const origin = key && origins.get(key.name)
    if (origin !== undefined && !origin.startsWith('the file')) return `${origin} (${name})`
    const line = file?.lineOf(at)
    return line === undefined ? name : `${path} line ${line}: ${name}`
  }
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((name) => {
      const at = [...issue.path, name]
      const siblings = KEYS.filter(({ path }) => issue.path.every((part, index) => path[index] === part)).map(
        (key) => key.path[issue.path.length] ?? '',
      )
      return `${where(at)}: unknown setting${suggestion(name, siblings)}`
    })
  }
  return [`${where(issue.path)}: ${issue.message}`]
}

/** `, did you mean …?` when a name is near enough. */
function suggestion(name: string, names: readonly string[]): string {
  const near = names.map((one) => ({ one, distance: distance(name.toLowerCase(), one.toLowerCase()) }))
  const best = near.toSorted((a, b) => a.distance - b.distance)[0]
  return best !== undefined && best.distance <= Math.max(2, name.length / 4) ? `; did you mean ${best.one}?` : ''
}

/** Levenshtein's. */
function distance(one: string, other: string): number {
  let row = Array.from({ length: other.length + 1 }, (_, index) => index)
  for (let i = 1; i <= one.length; i += 1) {
    const next = [i]
    for (let j = 1; j <= other.length; j += 1) {
      const change = (row[j - 1] ?? 0) + (one[i - 1] === other[j - 1] ? 0 : 1)
      next.push(Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, change))
    }
    row = next
  }
  return row.at(-1) ?? 0
}

function* secretsIn(value: unknown): Iterable<Secret> {
  if (value instanceof Secret) yield value
  else if (typeof value === 'object' && value !== null)
    for (const member of Object.values(value)) yield* secretsIn(member)
}

/** Undefined for what is not set; an empty variable is not set, as compose files pass on what nobody filled in. */
function filled(text: string | undefined): string | undefined {
  return text === undefined || text.trim() === '' ? undefined : text
}

function get(from: unknown, path: readonly string[]): unknown {
  let value = from
  for (const part of path) {
    if (typeof value !== 'object' || value === null) return undefined
    value = (value as Record<string, unknown>)[part]
  }
  return value
}

function set(into: Record<string, unknown>, path: readonly string[], value: unknown): void {
  let parent = into
  for (const part of path.slice(0, -1)) {
    const member = parent[part]
    if (typeof member !== 'object' || member === null) parent[part] = {}
    parent = parent[part] as Record<string, unknown>
  }
  const name = path.at(-1) ?? ''
  if (value === undefined) delete parent[name]
  else parent[name] = value
}
