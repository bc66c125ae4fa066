/** Alertmanager, API v2. It forgets what is not sent again: what fires is sent every minute with an end a few minutes ahead, so that
 * alerts end by themselves when we die; what is over is sent with its end. Grouping, silences and repeats are its own business.
 * https://prometheus.io/docs/alerting/latest/alerts_api/ */
import { MS } from '../../base/clock.ts'
import { isoOf } from '../../base/format.ts'
import type { NotifierConfig } from './config.ts'
import {
  annotationsOf,
  cutInto,
  idOf,
  labelOf,
  linkOf,
  type Notification,
  type Notifier,
  type NotifierDeps,
  post,
} from './notifier.ts'

const REPEAT_MS = 60_000
/** Ends so far ahead: three rounds may fail. */
const AHEAD_NS = 4n * BigInt(REPEAT_MS) * MS
/** Per request, as Prometheus does. */
const BATCH = 64

export function createAlertmanager(config: NotifierConfig, deps: NotifierDeps): Notifier {
  const url = `${config.url.reveal().replace(/\/$/, '')}/api/v2/alerts`
  return {
    id: idOf(config),
    kind: 'alertmanager',
    label: labelOf(config),
    repeatMs: REPEAT_MS,
    portions: (notifications) => cutInto(notifications, BATCH),
    send(portion, signal) {
      const nowNs = deps.clock.now()
      return post(config, { url, json: portion.map((one) => wireOf(one, nowNs, deps.pageUrl)) }, deps, signal)
    },
  }
}

function wireOf(notification: Notification, nowNs: bigint, pageUrl: string | undefined) {
  return {
    labels: notification.labels,
    annotations: annotationsOf(notification),
    startsAt: isoOf(notification.startsNs),
    endsAt: isoOf(notification.status === 'firing' ? nowNs + AHEAD_NS : notification.endsNs),
    ...(pageUrl === undefined ? {} : { generatorURL: linkOf(pageUrl) }),
  }
}
