/** Secrets: where they come from, and how they stay out of everything that people read. */
import { open } from 'node:fs/promises'
import { CollectorError, excerpt } from '../errors.ts'

/** A secret that can change while the service runs. It is read anew each time it is needed, so a replaced file counts from the next
 * request on, and a 401 finds out by reading again whether there is another one to try. */
export interface Secret {
  /** The value without its trailing newline. Rejects with a CollectorError (`api_credentials`, hold) that names its origin. */
  read(): Promise<string>
}

export function fixedSecret(value: string, origin: string): Secret {
  return { read: async () => checked(value, origin) }
}

/** The content of a file, one trailing newline less. */
export function fileSecret(path: string): Secret {
  return { read: async () => checked(await readText(path), `the file ${path}`) }
}

/** Far more than any key or ID token has. */
const SECRET_BYTES_MAX = 64 * 1024

async function readText(path: string): Promise<string> {
  try {
    await using file = await open(path)
    const { bytesRead, buffer } = await file.read(Buffer.alloc(SECRET_BYTES_MAX + 1))
    if (bytesRead <= SECRET_BYTES_MAX) return buffer.toString('utf8', 0, bytesRead)
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? ` (${cause.code})` : ''
    throw unusable(
      `The secret in the file ${path} cannot be read${code}; check that it exists and that tailflux may read it.`,
      cause,
    )
  }
  throw unusable(`The file ${path} has more than ${SECRET_BYTES_MAX} bytes; check that it is the file of a secret.`)
}

/** What would break out of a header line, or is no secret at all, is refused. */
function checked(value: string, origin: string): string {
  const secret = value.replace(/\r?\n$/, '')
  if (secret === '') throw unusable(`The secret from ${origin} is empty; put the key or token in.`)
  if (/[^\u0020-\u007e]/.test(secret) || secret !== secret.trim()) {
    throw unusable(
      `The secret from ${origin} has line breaks, blanks at its ends, or other characters that no key has; copy it again.`,
    )
  }
  return secret
}

function unusable(text: string, cause?: unknown): CollectorError {
  return new CollectorError(text, { stage: 'source', code: 'api_credentials', reaction: 'hold', cause })
}

export interface Scrubber {
  /** From now on `value` is kept out of what `scrub` returns. */
  learn(value: string): void
  /** Replaces every known secret, plain or as base64, URL, form and JSON write it. */
  scrub(text: string): string
  /** What may be shown of a foreign body; `isCut` when it went on after `body`. */
  excerpt(body: string, isCut: boolean): string
}

/** Tokens follow each other; an answer can still repeat one of the last few. */
const VALUES_KEPT = 32
/** Shorter ones are no secrets, and replacing them would make texts unreadable. */
const SECRET_LENGTH_MIN = 4

export function createScrubber(onSecret: (value: string) => void = () => undefined): Scrubber {
  const forms = new Map<string, readonly string[]>()

  function learn(value: string): void {
    if (value.length < SECRET_LENGTH_MIN || forms.has(value)) return
    const written = new Set([
      value,
      base64(value),
      base64(`${value}:`),
      encodeURIComponent(value),
      new URLSearchParams({ v: value }).toString().slice(2),
      JSON.stringify(value).slice(1, -1),
    ])
    forms.set(
      value,
      [...written].toSorted((one, other) => other.length - one.length),
    )
    if (forms.size > VALUES_KEPT) forms.delete(forms.keys().next().value ?? '')
    onSecret(value)
  }

  function scrub(text: string): string {
    let clean = text
    for (const written of forms.values()) for (const form of written) clean = clean.replaceAll(form, '[secret]')
    return clean
  }

  return {
    learn,
    scrub,
    excerpt(body, isCut) {
      const clean = scrub(body)
      // Where the body was cut, the first part of a secret may be left.
      const longest = Math.max(0, ...[...forms.values()].flat().map((form) => form.length))
      return excerpt(isCut ? clean.slice(0, Math.max(0, clean.length - longest)) : clean)
    },
  }
}

/** Without padding, so that it is found at the start of a longer one too. */
function base64(text: string): string {
  return Buffer.from(text).toString('base64').replace(/=+$/, '')
}
