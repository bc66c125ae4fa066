/** Devices of the tailnet, from the devices API: only what names and alerts need. */
import { z } from 'zod'
import type { Device } from './source.ts'

/** An answer with 100,000 devices has about 180 MB. */
export const DEVICES_BYTES_MAX = 512 * 1024 * 1024
export const DEVICE_BYTES_MAX = 1024 * 1024

const text = z.string().catch('')

/** Default members of the devices API. Older ones have no `nodeId`; all may be empty. */
const wireDevice = z.object({
  nodeId: text,
  id: text,
  name: text,
  hostname: text,
  addresses: z.array(text).catch([]),
  user: text,
  tags: z.array(text).catch([]),
})

/** Undefined for what has no id or no name, so that nothing could be named by it. Without a stable id, the older numeric one keeps the
 * device apart from others: it has a name by its addresses only. */
export function deviceOf(wire: unknown): Device | undefined {
  const parsed = wireDevice.safeParse(wire)
  if (!parsed.success) return undefined
  const { nodeId, id, name, hostname, addresses, user, tags } = parsed.data
  const owner = tags.filter(Boolean).toSorted().join() || user
  const device = {
    nodeId: nodeId || id,
    name: name.split('.', 1)[0] || hostname,
    addresses: addresses.filter((address) => address !== ''),
    ...(owner === '' ? {} : { owner }),
  }
  return device.nodeId === '' || device.name === '' ? undefined : device
}
