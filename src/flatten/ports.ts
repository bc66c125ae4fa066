/** Which port a point keeps. A client uses a new port for each connection, so keeping both ports would make one series per connection. */
import { z } from 'zod'
import { KINDS } from '../source/parse/message.ts'

export const PORTS = ['service', 'none', 'full'] as const
export type Ports = (typeof PORTS)[number]

export const portsSchema = z
  .enum(PORTS)
  .default('service')
  .describe(
    'Which ports raw points keep: `service` the port of the side that offers the service, `none` no port, `full` both ports of every connection (one series per connection). A change is valid from the first whole minute that begins more than an hour later.',
  )

/** The ports of clients begin here (Linux 32768 to 60999, IANA and others 49152 to 65535), so a lower port belongs to a service. */
const EPHEMERAL_MIN = 32768

/** There is no service port. */
export const NO_PORT = -1

/** 1 for the protocols whose ports mean a service: tcp, udp, dccp, sctp. */
const HAS_PORTS = new Uint8Array(256)
for (const proto of [6, 17, 33, 132]) HAS_PORTS[proto] = 1
const PHYSICAL = KINDS.indexOf('physical')

/** The lower of the two ports if it is below 32768; a port of 0 or -1 (absent) does not count. NO_PORT when that leaves none, for
 * protocols without ports, and for physical traffic (its ports are endpoints of NAT). `proto`: cell of a message. */
export function servicePort(kind: number, proto: number, one: number, other: number): number {
  if (kind === PHYSICAL || proto > 255 || HAS_PORTS[proto] === 0) return NO_PORT
  const lower = one <= 0 ? other : other <= 0 || one < other ? one : other
  return lower > 0 && lower < EPHEMERAL_MIN ? lower : NO_PORT
}
