/** ntfy: a message on the phone per change, or one for many changes of a rule at once. Sent as JSON, so that names stay text in every
 * alphabet, which headers would not let them be. https://docs.ntfy.sh/publish/#publish-as-json */
import { type NotifierConfig, topicOf } from '../config.ts'
import { byRule, idOf, labelOf, type Notification, type Notifier, type NotifierDeps, post, timeOf } from './notifier.ts'

const PRIORITY: Readonly<Record<string, number>> = { critical: 5, warning: 4, info: 3 }
/** More changes of one rule at once are one message. */
const MESSAGES_MAX = 3
const LISTED_MAX = 10
/** ntfy makes an attachment of what is longer than 4,096 bytes. */
const MESSAGE_BYTES_MAX = 3_500

export function createNtfy(config: NotifierConfig, deps: NotifierDeps): Notifier {
  const { server, topic } = topicOf(config.url.reveal()) ?? { server: config.url.origin, topic: '' }
  return {
    id: idOf(config),
    kind: 'ntfy',
    label: labelOf(config),
    repeatMs: undefined,
    portions: (notifications) =>
      byRule(notifications).flatMap((some) => (some.length <= MESSAGES_MAX ? some.map((one) => [one]) : [some])),
    send: (portion, signal) => post(config, server, { topic, ...messageOf(portion, deps.pageUrl) }, deps, signal),
  }
}

function messageOf(notifications: readonly Notification[], pageUrl: string | undefined) {
  const firing = notifications.filter((one) => one.status === 'firing')
  const [first] = firing.length > 0 ? firing : notifications
  const count = firing.length > 0 ? firing.length : notifications.length
  const word = firing.length > 0 ? 'firing' : 'resolved'
  const severity = first?.labels['severity'] ?? 'warning'
  const listed = notifications
    .slice(0, LISTED_MAX)
    .map((one) => (notifications.length === 1 ? lineOf(one) : `${one.status}: ${lineOf(one)}`))
  if (notifications.length > LISTED_MAX) listed.push(`and ${notifications.length - LISTED_MAX} more`)
  return {
    title: cut(`${first?.title ?? ''} (${count > 1 ? `${count} ` : ''}${word})`, 200),
    message: cut(listed.join('\n'), MESSAGE_BYTES_MAX),
    priority: word === 'firing' ? (PRIORITY[severity] ?? 3) : 2,
    tags: [word === 'firing' ? 'warning' : 'white_check_mark'],
    ...(pageUrl === undefined ? {} : { click: pageUrl }),
  }
}

function lineOf(notification: Notification): string {
  const times = `since ${shortTime(notification.startsNs)}`
  return notification.status === 'firing'
    ? `${notification.summary} (${times})`
    : `${notification.summary} (${times}, over at ${shortTime(notification.endsNs)})`
}

function shortTime(ns: bigint): string {
  return timeOf(ns)
    .replace('T', ' ')
    .replace(/:\d\d\.\d{3}Z$/, ' UTC')
}

/** At most so many bytes of UTF-8, cut between characters. */
function cut(text: string, bytesMax: number): string {
  if (Buffer.byteLength(text) <= bytesMax) return text
  let out = ''
  let bytes = 0
  for (const character of text) {
    bytes += Buffer.byteLength(character)
    if (bytes > bytesMax - 3) break
    out += character
  }
  return `${out}...`
}
