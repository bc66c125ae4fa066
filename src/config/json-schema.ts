/** The settings file as a JSON schema: editors complete keys, show what they are for, and mark errors. What depends on several keys, and the bounds
 * of durations and sizes, only the service checks. */
import { isDeepStrictEqual } from 'node:util'
import { keys as ruleKeys } from '../alerts/rules/rule-keys.ts'
import { BYTES_PATTERN, DURATION_PATTERN } from '../base/units.ts'
import { inputSchema, type SettingSchema } from './keys.ts'
import { settingsSchema } from './settings.ts'

/** Beside the settings file. */
export const SCHEMA_FILE = 'settings.schema.json'

const PATTERNS = { duration: DURATION_PATTERN.source, size: BYTES_PATTERN.source } as const

/** JSON text. */
export function settingsJsonSchema(): string {
  const schema = inputSchema(settingsSchema)
  const rules = schema.properties?.['alerts']?.properties?.['rules']
  if (rules === undefined) throw new TypeError('the settings have no alerts.rules')
  const { $schema: _, ...rule } = inputSchema(ruleKeys)
  rules.items = rule
  const { $schema, ...rest } = forEditors(schema)
  return `${JSON.stringify({ $schema, title: 'Settings of tailflux', ...rest }, undefined, 2)}\n`
}

/** The schema in the words of JSON Schema alone. Outside of lists a key with nothing behind it is not set, as in the sample file. */
function forEditors(schema: SettingSchema, isInList = false): SettingSchema {
  const { kind, from, to, properties, items, anyOf, ...rest } = schema
  const description = from === undefined ? rest.description : `${rest.description ?? ''} From ${from} to ${to}.`.trim()
  const described = { ...rest, ...(description === undefined ? {} : { description }) }
  if (kind === 'secret') return { ...described, type: 'string', minLength: 1 }
  if (kind === 'duration' || kind === 'size') return { ...described, pattern: PATTERNS[kind] }
  return {
    ...described,
    ...(properties === undefined ? {} : { properties: membersOf(properties, isInList) }),
    ...(items === undefined ? {} : { items: forEditors(items, true) }),
    ...(Array.isArray(anyOf) ? { anyOf: anyOf.map((one: SettingSchema) => forEditors(one, true)) } : {}),
  }
}

function membersOf(properties: Record<string, SettingSchema>, isInList: boolean): Record<string, SettingSchema> {
  const members = Object.entries(properties).flatMap(([name, member]) => {
    const file = `${name}File`
    const shown = forEditors(member, isInList)
    const given = isInList ? shown : orEmpty(shown)
    if (member.kind !== 'secret' || file in properties) return [[name, given]]
    const description = `File with ${name}; it is read again for each use.`
    return [
      [name, given],
      [file, orEmpty({ type: 'string', minLength: 1, description })],
    ]
  })
  return Object.fromEntries(members)
}

/** Lets a section, and a key without a default, have nothing behind it. */
function orEmpty(schema: SettingSchema): SettingSchema {
  const { default: fallback, ...rest } = schema
  const isDefault = fallback === undefined || isDeepStrictEqual(fallback, {})
  return isDefault && typeof rest.type === 'string' ? { ...rest, type: [rest.type, 'null'] } : schema
}
