/** The settings of all components in one schema. Each component owns its part; this file joins them and adds the settings of no component. */
import { z } from 'zod'
import { alertsFaults, alertsSchema } from '../alerts/config.ts'
import { durationSchema } from '../base/units.ts'
import { networksSchema } from '../directory/networks.ts'
import { portsSchema } from '../flatten/ports.ts'
import { httpSchema } from '../http/config.ts'
import { LOG_LEVELS } from '../observe/log.ts'
import { privacySchema } from '../privacy/config.ts'
import { edgesSchema } from '../rollup/config.ts'
import { pollSchema } from '../schedule/config.ts'
import { deadLettersSchema, influxSchema, retentionFaults, retentionSchema } from '../sink/config.ts'
import { tailscaleSchema } from '../source/config.ts'
import { useOwnTexts } from './issue-text.ts'

useOwnTexts()

const logSchema = z.strictObject({
  level: z.enum(LOG_LEVELS).default('info').describe('Log level: trace, debug, info, warn, error or silent.'),
})

const namesSchema = z.strictObject({
  interval: durationSchema({ default: '5m', min: '10s', max: '24h' }).describe(
    'How often device names are read from the devices API.',
  ),
})

/** Beyond printable text a tag value would be changed on its way, and the database would be asked for another one. */
const tailnetName = z
  .string()
  .regex(/^[^\u0000-\u001f\u007f-\u009f\\]{1,128}$/, 'must be a text of at most 128 characters')
  .optional()
  .describe('Value of the tag `tailnet`; without it the tailnet ID, or `default` when that is `-`.')

const settingsShape = z.strictObject({
  tailscale: tailscaleSchema.prefault({}),
  tailnetName,
  ports: portsSchema,
  influx: influxSchema.prefault({}),
  retention: retentionSchema.prefault({}),
  dataDir: z
    .string()
    .min(1)
    .default('./data')
    .describe('Folder of the state file, the dead letters and the embedded store; only one process may use it.'),
  deadLetters: deadLettersSchema.prefault({}),
  poll: pollSchema.prefault({}),
  names: namesSchema.prefault({}),
  networks: networksSchema,
  edges: edgesSchema.prefault({}),
  privacy: privacySchema.prefault({}),
  http: httpSchema.prefault({}),
  log: logSchema.prefault({}),
  alerts: alertsSchema.prefault({}),
  demo: z
    .enum(['off', 'auto'])
    .default('off')
    .describe('With auto, `tailflux run` shows a simulated tailnet if no Tailscale credentials are set (off or auto).'),
})

/** All settings, with what only shows between components. */
export const settingsSchema = settingsShape.superRefine((settings, context) => {
  for (const { path, text } of alertsFaults(settings.alerts, settings))
    context.addIssue({ code: 'custom', path: ['alerts', ...path], message: text })
  const { retention, influx, poll } = settings
  for (const { path, text } of retentionFaults(retention, influx, poll.latePasses.at(-1) ?? 0))
    context.addIssue({ code: 'custom', path: ['retention', path], message: text })
})

export type Settings = z.output<typeof settingsSchema>

/** The value of the tag `tailnet`. */
export function tailnetTag(settings: Pick<Settings, 'tailnetName' | 'tailscale'>): string {
  const { tailnet } = settings.tailscale
  return settings.tailnetName ?? (tailnet === '-' ? 'default' : tailnet)
}

/** Where the API finds the tailnet; it stays when the tailnet gets another name. */
export function tailnetSource({ tailscale }: Pick<Settings, 'tailscale'>): string {
  return `${tailscale.apiUrl} ${tailscale.tailnet}`
}

export function hasCredentials({ tailscale }: Pick<Settings, 'tailscale'>): boolean {
  return tailscale.apiKey !== undefined || tailscale.oauthClientId !== undefined
}
