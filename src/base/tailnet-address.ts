/** Addresses that only devices and services of a tailnet have: 100.64.0.0/10, fd7a:115c:a1e0::/48 (tailscale net/tsaddr). */
const TAILNET_ADDRESS = '^(?:100\\.(?:6[4-9]|[7-9][0-9]|1[01][0-9]|12[0-7])\\.|fd7a:115c:a1e0:)'

const PATTERN = new RegExp(TAILNET_ADDRESS)

export function isTailnetAddress(address: string): boolean {
  return PATTERN.test(address)
}
