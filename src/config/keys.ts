/** Every settings key, read off the JSON schema of the settings: its path, its variables, its default and what it is for. */
import { z } from 'zod'
import { settingsSchema } from './settings.ts'

export interface Key {
  readonly path: readonly string[]
  /** `poll.interval` */
  readonly name: string
  /** Variables that set it, the one to show first. */
  readonly variables: readonly string[]
  readonly kind: 'text' | 'number' | 'boolean' | 'duration' | 'size' | 'secret' | 'list' | 'choice'
  readonly choices: readonly string[]
  /** As people write it; undefined without one. A key that may not be set together with another declares it as `meta`. */
  readonly default: unknown
  readonly description: string
}

/** What is used of a JSON schema. `kind`, `from` and `to` come from `.meta()`: JSON Schema has no words for durations, sizes and secrets. */
export interface SettingSchema {
  type?: string | string[]
  enum?: string[]
  properties?: Record<string, SettingSchema>
  items?: SettingSchema
  description?: string
  default?: unknown
  kind?: 'duration' | 'size' | 'secret' | 'list'
  /** Bounds of a duration or a size, both inclusive. */
  from?: string
  to?: string
  [keyword: string]: unknown
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

export const KEYS: readonly Key[] = keysOf(inputSchema(settingsSchema), [])

/** The JSON schema of what people write. Checks that JSON Schema has no words for are left out. */
export function inputSchema(schema: z.ZodType): SettingSchema {
  return z.toJSONSchema(schema, { io: 'input', target: 'draft-07', unrepresentable: 'any' }) as SettingSchema
}

function keysOf(schema: SettingSchema, path: readonly string[]): Key[] {
  const { properties, kind, enum: choices = [], default: fallback, description = '' } = schema
  if (properties && kind === undefined)
    return Object.entries(properties).flatMap(([name, member]) => keysOf(member, [...path, name]))
  const name = path.join('.')
  const known = KNOWN_VARIABLES[name]
  return [
    {
      path,
      name,
      variables: [...(known === undefined ? [] : [known]), variableOf(path)],
      kind: kindOf(schema),
      choices,
      default: fallback,
      description,
    },
  ]
}

/** `['tailscale', 'apiKey']` → `TAILFLUX_TAILSCALE_API_KEY` */
function variableOf(path: readonly string[]): string {
  return `TAILFLUX_${path.map((part) => part.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()).join('_')}`
}

function kindOf({ kind, type, enum: choices }: SettingSchema): Key['kind'] {
  if (kind !== undefined) return kind
  if (choices !== undefined) return 'choice'
  switch (type) {
    case 'number':
    case 'integer':
      return 'number'
    case 'boolean':
      return 'boolean'
    case 'array':
    case 'object':
      return 'list'
    default:
      return 'text'
  }
}
