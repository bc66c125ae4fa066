/** The settings that decide what a record becomes, as the ledger keeps them through time. */
import { z } from 'zod'
import { isoOf } from '../base/format.ts'
import { networksSchema } from '../directory/networks.ts'
import { portsSchema } from '../flatten/ports.ts'
import type { SettingsChange } from '../ledger/settings-history.ts'
import { privacySchema } from '../privacy/config.ts'
import { keyFingerprint } from '../privacy/key.ts'
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
  const isHashed = [privacy.names, privacy.externalAddresses].includes('hash')
  return {
    ports,
    tailnet: tailnetTag(settings),
    externalAddresses: privacy.externalAddresses,
    names: privacy.names,
    ...(isHashed && privacy.key ? { keyFingerprint: keyFingerprint(privacy.key.reveal()) } : {}),
    networks,
    edgesPerEndpoint: edges.perEndpoint,
    edgesPerDay: edges.perDay,
  }
}

/** Every name that the tailnet had, that of now first. */
export function tailnetNames(
  settings: Settings,
  changes: readonly SettingsChange<SettingsInForce>[],
): readonly string[] {
  return [...new Set([tailnetTag(settings), ...changes.map(({ settings }) => settings.tailnet).toReversed()])]
}

/** The names that were in force in [fromNs, toNs), ns of `start`, ascending by time. */
export function tailnetNamesIn(
  settings: Settings,
  changes: readonly SettingsChange<SettingsInForce>[],
  fromNs: bigint,
  toNs: bigint,
): readonly string[] {
  // The first change counts for all times before it.
  const inForce = changes.filter((change, i) => {
    const endNs = changes[i + 1]?.fromNs
    return (i === 0 || change.fromNs < toNs) && (endNs === undefined || endNs > fromNs)
  })
  const names = inForce.map((change) => change.settings.tailnet)
  return names.length === 0 ? [tailnetTag(settings)] : [...new Set(names)]
}

/** Which addresses cannot be hashed as they were, because the key is not in the settings. An error while that is so for records of now. */
export function missingKey(
  { privacy }: Pick<Settings, 'privacy'>,
  changes: readonly SettingsChange<SettingsInForce>[],
  nowNs: bigint,
): { readonly status: 'warning' | 'error'; readonly text: string } | undefined {
  const known = new Set([privacy.key, privacy.formerKey].map((key) => key && keyFingerprint(key.reveal())))
  const last = changes.findLastIndex(
    ({ settings }) => settings.externalAddresses === 'hash' && !known.has(settings.keyFingerprint),
  )
  if (last < 0) return undefined
  const endNs = changes[last + 1]?.fromNs
  const what = endNs === undefined ? 'What is read' : `What starts before ${isoOf(endNs)}`
  return {
    status: endNs === undefined || endNs > nowNs ? 'error' : 'warning',
    text: `${what} was hashed with a privacy.key that is not in the settings any more, and is quarantined when it is read. Set privacy.formerKey (TAILFLUX_PRIVACY_FORMER_KEY) to the key before the change.`,
  }
}
