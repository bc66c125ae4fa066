/** The settings that decide what a record becomes, as the ledger keeps them through time. */
import { z } from 'zod'
import { networksSchema } from '../directory/networks.ts'
import { portsSchema } from '../flatten/ports.ts'
import { privacySchema } from '../privacy/config.ts'
import { edgesSchema } from '../rollup/config.ts'
import { type Settings, tailnetTag } from './settings.ts'

const settingsInForceSchema = z.object({
  ports: portsSchema.unwrap(),
  /** The tag `tailnet` of points. */
  tailnet: z.string(),
  externalAddresses: privacySchema.shape.externalAddresses.unwrap(),
  names: privacySchema.shape.names.unwrap(),
  /** Of the key of hashes; undefined while nothing is hashed. */
  keyFingerprint: z.string().optional(),
  networks: networksSchema.unwrap(),
  edgesPerEndpoint: edgesSchema.shape.perEndpoint.unwrap(),
  edgesPerDay: edgesSchema.shape.perDay.unwrap(),
})

export type SettingsInForce = z.output<typeof settingsInForceSchema>

/** For the settings history: what the settings of this process are, and how those of an earlier one are read. */
export function settingsShape(settings: Settings) {
  const current = currentOf(settings)
  return {
    current,
    parse(data: unknown): SettingsInForce | undefined {
      const { keyFingerprint: _, ...filled } = current
      const whole = typeof data === 'object' && data !== null ? { ...filled, ...data } : undefined
      return settingsInForceSchema.safeParse(whole).data
    },
    optional: ['networks'] as const,
  }
}

function currentOf(settings: Settings): SettingsInForce {
  const { ports, privacy, networks, edges } = settings
  return {
    ports,
    tailnet: tailnetTag(settings),
    externalAddresses: privacy.externalAddresses,
    names: privacy.names,
    networks,
    edgesPerEndpoint: edges.perEndpoint,
    edgesPerDay: edges.perDay,
  }
}
