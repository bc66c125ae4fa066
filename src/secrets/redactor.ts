/** Keeps secrets out of what people read, by value: a secret shows up in unexpected texts (an error of a library, a URL in a
 * stack), so looking at names of fields is not enough. */
import { excerpt } from '../base/errors.ts'
import type { Secret } from './secret.ts'

export interface SecretRegistry {
  /** From now on `value` is kept out. For values that come and go, such as access tokens: the newest 128 are remembered. */
  add(value: string): void
  /** The secret's value, and each value that follows when its file is replaced, for good. */
  watch(secret: Secret): void
  /** The text with `[secret]` in place of each known value, plain or as base64, Basic header, URL, form or JSON write it. */
  scrub(text: string): string
  /** What may be shown of a foreign body: scrubbed, at most 512 bytes. `isCut`: the body continued after this text, so its end may be the first
   * part of a secret, which then is left out too. */
  excerpt(body: string, isCut: boolean): string
}

const PASSING_VALUES_MAX = 128
/** Shorter ones are no secrets, and replacing them would make texts unreadable. */
const LENGTH_MIN = 4

export function createSecretRegistry(secrets: Iterable<Secret> = []): SecretRegistry {
  const lasting = new Map<string, readonly string[]>()
  const passing = new Map<string, readonly string[]>()
  let pattern: RegExp | undefined
  let longest = 0

  function learn(list: Map<string, readonly string[]>, value: string): void {
    if (value.length < LENGTH_MIN || list.has(value)) return
    list.set(value, formsOf(value))
    if (list === passing && list.size > PASSING_VALUES_MAX) list.delete(list.keys().next().value ?? '')
    const forms = [...lasting.values(), ...passing.values()].flat()
    // The longest first: one form can be part of another.
    const sorted = forms.toSorted((one, other) => other.length - one.length)
    longest = sorted[0]?.length ?? 0
    pattern = new RegExp(sorted.map((form) => RegExp.escape(form)).join('|'), 'g')
  }

  const registry: SecretRegistry = {
    add: (value) => learn(passing, value),
    watch: (secret) => secret.watch((value) => learn(lasting, value)),
    scrub: (text) => (pattern === undefined ? text : text.replace(pattern, '[secret]')),
    excerpt(body, isCut) {
      const clean = registry.scrub(body)
      return excerpt(isCut ? clean.slice(0, Math.max(0, clean.length - longest)) : clean)
    },
  }
  for (const secret of secrets) registry.watch(secret)
  return registry
}

function formsOf(value: string): readonly string[] {
  const percent = encodeURIComponent(value)
  const form = new URLSearchParams({ v: value }).toString().slice(2)
  const plain = [value, percent, form, lowerEscapes(percent), lowerEscapes(form), ...base64Cores(value)]
  // A log line is JSON already, and may hold the text of other JSON, which may do the same.
  const forms = plain.flatMap((text) => {
    const once = inJson(text)
    const twice = inJson(once)
    return [text, once, twice, inJson(twice)]
  })
  return [...new Set(forms)].filter((text) => text.length >= LENGTH_MIN)
}

/** What every base64 text holds whose plain text holds `value`, however many bytes stand before (`user:password`) and after it. */
function base64Cores(value: string): string[] {
  const bytes = Buffer.from(value)
  return [0, 1, 2].flatMap((before) => {
    const text = Buffer.concat([Buffer.alloc(before), bytes]).toString('base64')
    const firstOwn = Math.ceil((before * 8) / 6)
    const lastOwn = Math.floor(((before + bytes.length) * 8) / 6)
    const core = text.slice(firstOwn, lastOwn)
    return [core, core.replaceAll('+', '-').replaceAll('/', '_')]
  })
}

function inJson(text: string): string {
  return JSON.stringify(text).slice(1, -1)
}

function lowerEscapes(text: string): string {
  return text.replace(/%[0-9A-F]{2}/g, (code) => code.toLowerCase())
}
