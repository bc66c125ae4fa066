/** Who may ask the simulated API for what: keys, OAuth clients, workload identities, tokens, scopes. */
import { randomUUID } from 'node:crypto'

export interface DemoCredentials {
  /** Keys act with all rights. */
  readonly apiKeys?: readonly string[]
  readonly oauthClients?: readonly {
    readonly id: string
    readonly secret: string
    readonly scopes?: readonly string[]
  }[]
  /** Federated identities: the token of another issuer instead of a secret. */
  readonly workloads?: readonly { readonly id: string; readonly jwt: string; readonly scopes?: readonly string[] }[]
}

/** What a server accepts unless told otherwise. */
export const DEMO_CREDENTIALS = {
  apiKeys: ['tskey-api-demo'],
  oauthClients: [{ id: 'demo', secret: 'tskey-client-demo' }],
  workloads: [{ id: 'demo-workload', jwt: 'demo.id.token' }],
} as const satisfies DemoCredentials

const DEFAULT_SCOPES = ['logs:network:read', 'devices:core:read']
const ALL = ['all', 'all:read']
/** Scopes that allow it; the shorter ones are those from before November 2024. */
const ALLOW = {
  logs: [...ALL, 'logs:network:read', 'logs:network', 'network-logs:read', 'logs:read'],
  devices: [...ALL, 'devices:core:read', 'devices:core', 'devices:read', 'devices'],
  settings: [...ALL, 'feature_settings:read', 'feature_settings', 'logs:network:read', 'logs:network'],
} as const
export type Right = keyof typeof ALLOW

export interface Refused {
  readonly status: number
  readonly message: string
}

const INVALID: Refused = { status: 401, message: 'API token invalid' }
const NOT_ALLOWED: Refused = {
  status: 403,
  message: 'calling actor does not have enough permissions to perform this function',
}

export function createGuard(credentials: DemoCredentials, tokenLifeSeconds: number) {
  const { apiKeys = [], oauthClients = [], workloads = [] } = credentials
  const tokens = new Map<string, { readonly untilMs: number; readonly scopes: readonly string[] }>()

  function issue(scopes: readonly string[] = DEFAULT_SCOPES, wanted: string | undefined) {
    const asked = wanted?.split(' ').filter((scope) => scope !== '') ?? []
    if (asked.some((scope) => !scopes.includes(scope)))
      return { status: 403, message: `OAuth client cannot grant scopes "${wanted}"` }
    const granted = asked.length > 0 ? asked : scopes
    const token = `tskey-demo-${randomUUID()}`
    tokens.set(token, { untilMs: performance.now() + tokenLifeSeconds * 1000, scopes: granted })
    return { access_token: token, token_type: 'Bearer', expires_in: tokenLifeSeconds, scope: granted.join(' ') }
  }

  return {
    /** Answer to `POST /oauth/token`. */
    token(form: URLSearchParams, authorization: string | undefined) {
      const basic = basicOf(authorization)
      const id = form.get('client_id') ?? basic?.user
      const secret = form.get('client_secret') ?? basic?.password
      const client = oauthClients.find((one) => one.id === id && one.secret === secret)
      return client ? issue(client.scopes, form.get('scope') ?? undefined) : INVALID
    },
    /** Answer to `POST /oauth/token-exchange`. */
    exchange(form: URLSearchParams) {
      const workload = workloads.find((one) => one.id === form.get('client_id') && one.jwt === form.get('jwt'))
      return workload ? issue(workload.scopes, form.get('scope') ?? undefined) : INVALID
    },
    /** Undefined when the request may go on. */
    refusal(authorization: string | undefined, right: Right): Refused | undefined {
      const presented = basicOf(authorization)?.user ?? /^Bearer (.+)$/i.exec(authorization ?? '')?.[1]
      if (presented === undefined) return INVALID
      if (apiKeys.includes(presented)) return undefined
      // The secret of a client is no token, and that is all that the API says about it.
      if (oauthClients.some((client) => client.secret === presented)) return NOT_ALLOWED
      const token = tokens.get(presented)
      if (token === undefined || token.untilMs <= performance.now()) return INVALID
      return token.scopes.some((scope) => (ALLOW[right] as readonly string[]).includes(scope)) ? undefined : NOT_ALLOWED
    },
    /** Every token given out so far is refused from now on. */
    expireTokens(): void {
      tokens.clear()
    },
  }
}

function basicOf(authorization: string | undefined): { user: string; password: string } | undefined {
  const coded = /^Basic (.+)$/i.exec(authorization ?? '')?.[1]
  if (coded === undefined) return undefined
  const text = Buffer.from(coded, 'base64').toString()
  const colon = text.indexOf(':')
  return colon < 0 ? { user: text, password: '' } : { user: text.slice(0, colon), password: text.slice(colon + 1) }
}
