/** What people read in one message: one change of an alert, or many changes of a rule together. */
import { isoOf } from '../../base/format.ts'
import { byRule, type Notification } from './notifier.ts'

/** More changes of one rule at once are one message. */
const MESSAGES_MAX = 3
const LISTED_MAX = 10

export interface Digest {
  /** Firing if any alert of the message fires. */
  readonly state: Notification['status']
  /** The alert that gives the message its title and severity. */
  readonly first: Notification
  /** Alerts that are in `state`. */
  readonly count: number
  /** Title and state. */
  readonly title: string
  /** A line for each change. */
  readonly text: string
}

export function messagesOf(notifications: readonly Notification[]): Notification[][] {
  return byRule(notifications).flatMap((some) => (some.length <= MESSAGES_MAX ? some.map((one) => [one]) : [some]))
}

/** `lineOf`: what to say of one. Throws a RangeError without notifications. */
export function digestOf(notifications: readonly Notification[], lineOf: (one: Notification) => string): Digest {
  const firing = notifications.filter((one) => one.status === 'firing')
  const [first] = firing.length > 0 ? firing : notifications
  if (first === undefined) throw new RangeError('a message about nothing')
  const count = firing.length > 0 ? firing.length : notifications.length
  return {
    state: first.status,
    first,
    count,
    title: `${first.title} (${count > 1 ? `${count} ` : ''}${first.status})`,
    text: listed(
      notifications.map((one) => (notifications.length === 1 ? lineOf(one) : `${one.status}: ${lineOf(one)}`)),
      '\n',
    ),
  }
}

/** The different texts of all, the first ten. */
export function differing(texts: readonly string[]): string {
  return listed([...new Set(texts)].filter(Boolean), ', ')
}

function listed(texts: readonly string[], separator: string): string {
  const more = texts.length > LISTED_MAX ? [`and ${texts.length - LISTED_MAX} more`] : []
  return [...texts.slice(0, LISTED_MAX), ...more].join(separator)
}

/** For people: `2026-11-02 12:00 UTC`. */
export function minuteText(ns: bigint): string {
  return isoOf(ns)
    .replace('T', ' ')
    .replace(/:\d\d\.\d{3}Z$/, ' UTC')
}

/** At most so many bytes of UTF-8, cut between characters. */
export function cut(text: string, bytesMax: number): string {
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
