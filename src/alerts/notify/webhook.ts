/** Any receiver of JSON or text. Without a body of the settings it is the JSON of Alertmanager's webhook, version 4: one POST per rule, with what changed
 * (https://prometheus.io/docs/alerting/latest/configuration/#webhook_config). With one it is one POST per change, or one for many changes of a rule. */
import { isoOf } from '../../base/format.ts'
import type { NotifierConfig } from './config.ts'
import { cut, differing, digestOf, messagesOf, minuteText } from './digest.ts'
import {
  annotationsOf,
  byRule,
  cutInto,
  idOf,
  labelOf,
  largestText,
  linkOf,
  type Notification,
  type Notifier,
  type NotifierDeps,
  post,
} from './notifier.ts'
import type { Placeholder, Template } from './template.ts'

/** Per request. */
const BATCH = 200
/** Of one value: chats take 2,000 characters or more in a field. */
const VALUE_BYTES_MAX = 1_800

export function createWebhook(config: NotifierConfig, deps: NotifierDeps): Notifier {
  const { body, url } = config
  const same = { id: idOf(config), kind: 'webhook', label: labelOf(config), repeatMs: undefined } as const
  if (body === undefined) {
    return {
      ...same,
      portions: (notifications) => byRule(notifications).flatMap((some) => cutInto(some, BATCH)),
      send: (portion, signal) => post(config, { url: url.reveal(), json: bodyOf(portion, deps.pageUrl) }, deps, signal),
    }
  }
  const { contentType } = body
  return {
    ...same,
    portions: messagesOf,
    send: (portion, signal) =>
      post(config, { url: url.reveal(), text: filled(body, portion, deps.pageUrl), contentType }, deps, signal),
  }
}

function bodyOf(notifications: readonly Notification[], pageUrl: string | undefined) {
  const rule = notifications[0]?.labels['alertname'] ?? ''
  const link = pageUrl === undefined ? '' : linkOf(pageUrl)
  const alerts = notifications.map((one) => ({
    status: one.status,
    labels: one.labels,
    annotations: annotationsOf(one),
    startsAt: isoOf(one.startsNs),
    // What Go makes of "no time"; receivers know it.
    endsAt: one.status === 'firing' ? '0001-01-01T00:00:00Z' : isoOf(one.endsNs),
    generatorURL: link,
    fingerprint: one.fingerprint,
  }))
  return {
    version: '4',
    groupKey: `{}:{alertname=${JSON.stringify(rule)}}`,
    truncatedAlerts: 0,
    status: notifications.some((one) => one.status === 'firing') ? 'firing' : 'resolved',
    receiver: 'tailflux',
    groupLabels: { alertname: rule },
    commonLabels: common(alerts.map((one) => one.labels)),
    commonAnnotations: common(alerts.map((one) => one.annotations)),
    externalURL: pageUrl ?? '',
    alerts,
  }
}

function common(all: readonly Readonly<Record<string, string>>[]): Record<string, string> {
  const [first = {}, ...rest] = all
  return Object.fromEntries(Object.entries(first).filter(([key, value]) => rest.every((one) => one[key] === value)))
}

function filled(template: Template, notifications: readonly Notification[], pageUrl: string | undefined): string {
  const { state, first, count, text } = digestOf(notifications, ({ summary }) => summary)
  const each = (read: (one: Notification) => string | undefined) =>
    differing(notifications.map((one) => read(one) ?? ''))
  const texts: Readonly<Record<Placeholder, () => string>> = {
    title: () => first.title,
    summary: () => text,
    edges: () => largestText(each(({ edges }) => edges)),
    state: () => state,
    severity: () => first.labels['severity'] ?? '',
    rule: () => first.labels['alertname'] ?? '',
    value: () => each(({ annotations }) => annotations['value']),
    threshold: () => each(({ annotations }) => annotations['threshold']),
    window: () => each(({ annotations }) => annotations['window']),
    started: () => minuteText(first.startsNs),
    ended: () => (state === 'firing' ? '' : minuteText(first.endsNs)),
    count: () => String(count),
    tailnet: () => first.labels['tailnet'] ?? '',
    url: () => (pageUrl === undefined ? '' : linkOf(pageUrl)),
  }
  return template.fill((name) => {
    const value = name.startsWith('labels.') ? each(({ labels }) => labels[name.slice('labels.'.length)]) : undefined
    return cut(value ?? texts[name as Placeholder]?.() ?? '', VALUE_BYTES_MAX)
  })
}
