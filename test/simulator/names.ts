/** What the devices API says of a simulated tailnet, as names for alerts and the status page. */
import type { NodeNames } from '../../src/directory/node-names.ts'
import { deviceOf } from '../../src/source/devices.ts'
import { NOON_NS } from '../helpers/fake-clock.ts'
import type { Tailnet } from './tailnet.ts'

export function namesOf(tailnet: Tailnet, atNs = NOON_NS): NodeNames {
  const names = new Map<string, string>()
  const ids = new Map<string, string>()
  for (const text of tailnet.devices(atNs)) {
    const device = deviceOf(JSON.parse(text), 0)
    if (device === undefined) continue
    for (const key of [device.nodeId, ...device.addresses]) {
      names.set(key, device.name)
      ids.set(key, device.nodeId)
    }
  }
  return { nameOf: (key) => names.get(key), nodeOf: (address) => ids.get(address) }
}

/** As the directory says it: tags, or else the user. */
export function ownersOf(tailnet: Tailnet): Map<string, string> {
  return new Map(
    tailnet.nodes.map(({ nodeId, tags, user }) => [nodeId, tags ? tags.toSorted().join() : (user ?? 'none')]),
  )
}
