/** Settings of alerts/. Without rules nothing of this room runs. */
import { z } from 'zod'
import type { Ports } from '../flatten/ports.ts'
import { secretSchema } from '../secret.ts'
import { durationSchema } from '../units.ts'
import type { Rule } from './rule.ts'
import { ruleOf } from './rule-schema.ts'

const RULES_MAX = 500

/** The given rule beside what became of it, so that settings can be shown as they were written. */
export interface GivenRule {
  readonly given: unknown
  readonly rule: Rule
}

const url = z
  .string()
  .refine(isPlainUrl, 'must be a URL such as http://127.0.0.1:9093, without user, password, query and fragment')
const text = z.string().min(1).max(200)

const rules = z.codec(z.array(z.unknown()).max(RULES_MAX), z.array(z.custom<GivenRule>()), {
  decode(list, context) {
    const taken = new Map<string, number>()
    const good: GivenRule[] = []
    for (const [index, given] of list.entries()) {
      const name = nameOf(given, index)
      const rule = ruleOf(given, (path, message) => {
        context.issues.push({ code: 'custom', input: given, path: [index, ...path], message: `${name}: ${message}` })
      })
      const before = taken.get(name)
      taken.set(name, index)
      if (before !== undefined) {
        const message = `${name}: has the name of rule ${before + 1}; names must differ`
        context.issues.push({ code: 'custom', input: given, path: [index, 'name'], message })
      }
      if (rule) good.push({ given, rule })
    }
    return good
  },
  encode: (list) => list.map((one) => one.given),
})

export const alertsSchema = z.strictObject({
  rules: rules.prefault([]).describe('What to be told about; see docs/alerts.md. Without rules alerts are off.'),
  grace: durationSchema({ default: '30s', min: '0s', max: '1h' }).describe(
    'How long after its end a piece of time is judged, so that records of its last seconds have arrived.',
  ),
  lateness: durationSchema({ default: '1h', min: '5m', max: '48h' }).describe(
    'Records that arrive so late still count, and what they change is judged again; later ones do not count for alerts.',
  ),
  seriesMax: z
    .number()
    .int()
    .min(10)
    .max(1_000_000)
    .default(10_000)
    .describe('Most groups (nodes, pairs, ...) that one rule watches; the rest is told as overflow.'),
  tellFor: durationSchema({ default: '24h', min: '1m', max: '30d' }).describe(
    'An alert that was over before anybody could be told is still told when it ended within this time.',
  ),
  url: url.optional().describe('Where people reach the status page; links in alerts lead there.'),
  alertmanager: z
    .strictObject({
      urls: z
        .array(url)
        .max(10)
        .default([])
        .describe('Every Alertmanager of a cluster, not a load balancer before it.'),
      user: text.optional().describe('User, where it asks for one.'),
      password: secretSchema.optional().describe('Password of that user.'),
      token: secretSchema.optional().describe('Bearer token, where it asks for one.'),
    })
    .prefault({}),
  webhook: z
    .strictObject({
      url: url.optional().describe("Gets Alertmanager's webhook JSON, version 4."),
      token: secretSchema.optional().describe('Bearer token for it.'),
    })
    .prefault({}),
  ntfy: z
    .strictObject({
      url: url.optional().describe('Server and topic, such as https://ntfy.sh/my-topic.'),
      token: secretSchema.optional().describe('Access token for it.'),
    })
    .prefault({}),
  grafana: z
    .strictObject({
      folder: text.default('Tailnet').describe('Folder of the exported rules.'),
      datasource: text.default('tailflux-influxdb').describe('uid of the InfluxDB data source (InfluxQL).'),
      receiver: text
        .optional()
        .describe('Contact point of the exported rules; without it the policies of Grafana decide.'),
      contactPoint: z
        .boolean()
        .default(false)
        .describe('Also export a contact point of that name for alerts.webhook.url.'),
    })
    .prefault({}),
})

export type AlertsConfig = z.output<typeof alertsSchema>

/** What only shows beside other settings: sentences, each with the path of its key inside `alerts`. */
export function alertsFaults(
  config: AlertsConfig,
  others: { ports: Ports },
): { path: (string | number)[]; text: string }[] {
  const faults: { path: (string | number)[]; text: string }[] = []
  config.rules.forEach(({ rule }, index) => {
    const wantsPort =
      rule.by.includes('port') || rule.where.port || (rule.form.is === 'distinct' && rule.form.of === 'port')
    if (others.ports === 'none' && wantsPort) {
      faults.push({
        path: ['rules', index],
        text: `${rule.name}: needs ports, and \`ports\` is none: set it to service`,
      })
    }
  })
  const { grafana, webhook, alertmanager, ntfy } = config
  if (grafana.contactPoint && (grafana.receiver === undefined || webhook.url === undefined)) {
    faults.push({
      path: ['grafana', 'contactPoint'],
      text: 'needs alerts.grafana.receiver (its name) and alerts.webhook.url (where it sends)',
    })
  }
  if ((alertmanager.user === undefined) !== (alertmanager.password === undefined))
    faults.push({ path: ['alertmanager', 'password'], text: 'user and password go together' })
  if (alertmanager.user !== undefined && alertmanager.token !== undefined)
    faults.push({ path: ['alertmanager', 'token'], text: 'must not be set beside user and password' })
  if (ntfy.url !== undefined && topicOf(ntfy.url) === undefined)
    faults.push({ path: ['ntfy', 'url'], text: 'must end with a topic, such as https://ntfy.sh/my-topic' })
  return faults
}

/** Server and topic of an ntfy URL. */
export function topicOf(address: string): { server: string; topic: string } | undefined {
  const [, server, topic] = /^(.*)\/([A-Za-z0-9_-]{1,64})\/?$/.exec(address) ?? []
  return server === undefined || topic === undefined || !URL.canParse(server) ? undefined : { server, topic }
}

function nameOf(given: unknown, index: number): string {
  const name = typeof given === 'object' && given !== null && 'name' in given ? given.name : undefined
  return typeof name === 'string' && name !== '' ? `rule ${name.slice(0, 64)}` : `rule ${index + 1}`
}

function isPlainUrl(address: string): boolean {
  if (!URL.canParse(address)) return false
  const { protocol, username, password, search, hash } = new URL(address)
  return /^https?:$/.test(protocol) && username === '' && password === '' && search === '' && hash === ''
}
