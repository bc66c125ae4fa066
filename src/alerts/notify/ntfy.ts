/** ntfy: a message on the phone per change, or one for many changes of a rule at once. Sent as JSON, so that names stay text in every
 * alphabet, which headers would not let them be. https://docs.ntfy.sh/publish/#publish-as-json */
import { type NotifierConfig, topicOf } from './config.ts'
import { cut, digestOf, messagesOf, minuteText } from './digest.ts'
import {
  idOf,
  labelOf,
  linkOf,
  type Notification,
  type Notifier,
  type NotifierDeps,
  post,
  summaryText,
} from './notifier.ts'

const PRIORITY: Readonly<Record<string, number>> = { critical: 5, warning: 4, info: 3 }
/** ntfy makes an attachment of what is longer than 4,096 bytes. */
const MESSAGE_BYTES_MAX = 3_500

export function createNtfy(config: NotifierConfig, deps: NotifierDeps): Notifier {
  const { server, topic } = topicOf(config.url.reveal()) ?? { server: config.url.origin, topic: '' }
  return {
    id: idOf(config),
    kind: 'ntfy',
    label: labelOf(config),
    repeatMs: undefined,
    portions: messagesOf,
    send: (portion, signal) =>
      post(config, { url: server, json: { topic, ...messageOf(portion, deps.pageUrl) } }, deps, signal),
  }
}

function messageOf(notifications: readonly Notification[], pageUrl: string | undefined) {
  const { state, first, title, text } = digestOf(notifications, lineOf)
  return {
    title: cut(title, 200),
    message: cut(text, MESSAGE_BYTES_MAX),
    priority: state === 'firing' ? (PRIORITY[first.labels['severity'] ?? 'warning'] ?? 3) : 2,
    tags: [state === 'firing' ? 'warning' : 'white_check_mark'],
    ...(pageUrl === undefined ? {} : { click: linkOf(pageUrl) }),
  }
}

function lineOf(notification: Notification): string {
  const times = `since ${minuteText(notification.startsNs)}`
  return notification.status === 'firing'
    ? `${summaryText(notification)} (${times})`
    : `${summaryText(notification)} (${times}, over at ${minuteText(notification.endsNs)})`
}
