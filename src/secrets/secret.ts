/** Secrets of the settings: values that cannot be printed by accident, and that follow their file when it is replaced. */
import { readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { inspect } from 'node:util'
import { z } from 'zod'
import { CollectorError } from '../base/errors.ts'

const SHOWN = '[secret]'
/** Far more than any key or token has. */
const SECRET_BYTES_MAX = 64 * 1024

/** A secret shows `[secret]` wherever it is turned into text: template, JSON, inspect, console. Only `reveal` and `read` give the value. */
export class Secret {
  /** For people: `the variable INFLUX_TOKEN`, `the file /run/secrets/token`. */
  readonly origin: string
  readonly #path: string | undefined
  #value: string
  readonly #listeners = new Set<(value: string) => void>()

  /** Use `fixedSecret` or `fileSecret`. `path`: where `refresh` reads again. */
  constructor(value: string, origin: string, path?: string) {
    this.origin = origin
    this.#path = path
    this.#value = checked(value, origin)
  }

  /** The value as it was read last. */
  reveal(): string {
    return this.#value
  }

  /** Reads the file again, if the secret has one: true when the value is another one now. Rejects with a CollectorError (stage `config`,
   * hold) when the file cannot be read or holds no secret; the old value then stays. */
  async refresh(): Promise<boolean> {
    if (this.#path === undefined) return false
    let text: string
    try {
      text = await readFile(this.#path, 'utf8')
    } catch (cause) {
      throw unreadable(this.#path, cause)
    }
    const value = checked(text, this.origin)
    if (value === this.#value) return false
    this.#value = value
    for (const listener of this.#listeners) listener(value)
    return true
  }

  /** `refresh`, then the value: what a request uses. */
  async read(): Promise<string> {
    await this.refresh()
    return this.#value
  }

  /** Calls `listener` with the value now and whenever it changes, so that the log knows what to keep out. */
  watch(listener: (value: string) => void): void {
    this.#listeners.add(listener)
    listener(this.#value)
  }

  toString(): string {
    return SHOWN
  }
  toJSON(): string {
    return SHOWN
  }
  [inspect.custom](): string {
    return SHOWN
  }
}

/** A secret given as text. Throws a CollectorError when it cannot be one. */
export function fixedSecret(value: string, origin: string): Secret {
  return new Secret(value, origin)
}

/** A secret in a file, read now and again by `refresh`. Throws a CollectorError when it cannot be read. */
export function fileSecret(path: string, read: (path: string) => string = readText): Secret {
  let text: string
  try {
    text = read(path)
  } catch (cause) {
    throw unreadable(path, cause)
  }
  return new Secret(text, `the file ${path}`, path)
}

/** For the schemas of the components: a Secret, or a text that becomes one. */
export const secretSchema = z
  .union([
    z.instanceof(Secret),
    z.string().transform((text, context) => {
      try {
        return fixedSecret(text, 'the settings')
      } catch (error) {
        context.addIssue({ code: 'custom', message: error instanceof Error ? error.message : String(error) })
        return z.NEVER
      }
    }),
  ])
  .meta({ kind: 'secret' })

function readText(path: string): string {
  return readFileSync(path, 'utf8')
}

/** One trailing newline less. What would break out of a header line, or is no secret at all, is refused. */
function checked(text: string, origin: string): string {
  const value = text.replace(/\r?\n$/, '')
  if (value === '') throw invalid(`The secret from ${origin} is empty; put the key, token or password in.`)
  if (value.length > SECRET_BYTES_MAX) {
    throw invalid(
      `The secret from ${origin} is longer than ${SECRET_BYTES_MAX} characters; check that it is the right one.`,
    )
  }
  if (value.includes('\u0000')) {
    throw invalid(`The secret from ${origin} holds zero bytes, as a file in UTF-16 does; save it as UTF-8.`)
  }
  if (/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/.test(value) || value !== value.trim()) {
    throw invalid(
      `The secret from ${origin} holds line breaks, control characters, or spaces at the start or end; copy it again.`,
    )
  }
  return value
}

function unreadable(path: string, cause: unknown): CollectorError {
  const code = cause instanceof Error && 'code' in cause ? ` (${cause.code})` : ''
  return invalid(
    `The secret in the file ${path} cannot be read${code}; check that it exists and that tailflux may read it.`,
    cause,
  )
}

function invalid(text: string, cause?: unknown): CollectorError {
  return new CollectorError(text, { stage: 'config', code: 'config_invalid', reaction: 'hold', cause })
}
