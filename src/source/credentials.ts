/** The credentials of requests: the API key itself, or a token that an OAuth client or a workload identity gets for an hour. */
import type { Logger } from 'pino'
import { z } from 'zod'
import type { Clock } from '../base/clock.ts'
import { CollectorError } from '../base/errors.ts'
import type { SecretRegistry } from '../secrets/redactor.ts'
import { fileSecret, type Secret } from '../secrets/secret.ts'
import type { SourceConfig } from './config.ts'
import type { SignIn } from './response-errors.ts'

export interface Credentials {
  readonly signIn: SignIn
  /** Value of the Authorization header. Rejects with a CollectorError or the signal's reason. */
  authorization(signal: AbortSignal): Promise<string>
  /** The API answered 401 to this header: `authorization` gives another one if there is any, and the same one if there is not. */
  refused(authorization: string): void
  /** The scopes of the token, from the token response; undefined for API keys, or when the response had none. */
  scopes(): readonly string[] | undefined
}

/** Sends a form to a sign-in endpoint and returns the JSON of a good answer; rejects with a CollectorError. */
type PostForm = (endpoint: 'oauth/token' | 'oauth/token-exchange', form: Record<string, string>) => Promise<unknown>

export interface CredentialsDeps {
  readonly post: PostForm
  readonly secrets: Pick<SecretRegistry, 'add'>
  readonly clock: Clock
  readonly log: Logger
}

/** Throws a CollectorError (`config_invalid`) without a complete set of credentials. Settings that went through the schema have no
 * two of them. */
export function createCredentials(config: SourceConfig, deps: CredentialsDeps): Credentials {
  const { apiKey, oauthClientId: id, oauthClientSecret, idTokenFile, oauthScope } = config
  if (apiKey) return createKey(apiKey, deps)
  const scope: Record<string, string> = oauthScope === undefined ? {} : { scope: oauthScope }
  if (id && oauthClientSecret) {
    const form = (secret: string) => ({
      client_id: id,
      client_secret: secret,
      grant_type: 'client_credentials',
      ...scope,
    })
    return createTokens('oauth_client', 'oauth/token', oauthClientSecret, form, deps)
  }
  if (id && idTokenFile) {
    const form = (jwt: string) => ({ client_id: id, jwt, ...scope })
    // Read at each exchange, not before: whoever rotates the file may put it there only after our start.
    const idToken = { origin: `the file ${idTokenFile}`, read: async () => fileSecret(idTokenFile).reveal() }
    return createTokens('workload_identity', 'oauth/token-exchange', idToken, form, deps)
  }
  throw new CollectorError(
    'There are no credentials for the Tailscale API: set TAILSCALE_OAUTH_CLIENT_ID and TAILSCALE_OAUTH_CLIENT_SECRET, or TAILSCALE_API_KEY, or for workload identity TAILSCALE_OAUTH_CLIENT_ID and TAILSCALE_ID_TOKEN_FILE.',
    { stage: 'config', code: 'config_invalid', reaction: 'hold' },
  )
}

type ReadableSecret = Pick<Secret, 'origin' | 'read'>

/** The secret as it is now; rejects with a CollectorError (`api_credentials`, hold) when it cannot be read or cannot be in a header line. */
async function usable(secret: ReadableSecret): Promise<string> {
  const fail = (text: string, cause?: unknown) =>
    new CollectorError(text, { stage: 'source', code: 'api_credentials', reaction: 'hold', cause })
  let value: string
  try {
    value = await secret.read()
  } catch (cause) {
    throw cause instanceof CollectorError ? fail(cause.message, cause) : cause
  }
  if (/^[\u0020-\u007e]+$/.test(value)) return value
  throw fail(`The secret from ${secret.origin} has characters that no key contains. Copy it again.`)
}

function createKey(key: ReadableSecret, deps: CredentialsDeps): Credentials {
  return {
    signIn: 'api_key',
    async authorization() {
      const value = await usable(key)
      deps.secrets.add(value)
      return `Basic ${Buffer.from(`${value}:`).toString('base64')}`
    },
    // The next read shows whether there is another key by now.
    refused: () => undefined,
    scopes: () => undefined,
  }
}

/** A token is used for this share of its life; the rest is for clocks that differ and requests in flight. */
const LIFE_USED = 0.8
/** If the response has no lifetime: the value from Tailscale's documentation ("OAuth clients"). */
const LIFE_SECONDS = 3600

/** A header line holds no more, and what keeps secrets out of the log looks for each of them. */
const TOKEN_CHARS_MAX = 8_192

const tokenAnswer = z.object({
  access_token: z
    .string()
    .max(TOKEN_CHARS_MAX)
    .regex(/^[\u0021-\u007e]+$/),
  expires_in: z.number().positive().catch(LIFE_SECONDS),
  scope: z.string().optional().catch(undefined),
})

interface Token {
  readonly authorization: string
  readonly untilMs: number
  readonly scopes: readonly string[] | undefined
}

function createTokens(
  signIn: SignIn,
  endpoint: Parameters<PostForm>[0],
  secret: ReadableSecret,
  form: (secret: string) => Record<string, string>,
  deps: CredentialsDeps,
): Credentials {
  let token: Token | undefined
  let fetching: Promise<Token> | undefined

  async function fetchToken(): Promise<Token> {
    const value = await usable(secret)
    deps.secrets.add(value)
    const beganMs = deps.clock.monotonicMs()
    const answer = tokenAnswer.safeParse(await deps.post(endpoint, form(value)))
    if (!answer.success) {
      // Nothing of the answer is shown: it may hold a token.
      const text = `The response of ${endpoint} has no token. Look for a proxy in between, and check TAILSCALE_API_URL.`
      throw new CollectorError(text, { stage: 'source', code: 'api_credentials', reaction: 'hold' })
    }
    const { access_token, expires_in, scope } = answer.data
    deps.secrets.add(access_token)
    deps.log.debug({ signIn, lifeSeconds: expires_in, scope }, 'token received')
    const untilMs = beganMs + expires_in * 1000 * LIFE_USED
    return { authorization: `Bearer ${access_token}`, untilMs, scopes: scope?.split(' ').filter((one) => one !== '') }
  }

  /** One request for all concurrent callers. None of them can abort it for the others. */
  function fetchOnce(): Promise<Token> {
    fetching ??= fetchToken()
      .then((fresh) => (token = fresh))
      .finally(() => {
        fetching = undefined
      })
    return fetching
  }

  return {
    signIn,
    async authorization(signal) {
      if (token && deps.clock.monotonicMs() < token.untilMs) return token.authorization
      return (await orAborted(fetchOnce(), signal)).authorization
    },
    refused(authorization) {
      if (token?.authorization === authorization) token = undefined
    },
    scopes: () => token?.scopes,
  }
}

/** The promise, or the reason of the abort, whatever comes first; the promise itself continues. */
async function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise: aborted, reject } = Promise.withResolvers<never>()
  const onAbort = () => reject(signal.reason)
  if (signal.aborted) onAbort()
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    return await Promise.race([promise, aborted])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}
