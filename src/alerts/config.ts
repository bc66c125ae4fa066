/** Settings of alerts/. Without rules nothing of this component runs. */
import { z } from 'zod'
import { durationSchema } from '../base/units.ts'
import type { Ports } from '../flatten/ports.ts'
import { notifierSchema, plainUrl } from './notify/config.ts'
import type { Rule } from './rules/rule.ts'
import { ruleOf } from './rules/rule-schema.ts'

const RULES_MAX = 500

/** A rule, beside what was written: settings are shown as they were given. */
interface GivenRule {
  readonly given: unknown
  readonly rule: Rule
  toJSON(): unknown
}

const text = z.string().min(1).max(200)

const rules = z
  .array(z.unknown())
  .max(RULES_MAX)
  .transform((list, context) => {
    const taken = new Map<string, number>()
    const good: GivenRule[] = []
    for (const [index, given] of list.entries()) {
      const name = nameOf(given, index)
      const rule = ruleOf(given, (at, message) => {
        context.issues.push({ code: 'custom', input: given, path: [index, ...at], message: `${name}: ${message}` })
      })
      const before = taken.get(name)
      taken.set(name, index)
      if (before !== undefined) {
        const message = `${name}: has the name of rule ${before + 1}; names must differ`
        context.issues.push({ code: 'custom', input: given, path: [index, 'name'], message })
      }
      if (rule) good.push({ given, rule, toJSON: () => given })
    }
    return good
  })

const grafana = z
  .strictObject({
    /** Folder of the exported rules. */
    folder: text.default('Tailnet'),
    /** uid of the InfluxDB data source (InfluxQL). */
    datasource: text.default('tailflux-influxdb'),
    /** Contact point of the exported rules; without it the policies of Grafana decide. */
    receiver: text.optional(),
    /** Also export a contact point of that name, for the first webhook of `notify`. */
    contactPoint: z.boolean().default(false),
  })
  .meta({ kind: 'list' })

export const alertsSchema = z.strictObject({
  rules: rules.prefault([]).describe('What to alert on, see docs/alerts.md; without rules alerts are off.'),
  notify: z
    .array(notifierSchema)
    .max(20)
    .prefault([])
    .describe(
      'Where alerts are sent: a list of `alertmanager`, `webhook` (with a `body` for chats) and `ntfy`, each with its URL.',
    ),
  grafana: grafana
    .prefault({})
    .describe(
      'How `tailflux grafana export` writes the rules: `folder`, `datasource` (its uid), `receiver` (a contact point), `contactPoint` (export it too).',
    ),
  lateness: durationSchema({ default: '1h', min: '5m', max: '48h' }).describe(
    'Allowed lateness: records up to this late still count for alerts, and what they change is evaluated again.',
  ),
  seriesMax: z
    .number()
    .int()
    .min(10)
    .max(1_000_000)
    .default(10_000)
    .describe('Maximum groups (nodes, pairs, ...) that one rule watches; the rest is reported as overflow.'),
  url: plainUrl.optional().describe('Public URL of the status page; alerts link to it.'),
})

export type AlertsConfig = z.output<typeof alertsSchema>

/** What only shows beside other settings: sentences, each with the path of its key inside `alerts`. */
export function alertsFaults(
  config: AlertsConfig,
  others: { readonly ports: Ports },
): { path: (string | number)[]; text: string }[] {
  const faults: { path: (string | number)[]; text: string }[] = []
  config.rules.forEach(({ rule }, index) => {
    const wantsPort = rule.by.includes('port') || rule.where.port || rule.form.needs.distinct?.of === 'port'
    if (others.ports === 'none' && wantsPort) {
      faults.push({
        path: ['rules', index],
        text: `rule ${rule.name}: needs ports, and \`ports\` is none: set it to service`,
      })
    }
  })
  const { grafana, notify } = config
  notify.forEach(({ body }, index) => {
    if (config.url === undefined && body?.names.has('url'))
      faults.push({
        path: ['notify', index, 'body'],
        text: 'has {url}, and alerts.url is not set: set it to the status page',
      })
  })
  if (
    grafana.contactPoint &&
    (grafana.receiver === undefined || !notify.some(({ kind, body }) => kind === 'webhook' && body === undefined))
  ) {
    faults.push({
      path: ['grafana', 'contactPoint'],
      text: 'needs alerts.grafana.receiver (its name) and a webhook without body in alerts.notify (where it sends)',
    })
  }
  return faults
}

function nameOf(given: unknown, index: number): string {
  const name = typeof given === 'object' && given !== null && 'name' in given ? given.name : undefined
  return typeof name === 'string' && name !== '' ? `rule ${name.slice(0, 64)}` : `rule ${index + 1}`
}
