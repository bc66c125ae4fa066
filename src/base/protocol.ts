/** Protocol numbers and their names: IANA's keywords in lower case, and two that Tailscale adds (tailscale types/ipproto). */

const KEYWORDS: readonly (readonly [number, string])[] = [
  [0, 'none'],
  [1, 'icmp'],
  [2, 'igmp'],
  [6, 'tcp'],
  [17, 'udp'],
  [33, 'dccp'],
  [47, 'gre'],
  [50, 'esp'],
  [51, 'ah'],
  [58, 'ipv6-icmp'],
  [99, 'tsmp'],
  [132, 'sctp'],
  [255, 'fragment'],
]

/** Tag value of each number from 0 to 255: the keyword where there is one, otherwise the decimal number. */
export const PROTO_TAGS: readonly string[] = (() => {
  const tags = Array.from({ length: 256 }, (_, number) => String(number))
  for (const [number, keyword] of KEYWORDS) tags[number] = keyword
  return tags
})()

const NUMBERS = new Map<string, number>([
  ...KEYWORDS.map(([number, keyword]): [string, number] => [keyword, number]),
  ['icmpv4', 1],
  ['icmpv6', 58],
  ['icmp6', 58],
])

/** A number from 0 to 255, or the text that names the protocol: a lower-case name, or a decimal number outside that range. */
export function protoOf(name: string): number | string {
  const lower = name.toLowerCase()
  const known = NUMBERS.get(lower)
  if (known !== undefined) return known
  if (lower === '') return 0
  if (!/^-?\d+$/.test(lower) || !Number.isSafeInteger(Number(lower))) return lower
  const number = Number(lower)
  return number >= 0 && number <= 255 ? Math.abs(number) : String(number)
}
