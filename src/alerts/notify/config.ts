/** Settings of one notifier: its kind and URL, the credentials, and the body of a webhook. */
import { z } from 'zod'
import { fileSecret, type Secret, secretSchema } from '../../secrets/secret.ts'
import { SecretUrl } from '../../secrets/secret-url.ts'
import { createTemplate, type Template } from './template.ts'

export const NOTIFIER_KINDS = ['alertmanager', 'webhook', 'ntfy'] as const
export type NotifierKind = (typeof NOTIFIER_KINDS)[number]

export interface NotifierConfig {
  readonly kind: NotifierKind
  readonly url: SecretUrl
  readonly token: Secret | undefined
  readonly user: string | undefined
  readonly password: Secret | undefined
  /** More certificate authorities than those of Node. */
  readonly caFile: string | undefined
  /** What a webhook is sent; undefined: Alertmanager's JSON, version 4. */
  readonly body: Template | undefined
  toJSON(): unknown
}

/** A URL whose path is its own: no user, password, query and fragment. */
export const plainUrl = z
  .string()
  .refine(
    (url) => isUrl(url) && new URL(url).search === '',
    'must be a URL such as http://127.0.0.1:9093, without user, password, query and fragment',
  )
const anyUrl = z
  .string()
  .refine(isUrl, 'must be a URL such as https://example.com/hook, without user, password and fragment')
const path = z.string().min(1).max(4096)
const BODY_MAX = 16_384

export const notifierSchema = z
  .strictObject({
    alertmanager: plainUrl.optional(),
    webhook: anyUrl.optional(),
    ntfy: plainUrl
      .refine((url) => topicOf(url) !== undefined, 'must end with a topic, such as https://ntfy.sh/my-topic')
      .optional(),
    token: secretSchema.optional(),
    tokenFile: path.optional(),
    user: z
      .string()
      .min(1)
      .max(200)
      .refine((name) => !name.includes(':'), 'must not hold a colon')
      .optional(),
    password: secretSchema.optional(),
    passwordFile: path.optional(),
    caFile: path.optional(),
    body: z
      .union([z.string().min(1).max(BODY_MAX), z.record(z.string(), z.unknown())], {
        error: 'must be a text, or keys and values that are sent as JSON',
      })
      .optional(),
  })
  .transform((given, context): NotifierConfig => {
    const fault = (message: string, key?: string) =>
      context.issues.push({ code: 'custom', input: given, message, ...(key === undefined ? {} : { path: [key] }) })
    const kinds = NOTIFIER_KINDS.filter((kind) => given[kind] !== undefined)
    const [kind] = kinds
    if (kind === undefined || kinds.length > 1) {
      fault(
        `must have exactly one of ${NOTIFIER_KINDS.join(', ')}; Slack, Discord and Microsoft Teams are a webhook with a body, see docs/alerts.md`,
      )
      return z.NEVER
    }
    const secret = (key: 'token' | 'password'): Secret | undefined => {
      const file = given[`${key}File`]
      if (file === undefined) return given[key] as Secret | undefined
      if (given[key] !== undefined) fault(`must not be set beside ${key}File`, key)
      try {
        return fileSecret(file)
      } catch (error) {
        fault(error instanceof Error ? error.message : String(error), `${key}File`)
        return undefined
      }
    }
    const token = secret('token')
    if (token !== undefined && !isHeaderText(token.reveal()))
      fault(NO_HEADER_TEXT, given.token === undefined ? 'tokenFile' : 'token')
    const password = secret('password')
    if ((given.user === undefined) !== (password === undefined)) fault('user and password go together', 'user')
    if (given.user !== undefined && token !== undefined) fault('must not be set beside user and password', 'token')
    if (given.body !== undefined && kind !== 'webhook')
      fault(`has no meaning for ${kind}: only a webhook has a body`, 'body')
    const url = new SecretUrl(given[kind]!)
    return {
      kind,
      url,
      token,
      user: given.user,
      password,
      caFile: given.caFile,
      body: given.body === undefined ? undefined : createTemplate(given.body, (text) => fault(text, 'body')),
      toJSON: () => ({ ...given, [kind]: url }),
    }
  })

/** Server and topic of an ntfy URL. */
export function topicOf(url: string): { server: string; topic: string } | undefined {
  const [, server, topic] = /^(.*)\/([A-Za-z0-9_-]{1,64})\/?$/.exec(url) ?? []
  return server === undefined || topic === undefined || !URL.canParse(server) ? undefined : { server, topic }
}

export const NO_HEADER_TEXT =
  'must be ASCII: a token is sent in an HTTP header, which takes nothing else; copy it again'

export function isHeaderText(token: string): boolean {
  return /^[\x20-\x7e]*$/.test(token)
}

function isUrl(url: string): boolean {
  if (!URL.canParse(url)) return false
  const { protocol, username, password, hash } = new URL(url)
  return /^https?:$/.test(protocol) && username === '' && password === '' && hash === ''
}
