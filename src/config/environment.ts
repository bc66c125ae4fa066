/** Settings from environment variables, and secrets from files. */
import { parse } from 'yaml'
import { CollectorError } from '../base/errors.ts'
import { fileSecret, fixedSecret, type Secret } from '../secrets/secret.ts'
import { get, set } from './at-path.ts'
import { KEYS, type Key } from './keys.ts'
import { isOfService } from './service-variables.ts'
import { faultOfVariable, OUR_PREFIX } from './unknown-variables.ts'
import { type Environment, filled } from './variables.ts'

/** Settings on their way: what was given so far, where it came from by key name, and what is wrong with it. */
export interface Gathered {
  readonly raw: Record<string, unknown>
  readonly origins: Map<string, string>
  readonly faults: string[]
}

/** `docker --env-file` and Kubernetes keep quotation marks. */
const QUOTED = /^\s*(["'])(.*)\1\s*$/s

/** The environment without what Kubernetes sets for Services, and the names of the variables with our prefixes that were left out. */
export function withoutServices(env: Environment): { env: Environment; passedOver: readonly string[] } {
  const others = Object.keys(env).filter((variable) => isOfService(variable, env))
  const left = Object.entries(env).filter(([variable]) => !others.includes(variable))
  return { env: Object.fromEntries(left), passedOver: others.filter((variable) => OUR_PREFIX.test(variable)) }
}

export function findUnknownVariables(env: Environment, { origins, faults }: Gathered): void {
  const isSet = (variable: string) =>
    KEYS.some(({ name, variables }) => variables.includes(variable.replace(/_FILE$/, '')) && origins.has(name))
  for (const variable of Object.keys(env)) {
    if (filled(env[variable]) === undefined) continue
    const fault = faultOfVariable(variable, isSet)
    if (fault !== undefined) faults.push(fault)
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
  const [, quotationMark, inside] = QUOTED.exec(env[variable] ?? '') ?? []
  const text = inside ?? env[variable] ?? ''
  if (quotationMark !== undefined)
    faults.push(`${variable} is in quotation marks, which are part of the value here; ${quotesFix(key, variable)}`)
  origins.set(key.name, variable)
  if (givenFiles.includes(variable)) {
    takeSecret(key, raw, () => fileSecret(text.trim()), faults)
    origins.set(key.name, `the file ${text.trim()}`)
  } else if (key.kind === 'secret') takeSecret(key, raw, () => fixedSecret(text, `the variable ${variable}`), faults)
  else set(raw, key.path, parsedText(key, text))
}

function quotesFix(key: Key, variable: string): string {
  if (key.kind !== 'secret' || variable.endsWith('_FILE')) return 'remove them'
  return `remove them, or if the secret really has them, put it into a file and set ${variable}_FILE`
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
