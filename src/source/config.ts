/** Settings of the source: which tailnet, with which credentials, within which limits. */
import { isIPv4 } from 'node:net'
import { z } from 'zod'
import { bytesSchema, durationSchema } from '../base/units.ts'
import { secretSchema } from '../secrets/secret.ts'

const apiUrl = z
  .string()
  .refine(isPlainUrl, 'must be a URL such as https://api.tailscale.com, without user, password, query and fragment')
  .transform((text) => text.replace(/\/+$/, ''))

// `.` and `..` would change the path; encoding does not help, as many servers decode before they look.
const tailnet = z
  .string()
  .min(1)
  .max(255)
  .refine((name) => name !== '.' && name !== '..' && name.isWellFormed() && !/[\u0000-\u001f\u007f]/.test(name), {
    message: 'must be `-` or the tailnet ID of the admin console, such as T1234CNTRL',
  })

export const tailscaleSchema = z
  .strictObject({
    tailnet: tailnet.default('-').describe('Tailnet ID from the admin console; `-` is the tailnet of the credentials.'),
    apiUrl: apiUrl.prefault('https://api.tailscale.com').describe('URL of the Tailscale API.'),
    allowHttp: z
      .boolean()
      .default(false)
      .describe('Allow plain http to other hosts than this one; credentials are then sent unencrypted.'),
    apiKey: secretSchema.optional().describe('API access token (tskey-api-...); expires after at most 90 days.'),
    oauthClientId: z.string().min(1).optional().describe('OAuth client id, also for workload identity.'),
    oauthClientSecret: secretSchema.optional().describe('OAuth client secret (tskey-client-...).'),
    idTokenFile: z
      .string()
      .min(1)
      .optional()
      .describe('Workload identity: file with the ID token, re-read for each token exchange.'),
    oauthScope: z
      .string()
      .regex(/^[\u0021-\u007e]+( [\u0021-\u007e]+)*$/, 'must be scopes separated by single spaces')
      .optional()
      .describe('Request only these scopes, separated by spaces; without it the token has all scopes of the client.'),
    caFile: z
      .string()
      .min(1)
      .optional()
      .describe('PEM file with certificate authorities to trust in addition to the default ones.'),
    headTimeout: durationSchema({ default: '1m', min: '100ms', max: '1h' }).describe('Timeout for response headers.'),
    idleTimeout: durationSchema({ default: '1m', min: '100ms', max: '1h' }).describe(
      'Timeout for the next bytes of a response.',
    ),
    totalTimeout: durationSchema({ default: '10m', min: '100ms', max: '1h' }).describe(
      'Timeout for a whole response; time that the database needs does not count.',
    ),
    answerBytesMax: bytesSchema({ default: '1GiB', min: '1MiB', max: '16GiB' }).describe(
      'Largest response after decompression; larger responses are retried with a shorter window.',
    ),
    messageBytesMax: bytesSchema({ default: '8MiB', min: '1MiB', max: '256MiB' }).describe(
      'Largest message; larger ones are quarantined.',
    ),
    depthMax: z
      .number()
      .int()
      .min(4)
      .max(64)
      .default(8)
      .describe('Deepest nesting of a message; deeper ones are quarantined.'),
    clockBehindMax: durationSchema({ default: '31d', min: '1h', max: '365d' }).describe(
      'How far the clock of a node may be behind that of the API (`start` before `logged`); a message beyond is quarantined.',
    ),
    clockAheadMax: durationSchema({ default: '1h', min: '1m', max: '365d' }).describe(
      'How far the clock of a node may be ahead of that of the API (`start` after `logged`); a message beyond is quarantined.',
    ),
  })
  .superRefine((settings, context) => {
    for (const { path, message } of credentialFaults(settings))
      context.addIssue({ code: 'custom', path: [path], message })
    if (!settings.allowHttp && isPlainUrl(settings.apiUrl) && !isPrivateEnough(new URL(settings.apiUrl))) {
      context.addIssue({
        code: 'custom',
        path: ['apiUrl'],
        message:
          'must begin with https://, or the credentials could be read on the network; `allowHttp: true` allows it anyway',
      })
    }
  })

