/** Settings from environment variables, and secrets from files. */
import { parse } from 'yaml'
import { CollectorError } from '../base/errors.ts'
import { fileSecret, fixedSecret, type Secret } from '../secrets/secret.ts'
import { get, set } from './at-path.ts'
import { suggestion } from './describe-issue.ts'
import { KEYS, type Key } from './keys.ts'
import { replacementOf } from './replaced.ts'

export type Environment = Readonly<Record<string, string | undefined>>

/** Settings on their way: what was given so far, where it came from by key name, and what is wrong with it. */
export interface Gathered {
  readonly raw: Record<string, unknown>
  readonly origins: Map<string, string>
  readonly faults: string[]
}

/** Set by Kubernetes for a service named tailflux (`TAILFLUX_PORT` is then a URL); no settings of ours. */
const FOREIGN_VARIABLES = /^TAILFLUX_(SERVICE_(HOST|PORT)(_|$)|PORT_\d+_)/
const FOREIGN_URL = /^(tcp|udp|sctp):\/\//
/** Ours, but no keys: the settings file, and what only tests look at. */
const OTHER_VARIABLES = /^TAILFLUX_(CONFIG$|TEST_|REQUIRE_)/

const VARIABLES: ReadonlySet<string> = new Set(
  KEYS.flatMap((key) => [
    ...key.variables,
    ...(key.kind === 'secret' ? key.variables.map((variable) => `${variable}_FILE`) : []),
  ]),
)

export function findUnknownVariables(env: Environment, faults: string[]): void {
  for (const variable of Object.keys(env)) {
    const isForeign =
      FOREIGN_VARIABLES.test(variable) || (variable === 'TAILFLUX_PORT' && FOREIGN_URL.test(env[variable] ?? ''))
    const isOurs = variable.startsWith('TAILFLUX_') && !isForeign
    if (!isOurs || OTHER_VARIABLES.test(variable) || VARIABLES.has(variable) || filled(env[variable]) === undefined)
      continue
    const replacement = replacementOf(variable)
    if (replacement !== undefined) faults.push(`${variable} ${replacement}`)
    else faults.push(`unknown variable ${variable}${suggestion(variable, [...VARIABLES])}; remove or rename it`)
  }
}

/** `apiKeyFile: /run/secrets/key` in the settings file. */
export function takeSecretOfFile(key: Key, { raw, origins, faults }: Gathered): void {
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

/** The variables of one key; they win over the file. */
export function takeVariables(key: Key, env: Environment, { raw, origins, faults }: Gathered): void {
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

/** Undefined for what is not set; an empty variable is not set, as compose files pass on variables that have no value. */
export function filled(text: string | undefined): string | undefined {
  return text === undefined || text.trim() === '' ? undefined : text
}
