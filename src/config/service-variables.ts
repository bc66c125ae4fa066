/** Variables that Kubernetes sets in each container for the Services of its namespace. A Service called `tailflux-influxdb` gives
 * TAILFLUX_INFLUXDB_SERVICE_HOST, TAILFLUX_INFLUXDB_PORT_8086_TCP_ADDR and more: they have our prefixes and are no settings. */
import { isIP } from 'node:net'
import type { Environment } from './variables.ts'

const isUrl = (value: string) => /^(tcp|udp|sctp):\/\/(\[[\da-f:.]+\]|[\d.]+):\d{1,5}$/i.test(value)
const isPort = (value: string) => /^\d{1,5}$/.test(value) && Number(value) <= 65_535
const isAddress = (value: string) => isIP(value) !== 0
const PORT = '_PORT_\\d{1,5}_(?:TCP|UDP|SCTP)'

/** All of them. The value must fit too, so that a setting with a wrong name is never passed over. */
const SHAPES: readonly { readonly name: RegExp; readonly fits: (value: string) => boolean }[] = [
  { name: /_SERVICE_HOST$/, fits: isAddress },
  { name: /_PORT$/, fits: isUrl },
  { name: new RegExp(`${PORT}$`), fits: isUrl },
  { name: new RegExp(`${PORT}_PROTO$`), fits: (value) => /^(tcp|udp|sctp)$/i.test(value) },
  { name: new RegExp(`${PORT}_PORT$`), fits: isPort },
  { name: new RegExp(`${PORT}_ADDR$`), fits: isAddress },
]
/** A number alone proves nothing: the host of the same Service must be there. */
const SERVICE_PORT = /^(.+)_SERVICE_PORT(?:_[A-Z0-9_]+)?$/

/** Is this variable one that Kubernetes sets for a Service? */
export function isOfService(variable: string, env: Environment): boolean {
  const value = env[variable] ?? ''
  const service = SERVICE_PORT.exec(variable)?.[1]
  if (service !== undefined && isPort(value) && isAddress(env[`${service}_SERVICE_HOST`] ?? '')) return true
  return SHAPES.some(({ name, fits }) => name.test(variable) && fits(value))
}
