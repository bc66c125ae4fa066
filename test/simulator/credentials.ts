/** The credentials of the simulated API: keys, OAuth clients, workload identities, tokens with scopes. */
import { randomUUID } from 'node:crypto'

export interface ApiCredentials {
  /** A key has all rights. */
  readonly apiKeys?: readonly string[]
  readonly oauthClients?: readonly {
    readonly id: string
    readonly secret: string
    readonly scopes?: readonly string[]
  }[]
  /** Federated identities: the ID token of another issuer instead of a secret. */
  readonly workloads?: readonly { readonly id: string; readonly jwt: string; readonly scopes?: readonly string[] }[]
}

/** The default of a server. */
export const API_CREDENTIALS = {
  apiKeys: ['tskey-api-demo'],
  oauthClients: [{ id: 'demo', secret: 'tskey-client-demo' }],
  workloads: [{ id: 'demo-workload', jwt: 'demo.id.token' }],
} as const satisfies ApiCredentials

const DEFAULT_SCOPES = ['logs:network:read', 'devices:core:read']
const ALL = ['all', 'all:read']
/** The scopes that give a right. The shorter ones are from before November 2024. */
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

export function createGuard(credentials: ApiCredentials, tokenLifeSeconds: number) {
  const { apiKeys = [], oauthClients = [], workloads = [] } = credentials
  const tokens = new Map<string, { readonly untilMs: number; readonly scopes: readonly string[] }>()

  function issue(scopes: readonly string[] = DEFAULT_SCOPES, requested: string | undefined) {
    const list = requested?.split(' ').filter((scope) => scope !== '') ?? []
    if (list.some((scope) => !scopes.includes(scope)))
      return { status: 403, message: `OAuth client cannot grant scopes "${requested}"` }
    const granted = list.length > 0 ? list : scopes
    const token = `tskey-demo-${randomUUID()}`
    tokens.set(token, { untilMs: performance.now() + tokenLifeSeconds * 1000, scopes: granted })
    return { access_token: token, token_type: 'Bearer', expires_in: tokenLifeSeconds, scope: granted.join(' ') }
  }

  return {
    /** The response to `POST /oauth/token`. */
    token(form: URLSearchParams, authorization: string | undefined) {
      const basic = readBasic(authorization)
      const id = form.get('client_id') ?? basic?.user
      const secret = form.get('client_secret') ?? basic?.password
      const client = oauthClients.find((one) => one.id === id && one.secret === secret)
      return client ? issue(client.scopes, form.get('scope') ?? undefined) : INVALID
    },
    /** The response to `POST /oauth/token-exchange`. */
    exchange(form: URLSearchParams) {
      const workload = workloads.find((one) => one.id === form.get('client_id') && one.jwt === form.get('jwt'))
      return workload ? issue(workload.scopes, form.get('scope') ?? undefined) : INVALID
    },
    /** Undefined if the request is allowed. */
    refusal(authorization: string | undefined, right: Right): Refused | undefined {
      const presented = readBasic(authorization)?.user ?? /^Bearer (.+)$/i.exec(authorization ?? '')?.[1]
      if (presented === undefined) return INVALID
      if (apiKeys.includes(presented)) return undefined
      // The real API answers this, too, if a client's secret is sent as a token.
      if (oauthClients.some((client) => client.secret === presented)) return NOT_ALLOWED
      const token = tokens.get(presented)
      if (token === undefined || token.untilMs <= performance.now()) return INVALID
      return token.scopes.some((scope) => (ALLOW[right] as readonly string[]).includes(scope)) ? undefined : NOT_ALLOWED
    },
    /** From now on, every token issued so far is refused. */
    expireTokens(): void {
      tokens.clear()
    },
  }
}

function readBasic(authorization: string | undefined): { user: string; password: string } | undefined {
  const coded = /^Basic (.+)$/i.exec(authorization ?? '')?.[1]
  if (coded === undefined) return undefined
  const text = Buffer.from(coded, 'base64').toString()
  const colon = text.indexOf(':')
  return colon < 0 ? { user: text, password: '' } : { user: text.slice(0, colon), password: text.slice(colon + 1) }
}
