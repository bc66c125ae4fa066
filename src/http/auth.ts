/** Access control: a token, compared in constant time. Without a token on a loopback address only requests that name this machine are
 * allowed: a web page could otherwise send a browser here under its own host name (DNS rebinding). */
import { createHash, timingSafeEqual } from 'node:crypto'
import { isIP } from 'node:net'
import type { Secret } from '../secrets/secret.ts'

type Access = 'allowed' | 'refused' | 'foreign_name'

export interface Auth {
  /** For pages and data. `authorization` and `host`: the header lines. A token may come as Basic too, for which browsers prompt;
   * @fastify/bearer-auth would refuse it, and guards the commands alone. */
  check(authorization: string | undefined, host: string | undefined): Promise<Access>
  /** For commands, by bearer token only: browsers send Basic credentials by themselves, also when another site triggers the request. */
  isToken(given: string): Promise<boolean>
  /** There is a token, so commands over HTTP are possible. */
  readonly acceptsActions: boolean
}

/** `controlToken`: a second one, for commands on this machine. */
export function createAuth({
  host,
  token,
  controlToken,
}: {
  host: string
  token?: Secret | undefined
  controlToken?: string | undefined
}): Auth {
  const isLocalOnly = isLoopback(host)

  async function isConfiguredToken(given: string): Promise<boolean> {
    return token !== undefined && isSame(given, await token.read())
  }

  function isControlToken(given: string): boolean {
    return controlToken !== undefined && isSame(given, controlToken)
  }

  async function isToken(given: string): Promise<boolean> {
    return isControlToken(given) || (await isConfiguredToken(given))
  }

  return {
    acceptsActions: token !== undefined || controlToken !== undefined,
    async check(authorization, hostHeader) {
      if (token === undefined) return isLocalOnly && !isLoopback(nameOf(hostHeader)) ? 'foreign_name' : 'allowed'
      const bearerToken = bearer(authorization)
      const password = basicPassword(authorization)
      const isAllowed =
        bearerToken !== undefined
          ? await isToken(bearerToken)
          : password !== undefined && (await isConfiguredToken(password))
      return isAllowed ? 'allowed' : 'refused'
    },
    isToken,
  }
}

/** Digests, because `timingSafeEqual` needs equal lengths. */
function isSame(one: string, other: string): boolean {
  return timingSafeEqual(digest(one), digest(other))
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}

function bearer(line: string | undefined): string | undefined {
  return /^bearer +(\S+)$/i.exec(line ?? '')?.[1]
}

/** For browsers, which prompt for user name and password: any user name works. */
function basicPassword(line: string | undefined): string | undefined {
  const encoded = /^basic +(\S+)$/i.exec(line ?? '')?.[1]
  const pair = encoded && Buffer.from(encoded, 'base64').toString()
  return pair ? pair.slice(pair.indexOf(':') + 1) : undefined
}

/** The Host header without its port. */
function nameOf(host: string | undefined): string {
  return (host ?? '').replace(/:\d*$/, '').replace(/^\[(.*)\]$/, '$1')
}

/** Names are the same in any case, and with the dot at the end that makes them absolute. */
export function isLoopback(host: string): boolean {
  const name = host.toLowerCase().replace(/\.$/, '')
  if (name === 'localhost' || name.endsWith('.localhost') || name === '::1') return true
  return isIP(name) === 4 && name.startsWith('127.')
}
