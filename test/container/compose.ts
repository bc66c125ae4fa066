/** Compose files, read as Docker Compose reads them: variables filled in, overrides laid over the base. */
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { parse } from 'yaml'
import { ROOT } from './dockerfile.ts'

export interface Service {
  readonly image: string
  readonly build?: string
  readonly command?: readonly string[]
  readonly user?: string
  readonly read_only?: boolean
  readonly init?: boolean
  readonly cap_drop?: readonly string[]
  readonly cap_add?: readonly string[]
  readonly privileged?: boolean
  readonly security_opt?: readonly string[]
  readonly tmpfs?: readonly string[]
  readonly mem_limit?: string
  readonly pids_limit?: number
  readonly restart?: string
  readonly environment: Readonly<Record<string, string>>
  readonly volumes?: readonly string[]
  readonly ports?: readonly string[]
  readonly networks?: readonly string[]
  readonly healthcheck?: { readonly test: readonly string[] }
  readonly env_file?: readonly { readonly path: string; readonly required: boolean }[]
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>
}

export interface Compose {
  readonly services: Readonly<Record<string, Service>>
  readonly networks?: Readonly<Record<string, { readonly internal?: boolean } | null>>
  readonly volumes?: Readonly<Record<string, unknown>>
}

export const BASE = 'docker-compose.yml'
export const OVERRIDES = [
  'docker-compose.influxdb1.yml',
  'docker-compose.influxdb3.yml',
  'docker-compose.victoriametrics.yml',
  'docker-compose.demo.yml',
] as const

/** As it stands, anchors resolved. */
export function readCompose(name: string): unknown {
  return parse(readFileSync(resolve(ROOT, name), 'utf8'), { merge: true })
}

/** The base with overrides over it: mappings are merged, volumes by their target, everything else is replaced. `env` stands in .env: it fills variables,
 * and services with `env_file` get it as well. */
export function merged(names: readonly string[], env: Readonly<Record<string, string>> = {}): Compose {
  const compose = names
    .map((name) => filled(readCompose(name), env))
    .reduce((base, over) => mergedValue(base, over)) as Compose
  const services = Object.entries(compose.services).map(([name, service]) => [
    name,
    service.env_file === undefined ? service : { ...service, environment: { ...env, ...service.environment } },
  ])
  return { ...compose, services: Object.fromEntries(services) }
}

function mergedValue(base: unknown, over: unknown, key = ''): unknown {
  if (over === undefined) return base
  if (key === 'volumes' && Array.isArray(base) && Array.isArray(over)) {
    const byTarget = new Map([...base, ...over].map((volume: string) => [volume.split(':')[1], volume]))
    return [...byTarget.values()]
  }
  if (isMapping(base) && isMapping(over)) {
    const keys = new Set([...Object.keys(base), ...Object.keys(over)])
    return Object.fromEntries([...keys].map((name) => [name, mergedValue(base[name], over[name], name)]))
  }
  return over
}

function isMapping(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** `${NAME:-default}` and `$$`; anything else of that kind is an error. */
function filled(value: unknown, env: Readonly<Record<string, string>>): unknown {
  if (typeof value === 'string') {
    return value.replaceAll(/\$\$|\$\{(\w+):-([^}]*)\}|\$/g, (match, name?: string, fallback?: string) => {
      if (match === '$$') return '$'
      if (name === undefined) throw new Error(`a variable without default in ${value}`)
      return env[name] || fallback!
    })
  }
  if (Array.isArray(value)) return value.map((one) => filled(one, env))
  if (isMapping(value)) return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, filled(one, env)]))
  return value
}

/** Names of the variables that a file takes from outside. */
export function variablesOf(name: string): string[] {
  const text = readFileSync(resolve(ROOT, name), 'utf8').replaceAll('$$', '')
  return [...new Set([...text.matchAll(/\$\{(\w+)/g)].map((match) => match[1]!))].sort()
}
