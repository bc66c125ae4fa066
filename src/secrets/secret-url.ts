/** A URL whose path and query are secrets: whoever knows a webhook's path, or a topic of ntfy, can post there and often read too. */
import { inspect } from 'node:util'
import { fixedSecret, type Secret } from './secret.ts'

/** Shows scheme and host only wherever it is turned into text: template, JSON, inspect, console. Only `reveal` gives the rest. */
export class SecretUrl {
  /** What to show of it: `https://hooks.example.com`. */
  readonly origin: string
  /** What the log keeps out, beside the whole: path and query, and those of their parts that reveal something. */
  readonly secrets: readonly Secret[]
  readonly #url: string

  /** `url`: absolute, without user, password and fragment. */
  constructor(url: string) {
    const { protocol, host, pathname, search } = new URL(url)
    this.origin = `${protocol}//${host}`
    this.#url = url
    this.secrets = revealingParts(host, pathname.replace(/^\/+|\/+$/g, ''), search.slice(1)).flatMap((part) => {
      try {
        return [fixedSecret(part, 'the path of a URL')]
      } catch {
        // A part that no secret can be, with a control character: the whole is kept out even so.
        return []
      }
    })
  }

  reveal(): string {
    return this.#url
  }

  toString(): string {
    return this.secrets.length === 0 ? this.origin : `${this.origin}/[secret]`
  }
  toJSON(): string {
    return this.toString()
  }
  [inspect.custom](): string {
    return this.toString()
  }
}

function revealingParts(host: string, path: string, query: string): string[] {
  if (path === '' && query === '') return []
  const values = query.split('&').map((pair) => pair.slice(pair.indexOf('=') + 1))
  const parts = [path, ...path.split('/'), query, ...values].filter(isRevealing)
  const whole = `${host}/${path}`
  return [...new Set([...(query === '' ? [] : [`${whole}?${query}`]), whole, ...parts, ...parts.map(decoded)])]
}

/** Words such as `alerts` or `webhook` alone are no secrets, and the log is full of them. */
function isRevealing(part: string): boolean {
  return part.length >= 16 || (part.length >= 6 && /[^a-z]/.test(part)) || (part.length >= 8 && !WORDS.has(part))
}

const WORDS: ReadonlySet<string> = new Set(['alertmanager', 'incoming', 'services', 'tailflux', 'triggers', 'webhooks'])

function decoded(part: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    return part
  }
}
