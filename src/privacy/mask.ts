/** Masks of names and public addresses. Addresses are masked before a message is flattened, names before the directory keeps them, so that no later
 * component (points, rows, alerts) ever has the original. A mask is a pure function of the text and a key, so the same message always
 * becomes the same points. Entries that are equal once they are masked are summed like all entries with equal tags. */
import { createHmac } from 'node:crypto'
import ipaddr from 'ipaddr.js'
import type { PrivacyConfig } from './config.ts'

export interface Mask {
  readonly config: Pick<PrivacyConfig, 'names'>
  /** The masked form of a short device name; undefined when names are dropped. */
  name(text: string): string | undefined
  /** The masked form of the owner of a device: tags stay, login names are masked like device names. */
  owner(text: string): string | undefined
}

/** The masked form of an address without port; the address itself when it is not public. */
export type AddressMask = (address: string) => string

/** Maximum entries of each cache. */
const CACHED_MAX = 50_000
const DIGITS = 12
const MASKED_NAME = /^name-[0-9a-f]{12}$/
const MASKED_OWNER = /^user-[0-9a-f]{12}$/
const DROPPED = 'external'
/** Ranges that are not routed on the Internet. Those of Tailscale (100.64.0.0/10, fd7a:115c:a1e0::/48) are among them. */
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

/** A mask of names. `key`: see key.ts; without one, anyone could find the name of a hash by trying all names. */
export function createMask(config: Pick<PrivacyConfig, 'names'>, key: Uint8Array): Mask {
  const names = createCache((text) => `name-${digest(key, `name ${text}`)}`)
  const owners = createCache((text) => `user-${digest(key, `user ${text}`)}`)
  return {
    config,
    name(text) {
      if (config.names === 'keep' || text === '') return text
      if (config.names === 'drop') return undefined
      // Names that were kept before are masked already.
      return MASKED_NAME.test(text) ? text : names(text)
    },
    owner(text) {
      if (config.names === 'keep' || text.split(',').every((one) => one.startsWith('tag:'))) return text
      if (config.names === 'drop') return undefined
      return MASKED_OWNER.test(text) ? text : owners(text)
    },
  }
}

/** `key`: used for `hash` alone. */
export function createAddressMask(
  mode: Exclude<PrivacyConfig['externalAddresses'], 'keep'>,
  key: Uint8Array,
): AddressMask {
  return createCache((text) => {
    const parsed = ipaddr.isValid(text) ? ipaddr.process(text) : undefined
    if (parsed !== undefined && INTERNAL.has(parsed.range())) return text
    if (mode === 'drop') return DROPPED
    if (mode === 'hash') return `ext-${digest(key, `address ${parsed?.toNormalizedString() ?? text}`)}`
    // A text that is not an address has no network to truncate to.
    if (parsed === undefined) return DROPPED
    const bits = parsed.kind() === 'ipv4' ? 24 : 48
    const network = parsed.kind() === 'ipv4' ? ipaddr.IPv4 : ipaddr.IPv6
    return network.networkAddressFromCIDR(`${parsed.toNormalizedString()}/${bits}`).toString()
  })
}

function digest(key: Uint8Array, text: string): string {
  return createHmac('sha256', key).update(text).digest('hex').slice(0, DIGITS)
}

/** Remembers results, and forgets all of them when there are too many. */
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
