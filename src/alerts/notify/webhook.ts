/** Any receiver that understands the JSON of Alertmanager's webhook, version 4: one POST per rule, with what changed.
 * https://prometheus.io/docs/alerting/latest/configuration/#webhook_config */
import type { NotifierConfig } from '../config.ts'
import {
  byRule,
  cutInto,
  idOf,
  labelOf,
  type Notification,
  type Notifier,
  type NotifierDeps,
  post,
  timeOf,
} from './notifier.ts'

/** Per request. */
const BATCH = 200

export function createWebhook(config: NotifierConfig, deps: NotifierDeps): Notifier {
  return {
    id: idOf(config),
    kind: 'webhook',
    label: labelOf(config),
    repeatMs: undefined,
    portions: (notifications) => byRule(notifications).flatMap((some) => cutInto(some, BATCH)),
    send: (portion, signal) => post(config, config.url.reveal(), bodyOf(portion, deps.pageUrl), deps, signal),
  }
}

function bodyOf(notifications: readonly Notification[], pageUrl: string | undefined) {
  const rule = notifications[0]?.labels['alertname'] ?? ''
  const link = pageUrl ?? ''
  const alerts = notifications.map((one) => ({
    status: one.status,
    labels: one.labels,
    annotations: { summary: one.summary, title: one.title, ...one.annotations },
    startsAt: timeOf(one.startsNs),
    // What Go makes of "no time"; receivers know it.
    endsAt: one.status === 'firing' ? '0001-01-01T00:00:00Z' : timeOf(one.endsNs),
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
    externalURL: link,
    alerts,
  }
}

function common(all: readonly Readonly<Record<string, string>>[]): Record<string, string> {
  const [first = {}, ...rest] = all
  return Object.fromEntries(Object.entries(first).filter(([key, value]) => rest.every((one) => one[key] === value)))
}