export type SourceConfig = z.output<typeof tailscaleSchema>

type CredentialSettings = Pick<SourceConfig, 'apiKey' | 'oauthClientId' | 'oauthClientSecret' | 'idTokenFile'>

/** Credentials that conflict, or half of a pair. None at all is no error here: not every command needs credentials. */
function credentialFaults(settings: CredentialSettings): { path: keyof CredentialSettings; message: string }[] {
  const has = (name: keyof CredentialSettings) => settings[name] !== undefined
  if (has('apiKey')) {
    const others = (['oauthClientId', 'oauthClientSecret', 'idTokenFile'] as const).filter(has)
    if (others.length === 0) return keyFaults(settings.apiKey?.reveal() ?? '')
    return [{ path: 'apiKey', message: `two kinds of credentials: keep either apiKey or ${others.join(' and ')}` }]
  }
  if (has('oauthClientSecret') && has('idTokenFile')) {
    return [{ path: 'idTokenFile', message: 'two kinds of credentials: keep either oauthClientSecret or idTokenFile' }]
  }
  for (const path of ['oauthClientSecret', 'idTokenFile'] as const) {
    if (has(path) && !has('oauthClientId')) return [{ path: 'oauthClientId', message: `is missing; ${path} needs it` }]
  }
  const exchanged = exchangedFaults(settings)
  if (exchanged.length > 0) return exchanged
  if (has('oauthClientId') && !has('oauthClientSecret') && !has('idTokenFile')) {
    return [
      { path: 'oauthClientId', message: 'needs oauthClientSecret, or idTokenFile for workload identity, beside it' },
    ]
  }
  return []
}

/** Secrets of Tailscale begin with `tskey-`, ids do not. */
function exchangedFaults({ oauthClientId, oauthClientSecret }: CredentialSettings) {
  const secret = oauthClientSecret?.reveal() ?? ''
  if (oauthClientId?.startsWith('tskey-')) {
    const isExchanged = secret !== '' && !secret.startsWith('tskey-')
    const message = isExchanged
      ? 'holds the secret, and oauthClientSecret the id; exchange them'
      : 'is a secret or a key (tskey-...), not an id; copy the client id, and put the secret into oauthClientSecret'
    return [{ path: 'oauthClientId' as const, message }]
  }
  if (!/^tskey-(?:api|auth)-/.test(secret)) return []
  const message =
    'is no secret of an OAuth client (tskey-client-...); set apiKey alone for an API access token (tskey-api-...)'
  return [{ path: 'oauthClientSecret' as const, message }]
}

/** Other keys of Tailscale, by their prefix. The API only answers that they have no permission, which is misleading. */
function keyFaults(key: string): { path: 'apiKey'; message: string }[] {
  if (/^["']/.test(key))
    return [{ path: 'apiKey', message: 'is in quotation marks, which are part of it; remove them' }]
  if (!/^[\u0021-\u007e]+$/.test(key))
    return [{ path: 'apiKey', message: 'has characters that no key contains; copy it again' }]
  const remedy = [
    {
      prefix: 'tskey-client-',
      text: 'is the secret of an OAuth client: set oauthClientId and oauthClientSecret instead',
    },
    {
      prefix: 'tskey-auth-',
      text: 'is an auth key, for adding devices: the API needs an API access token (tskey-api-...)',
    },
  ].find(({ prefix }) => key.startsWith(prefix))
  return remedy ? [{ path: 'apiKey', message: remedy.text }] : []
}

function isPlainUrl(text: string): boolean {
  const url = URL.parse(text)
  if (url === null || (url.protocol !== 'https:' && url.protocol !== 'http:')) return false
  return url.username === '' && url.password === '' && !/[?#]/.test(text)
}

/** Encrypted, or never leaves this machine. */
function isPrivateEnough(url: URL): boolean {
  if (url.protocol === 'https:') return true
  const host = url.hostname
  return (
    host === 'localhost' || host.endsWith('.localhost') || host === '[::1]' || (isIPv4(host) && host.startsWith('127.'))
  )
}
