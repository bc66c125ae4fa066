/** What a failed connection means for the operator: codes of the system, of TLS, of the parser and of the proxy, as sentences. */
import { type ProxySettings, type ProxyVariable, readProxy, variableFor } from './proxy.ts'

/** The code of a system, TLS or parser error; empty when it has none. */
export function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : ''
}

const UNTRUSTED = new Set([
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'CERT_UNTRUSTED',
])

export function isTlsFault(code: string): boolean {
  return UNTRUSTED.has(code) || code.startsWith('CERT_') || code.startsWith('ERR_TLS_') || code.startsWith('ERR_SSL_')
}

/** What to do about a connection to `url` that failed with this error. Begins with a lower-case letter, ends without a full stop. */
export function remedyOf(error: unknown, url: string): string {
  const { proxy, noProxy } = proxyRemedies(error, url)
  if (proxy !== undefined) return proxy
  const remedy = plainRemedy(codeOf(error))
  return noProxy === undefined ? remedy : `${remedy}; ${noProxy}`
}

/** The same as a sentence without its full stop, for connections that have their own text when no proxy is the cause. */
export function remedyOr(otherwise: string, error: unknown, url: string): string {
  const { proxy, noProxy } = proxyRemedies(error, url)
  const remedy = proxy ?? (noProxy === undefined ? otherwise : `${otherwise}; ${noProxy}`)
  return `${remedy.charAt(0).toUpperCase()}${remedy.slice(1)}`
}

/** What a proxy has to do with it. `proxy`: it is the cause. `noProxy`: there is none, and that may be the cause. */
function proxyRemedies(
  error: unknown,
  url: string,
  settings: ProxySettings = readProxy(),
): { readonly proxy?: string; readonly noProxy?: string } {
  const code = codeOf(error)
  const variable = variableFor(url)
  const proxyUrl = settings.env[variable]
  if (code === 'ERR_PROXY_TUNNEL') return { proxy: tunnelRemedy(error, variable) }
  if (proxyUrl === undefined) {
    return NO_WAY.has(code) ? { noProxy: `if your network lets only a proxy out, name it in ${variable}` } : {}
  }
  if ((code !== 'ECONNREFUSED' && !NO_WAY.has(code)) || !isAbout(error, new URL(proxyUrl))) return {}
  return { proxy: `the proxy cannot be reached; check ${variable}, and that the proxy runs` }
}

/** No server refused the connection: there was no way to a host. */
const NO_WAY = new Set(['ENOTFOUND', 'EAI_AGAIN', 'ENETUNREACH', 'EHOSTUNREACH', 'ETIMEDOUT'])

/** The status of a proxy that wants a user and a password. For an https URL it is an error instead, because no connection is opened. */
export const PROXY_AUTH_REQUIRED = 407

/** What to do about this status. Begins with a lower-case letter, ends without a full stop. */
export function proxyUserRemedy(variable: ProxyVariable = 'HTTP_PROXY'): string {
  return `the proxy asks for a user and a password (407); write ${variable} as http://user:password@host:port`
}

function tunnelRemedy(error: unknown, variable: ProxyVariable): string {
  const status = error instanceof Error && 'statusCode' in error ? error.statusCode : undefined
  if (status === PROXY_AUTH_REQUIRED) return proxyUserRemedy(variable)
  const what = status === undefined ? 'did not open a connection in time' : `refused to connect (${status})`
  return `the proxy ${what}; check that it may reach this host, or name the host in NO_PROXY`
}

/** Whether the connection that failed is the one to the proxy. */
function isAbout(error: unknown, proxy: URL): boolean {
  // All addresses of one host were tried: each failed with an error of its own.
  const one: unknown = error instanceof AggregateError ? error.errors[0] : error
  if (!(one instanceof Error)) return false
  if ('hostname' in one) return one.hostname === proxy.hostname
  return 'port' in one && one.port === Number(proxy.port || (proxy.protocol === 'https:' ? 443 : 80))
}

function plainRemedy(code: string): string {
  if (UNTRUSTED.has(code)) {
    return 'its certificate is from an authority that is not trusted; if a proxy in your network re-signs connections, set caFile to its CA certificate'
  }
  if (code === 'CERT_HAS_EXPIRED')
    return 'its certificate has expired, or the clock of this machine is wrong; check both'
  if (code === 'CERT_NOT_YET_VALID') return 'its certificate is not valid yet; check the clock of this machine'
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID')
    return 'its certificate is for another host; check the API URL and what stands in between'
  if (code === 'EPROTO' || code === 'HPE_INVALID_CONSTANT' || code.startsWith('ERR_SSL_')) {
    return 'the two sides do not speak the same protocol; check whether the API URL must begin with http or https'
  }
  if (code.startsWith('HPE_'))
    return 'what it sends is not HTTP as it should be; look for a proxy in between, and check the API URL'
  if (code === 'ENOTFOUND') return 'the host name is not known; check the API URL and DNS'
  if (code === 'EAI_AGAIN') return 'DNS does not answer; check the DNS settings of this machine or container'
  if (code === 'ECONNREFUSED') return 'nothing listens there; check the API URL and the firewall'
  if (code === 'ENETUNREACH' || code === 'EHOSTUNREACH' || code === 'ETIMEDOUT')
    return 'there is no way to it; check the network and the firewall'
  return 'check the network, and a proxy or firewall in between'
}
