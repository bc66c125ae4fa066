/** Every settings key, read off the schema: its path, its variables, its default and what it is for. */
import type { z } from 'zod'
import { settingsSchema } from './settings.ts'

export interface Key {
  readonly path: readonly string[]
  /** `poll.interval` */
  readonly name: string
  /** Variables that set it, the one to show first. */
  readonly variables: readonly string[]
  readonly kind: 'text' | 'number' | 'boolean' | 'duration' | 'size' | 'secret' | 'list' | 'choice'
  readonly choices: readonly string[]
  /** As people write it; undefined without one. A key that may not be set together with another tells it as `meta`. */
  readonly default: unknown
  readonly description: string
}

/** Variables that people have in their environment already. */
const KNOWN_VARIABLES: Record<string, string> = {
  'tailscale.tailnet': 'TAILSCALE_TAILNET',
  'tailscale.apiUrl': 'TAILSCALE_API_URL',
  'tailscale.apiKey': 'TAILSCALE_API_KEY',
  'tailscale.oauthClientId': 'TAILSCALE_OAUTH_CLIENT_ID',
  'tailscale.oauthClientSecret': 'TAILSCALE_OAUTH_CLIENT_SECRET',
  'tailscale.idTokenFile': 'TAILSCALE_ID_TOKEN_FILE',
  'influx.url': 'INFLUX_URL',
  'influx.api': 'INFLUX_API',
  'influx.token': 'INFLUX_TOKEN',
  'influx.org': 'INFLUX_ORG',
  'influx.bucket': 'INFLUX_BUCKET',
  'influx.db': 'INFLUX_DB',
  'influx.user': 'INFLUX_USER',
  'influx.password': 'INFLUX_PASSWORD',
  'influx.rp': 'INFLUX_RP',
}

interface Schema {
  readonly _zod: {
    readonly def: {
      readonly type: string
      readonly innerType?: Schema
      readonly in?: Schema
      readonly shape?: Record<string, Schema>
      readonly entries?: Record<string, string>
      readonly options?: readonly Schema[]
      readonly defaultValue?: unknown
    }
  }
  meta?(): Record<string, unknown> | undefined
}

export const KEYS: readonly Key[] = keysOf(settingsSchema, [])

/** `['tailscale', 'apiKey']` → `TAILFLUX_TAILSCALE_API_KEY` */
function variableOf(path: readonly string[]): string {
  return `TAILFLUX_${path.map((part) => part.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()).join('_')}`
}

function keysOf(schema: z.ZodType, path: readonly string[]): Key[] {
  const { core, metas, defaultValue } = unwrap(schema as unknown as Schema)
  const { shape } = core._zod.def
  if (shape && metas['kind'] === undefined) {
    return Object.entries(shape).flatMap(([name, member]) => keysOf(member as unknown as z.ZodType, [...path, name]))
  }
  const name = path.join('.')
  const known = KNOWN_VARIABLES[name]
  return [
    {
      path,
      name,
      variables: [...(known === undefined ? [] : [known]), variableOf(path)],
      kind: kindOf(core, metas),
      choices: Object.keys(core._zod.def.entries ?? {}),
      default: defaultValue ?? metas['default'],
      description: String(metas['description'] ?? ''),
    },
  ]
}

/** The schema below defaults, options and checks, with what they told on the way. */
function unwrap(schema: Schema): { core: Schema; metas: Record<string, unknown>; defaultValue: unknown } {
  let metas: Record<string, unknown> = {}
  let defaultValue: unknown
  let core = schema
  for (;;) {
    metas = { ...core.meta?.(), ...metas }
    const { def } = core._zod
    if (def.defaultValue !== undefined && defaultValue === undefined) defaultValue = def.defaultValue
    const below = def.innerType ?? (def.type === 'pipe' ? def.in : undefined)
    if (below === undefined) return { core, metas, defaultValue }
    core = below
  }
}

function kindOf(core: Schema, metas: Record<string, unknown>): Key['kind'] {
  const kind = metas['kind']
  if (kind === 'duration' || kind === 'size' || kind === 'secret' || kind === 'list') return kind
  switch (core._zod.def.type) {
    case 'number':
      return 'number'
    case 'boolean':
      return 'boolean'
    case 'enum':
      return 'choice'
    case 'array':
    case 'object':
    case 'record':
      return 'list'
    default:
      return 'text'
  }
}
