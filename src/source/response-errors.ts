/** Explains a refusal of the API, and what the operator can do. Decided by the status alone: bodies are foreign text, shown but never
 * interpreted. */
import type { IncomingHttpHeaders } from 'node:http'
import { type Code, CollectorError, type Reaction } from '../base/errors.ts'
import { PROXY_AUTH_REQUIRED, proxyUserRemedy } from '../http-client/error-codes.ts'
import type { Endpoint } from '../http-client/exchange.ts'
import { retryAfterMs } from '../http-client/retry.ts'

/** How the service signs in. */
const SIGN_INS = ['api_key', 'oauth_client', 'workload_identity'] as const
export type SignIn = (typeof SIGN_INS)[number]

export interface Refusal {
  readonly endpoint: Endpoint
  readonly status: number
  readonly headers: IncomingHttpHeaders
  /** Of the body: short, without control characters and secrets. */
  readonly excerpt: string
  readonly signIn: SignIn
  readonly tailnet: string
  readonly apiUrl: string
  /** Without secrets, user, password and query. */
  readonly location?: string | undefined
  /** Now by the clock that the answer's Retry-After date is compared with, ms since the epoch. */
  readonly nowMs: number
}

export function explain(refusal: Refusal): CollectorError {
  const { code, reaction, remedy } = classify(refusal)
  const said = refusal.excerpt === '' ? '' : ` and said "${refusal.excerpt}"`
  return new CollectorError(`Tailscale answered ${refusal.status} to ${refusal.endpoint}${said}; ${remedy}.`, {
    stage: 'source',
    code,
    reaction,
    retryAfterMs:
      refusal.status === 429 || refusal.status >= 500
        ? retryAfterMs(refusal.headers['retry-after'], refusal.nowMs)
        : undefined,
  })
}

/** 403 to the flow logs, and the tailnet's settings say why. */
export function featureOff(): CollectorError {
  const text =
    'Network flow logs are switched off for this tailnet: switch them on in the admin console under Logs > Network flow logs (Premium or Enterprise plan), or ask its owner to.'
  return new CollectorError(text, { stage: 'source', code: 'api_feature_off', reaction: 'hold' })
}

interface Explanation {
  readonly code: Code
  readonly reaction: Reaction
  readonly remedy: string
}

function classify(refusal: Refusal): Explanation {
  const { status, endpoint } = refusal
  const isSignIn = endpoint === 'oauth/token' || endpoint === 'oauth/token-exchange'
  const isWindow = endpoint === 'logging/network'
  if (status >= 300 && status < 400) return hold('api_redirect', redirect(refusal))
  if (status === PROXY_AUTH_REQUIRED) return { code: 'api_unreachable', reaction: 'retry', remedy: proxyUserRemedy() }
  if (status === 429)
    return {
      code: 'api_rate_limited',
      reaction: 'retry',
      remedy:
        'too many requests; it is retried later; if it persists, raise poll.interval, or stop other programs that use these credentials',
    }
  if (status === 502 || status === 504) {
    return isWindow
      ? {
          code: 'api_gateway',
          reaction: 'split',
          remedy:
            'perhaps the window is too large; it is retried with a shorter one; if it persists, see https://status.tailscale.com',
        }
      : {
          code: 'api_gateway',
          reaction: 'retry',
          remedy: 'it is retried; if it persists, check the proxy in between, and see https://status.tailscale.com',
        }
  }
  if (status >= 500) {
    return {
      code: 'api_unavailable',
      reaction: 'retry',
      remedy: 'it is retried; if it persists, see https://status.tailscale.com',
    }
  }
  if (status === 408)
    return {
      code: 'api_timeout',
      reaction: isWindow ? 'split' : 'retry',
      remedy:
        'the request was too slow; it is retried automatically; if it persists, check the network and the proxy in between',
    }
  if (status >= 200 && status < 300) {
    return {
      code: 'api_not_json',
      reaction: 'retry',
      remedy:
        'this is not a response of the Tailscale API; look for a proxy or portal in between, and check TAILSCALE_API_URL',
    }
  }
  if (isSignIn && status !== 404) return hold('api_credentials', badSignIn(refusal))
  if (status === 401) return hold('api_unauthorized', refusedKey(refusal.signIn))
  if (status === 403) return hold('api_forbidden', missingRight(refusal))
  if (status === 404) {
    const scope = isWindow ? '' : `, and that the credentials have the scope ${SCOPES[endpoint] ?? ''}`
    return hold(
      'api_not_found',
      isSignIn
        ? `there is no sign-in at ${refusal.apiUrl}; check TAILSCALE_API_URL`
        : `check TAILSCALE_TAILNET (now "${refusal.tailnet}"; "-" is the tailnet of the credentials) and TAILSCALE_API_URL (now ${refusal.apiUrl})${scope}`,
    )
  }
  return hold(
    'api_bad_request',
    `check TAILSCALE_TAILNET (now "${refusal.tailnet}"); if it is right, this is a bug in tailflux: please report it`,
  )
}

function hold(code: Code, remedy: string): Explanation {
  return { code, reaction: 'hold', remedy }
}

const SCOPES: Partial<Record<Endpoint, string>> = {
  'logging/network': 'logs:network:read',
  devices: 'devices:core:read',
  settings: 'logs:network:read',
}

function redirect({ location, apiUrl }: Refusal): string {
  const where = location === undefined ? 'somewhere else' : `to ${location}`
  return `it points ${where}, and tailflux follows no redirect, because that would hand over the credentials; set TAILSCALE_API_URL (now ${apiUrl}) to where the API is, and look for a proxy in between`
}

function refusedKey(signIn: SignIn): string {
  switch (signIn) {
    case 'api_key':
      return 'the API key is wrong, revoked or expired (keys expire after 90 days at most); create a new one in the admin console under Settings > Keys and put it into TAILSCALE_API_KEY or its file'
    case 'oauth_client':
      return 'a new token was refused too; check in the admin console under Settings > OAuth clients (Trust credentials) that the client still exists, and TAILSCALE_OAUTH_CLIENT_ID and TAILSCALE_OAUTH_CLIENT_SECRET'
    case 'workload_identity':
      return 'a new token was refused too; check the federated identity in the admin console under Settings > Trust credentials'
  }
}

function badSignIn({ signIn }: Refusal): string {
  return signIn === 'workload_identity'
    ? 'the ID token was not accepted; check TAILSCALE_OAUTH_CLIENT_ID, that the file in TAILSCALE_ID_TOKEN_FILE is kept fresh, and issuer, subject and audience in the admin console under Settings > Trust credentials'
    : 'the OAuth client was not accepted; check TAILSCALE_OAUTH_CLIENT_ID and TAILSCALE_OAUTH_CLIENT_SECRET, and that a configured oauthScope requests no more than the client has (admin console, Settings > OAuth clients)'
}

function missingRight({ endpoint, signIn }: Refusal): string {
  const scope = SCOPES[endpoint] ?? ''
  const right =
    signIn === 'api_key'
      ? 'the key must be of an Owner, Admin, Network admin or IT admin (and must not be an OAuth client secret, tskey-client-..., which belongs in TAILSCALE_OAUTH_CLIENT_SECRET)'
      : `give the credentials the scope ${scope} in the admin console under Settings > OAuth clients (Trust credentials), and add it to oauthScope if that is set`
  const plan =
    endpoint === 'logging/network'
      ? '; the plan must be Premium or Enterprise, and network flow logs switched on under Logs > Network flow logs'
      : ''
  const scoped = signIn === 'api_key' ? ` (scope ${scope})` : ''
  return `the credentials have no permission to read this${scoped}: ${right}${plan}`
}
