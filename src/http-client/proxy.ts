/** The proxy of the environment, as curl and most programs know it: `HTTPS_PROXY` for https URLs, `HTTP_PROXY` for http URLs, `NO_PROXY` for
 * hosts that are asked directly. Lower-case names work too, and win. Node's agents do the work (their option `proxyEnv`); but they ignore a
 * proxy that they cannot use, and some entries of `NO_PROXY` that other programs know, so both are looked at here. */
import ipaddr from 'ipaddr.js'
import { CollectorError } from '../base/errors.ts'

export type ProxyVariable = 'HTTPS_PROXY' | 'HTTP_PROXY'

export interface ProxySettings {
  /** For Node's agents: user and password included. */
  readonly env: Readonly<Partial<Record<ProxyVariable, string>>> & { readonly NO_PROXY: string }
  /** For people: without user and password. Undefined without a proxy. */
  readonly text: string | undefined
  /** What must not be shown. */
  readonly passwords: readonly string[]
}

type Environment = Readonly<Record<string, string | undefined>>

/** This machine is never asked through a proxy. */
const LOCAL = ['localhost', '127.0.0.0-127.255.255.255', '::1', '[::1]']

/** Throws a CollectorError (`config_invalid`) for a proxy that cannot be used. */
export function readProxy(env: Environment = process.env): ProxySettings {
  const found = { NO_PROXY: [...LOCAL, ...exceptions(variableOf(env, 'NO_PROXY'))].join(',') } as {
    -readonly [name in keyof ProxySettings['env']]: ProxySettings['env'][name]
  }
  const shown: string[] = []
  const passwords: string[] = []
  for (const name of ['HTTPS_PROXY', 'HTTP_PROXY'] as const) {
    const value = variableOf(env, name)
    if (value === '') continue
    const url = proxyUrl(name, value)
    found[name] = url.href
    shown.push(`${url.protocol}//${url.host} (${name})`)
    if (url.password !== '') passwords.push(decoded(url.password))
  }
  const direct = variableOf(env, 'NO_PROXY').replace(/^[\s,]+|[\s,]+$/g, '')
  const text = shown.length === 0 ? undefined : `${shown.join(', ')}${direct === '' ? '' : `, not for ${direct}`}`
  return { env: found, text, passwords }
}

/** Which variable names the proxy for this URL. */
export function variableFor(url: string): ProxyVariable {
  return url.startsWith('https:') ? 'HTTPS_PROXY' : 'HTTP_PROXY'
}

function variableOf(env: Environment, name: ProxyVariable | 'NO_PROXY'): string {
  return (env[name.toLowerCase()] || env[name] || '').trim()
}

/** `proxy.example.com:3128` is meant as http, as curl takes it. */
function proxyUrl(name: ProxyVariable, value: string): URL {
  const url = URL.parse(/^[a-z][a-z0-9+.-]*:\/\//i.test(value) ? value : `http://${value}`)
  if (url !== null && /^https?:$/.test(url.protocol) && url.hostname !== '') return url
  // The value is not shown: it may hold a password.
  throw new CollectorError(
    `${name} is no proxy that can be used (SOCKS is not supported): write http://host:port or http://user:password@host:port`,
    { stage: 'config', code: 'config_invalid', reaction: 'hold' },
  )
}

/** Entries as other programs read them, in the way Node does: a domain means its hosts too, and `10.0.0.0/8` all its addresses. */
function exceptions(text: string): string[] {
  return text
    .split(/[\s,]+/)
    .filter((one) => one !== '')
    .flatMap((one) => {
      if (ipaddr.IPv4.isValidCIDR(one)) {
        const ends = [ipaddr.IPv4.networkAddressFromCIDR(one), ipaddr.IPv4.broadcastAddressFromCIDR(one)]
        return [ends.join('-')]
      }
      return /^[.*[]/.test(one) || ipaddr.isValid(one) ? [one] : [one, `*.${one}`]
    })
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    // A lone % is meant as it is.
    return text
  }
}
