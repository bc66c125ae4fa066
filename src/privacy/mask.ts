/** privacy/: names and public addresses are masked before anything else sees them, so that nothing behind (points, dead lines of the database, live
 * view, alerts) can tell more. Masks are pure functions of the text and a key, so the same message stays the same points. Entries that look
 * alike behind the mask are summed like all entries with equal tags: the mask comes before the flattening. */
import { createHmac } from 'node:crypto'
import ipaddr from 'ipaddr.js'
import type { PrivacyConfig } from './config.ts'

export interface Mask {
  readonly config: PrivacyConfig
  /** What stands for a short device name; undefined: nothing does. */
  name(text: string): string | undefined
  /** What stands for the owner of a device: tags stay, login names are masked as device names are. */
  owner(text: string): string | undefined
  /** What stands for an address without port; itself when it is not public. */
  address(text: string): string
}

/** Names and addresses that are remembered, each. */
const CACHED_MAX = 50_000
const DIGITS = 12
const MASKED_NAME = /^name-[0-9a-f]{12}$/
const DROPPED = 'external'
/** Of networks that the Internet does not route; Tailscale's own are among them (100.64.0.0/10, fd7a:115c:a1e0::/48). */
const INTERNAL: ReadonlySet<string> = new Set([
  'private',
  'carrierGradeNat',
  'uniqueLocal',
  'loopback',
  'linkLocal',
  'multicast',
  'broadcast',
  'unspecified',
])

/** `key`: 32 random bytes of this installation; without it hashes of addresses could be found out by trying all of them. */
export function createMask(config: PrivacyConfig, key: Uint8Array): Mask {
  const names = createCache((text) => `name-${digest(`name ${text}`)}`)
  const owners = createCache((text) => `user-${digest(`user ${text}`)}`)
  const addresses = createCache(maskedAddress)

  function digest(text: string): string {
    return createHmac('sha256', key).update(text).digest('hex').slice(0, DIGITS)
  }

  function maskedAddress(text: string): string {
    const parsed = ipaddr.isValid(text) ? ipaddr.process(text) : undefined
    if (parsed !== undefined && INTERNAL.has(parsed.range())) return text
    if (config.externalAddresses === 'drop') return DROPPED
    if (config.externalAddresses === 'hash') return `ext-${digest(`address ${parsed?.toNormalizedString() ?? text}`)}`
    // What is no address has no network.
    if (parsed === undefined) return DROPPED
    const bits = parsed.kind() === 'ipv4' ? 24 : 48
    const network = parsed.kind() === 'ipv4' ? ipaddr.IPv4 : ipaddr.IPv6
    return network.networkAddressFromCIDR(`${parsed.toNormalizedString()}/${bits}`).toString()
  }

  return {
    config,
    name(text) {
      if (config.names === 'keep' || text === '') return text
      if (config.names === 'drop') return undefined
      // Names that were observed behind the mask are masked already.
      return MASKED_NAME.test(text) ? text : names(text)
    },
    owner(text) {
      if (config.names === 'keep' || text.split(',').every((one) => one.startsWith('tag:'))) return text
      return config.names === 'drop' ? undefined : owners(text)
    },
    address: (text) => (config.externalAddresses === 'keep' ? text : addresses(text)),
  }
}

/** Remembers the newest answers. */
function createCache(work: (text: string) => string): (text: string) => string {
  const known = new Map<string, string>()
  return (text) => {
    const found = known.get(text)
    if (found !== undefined) return found
    const made = work(text)
    if (known.size >= CACHED_MAX) known.clear()
    known.set(text, made)
    return made
  }
}
