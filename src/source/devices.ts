/** Devices of the tailnet, from the devices API: only what the directory and alerts need. */
import { isIP } from 'node:net'
import { z } from 'zod'
import { type Code, CollectorError } from '../base/errors.ts'
import { type CutFault, createArrayCutter } from './parse/array-cutter.ts'
import { NOTHING, TOO_LARGE } from './parse/element-reader.ts'
import { textOf } from './parse/text.ts'
import type { Device } from './source.ts'

/** An answer with 100,000 devices has about 180 MB. */
export const DEVICES_BYTES_MAX = 512 * 1024 * 1024
const DEVICE_BYTES_MAX = 1024 * 1024
/** More than any tailnet has; an answer that does not end must not fill the memory. */
export const DEVICES_MAX = 200_000
/** A device has two. */
const ADDRESSES_MAX = 16

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
  isExternal: z.boolean().catch(false),
  os: text,
  connectedToControl: z.boolean().optional().catch(undefined),
  lastSeen: text,
})

/** Older answers do not say whether a device is connected. Then it is, if it was seen this recently. */
const CONNECTED_MS = 600_000

/** Undefined for what has no id or no name, so that nothing could be named by it. Without a stable id, the older numeric one keeps the
 * device apart from others: it has a name by its addresses only. `nowMs`: the local clock. */
export function deviceOf(wire: unknown, nowMs: number): Device | undefined {
  const parsed = wireDevice.safeParse(wire)
  if (!parsed.success) return undefined
  const { nodeId, id, name, hostname, addresses, user, tags, isExternal, os, connectedToControl, lastSeen } =
    parsed.data
  const isConnected = connectedToControl ?? nowMs - Date.parse(lastSeen) < CONNECTED_MS
  const owner = tags.filter(Boolean).toSorted().join() || user
  const device = {
    nodeId: nodeId || id,
    name: name.split('.', 1)[0] || hostname,
    // A device without an address has a sentence in its place: the same one for all of them.
    addresses: addresses.filter((address) => isIP(address) !== 0).slice(0, ADDRESSES_MAX),
    ...(owner === '' ? {} : { owner }),
    ...(os === '' ? {} : { os }),
    ...(isConnected ? { isConnected } : {}),
    ...(isExternal ? { isExternal } : {}),
  }
  return device.nodeId === '' || device.name === '' ? undefined : device
}

/** Whose each node id and address is, by one answer of the devices API. Two devices may have one address (one that is shared in from another
 * tailnet keeps the address that it has there). Then it is that of the tailnet's own device, and among several of those that of the one whose
 * node id comes first as text; so the same devices give the same names, in whatever order the API lists them. */
export function deviceByKey(devices: readonly Device[]): Map<string, Device> {
  const byKey = new Map<string, Device>()
  for (const device of devices) {
    for (const key of [device.nodeId, ...device.addresses]) {
      const other = byKey.get(key)
      if (other === undefined || isBefore(device, other)) byKey.set(key, device)
    }
  }
  return byKey
}

function isBefore(one: Device, other: Device): boolean {
  if (one.isExternal !== other.isExternal) return other.isExternal === true
  return one.nodeId === other.nodeId ? one.name < other.name : one.nodeId < other.nodeId
}

export interface ElementList {
  /** The elements that these bytes complete. Throws a CollectorError (retry): `api_not_json`, `api_too_large`, `api_truncated`. */
  push(chunk: Uint8Array): Generator<unknown>
  /** The answer is over. Throws `api_truncated` when its JSON is not, `api_not_json` when the list was missing. */
  end(): void
}

/** The elements of an answer such as `{"devices":[…]}`, one at a time, so that 50,000 devices need no more memory than five. */
export function createElementList(name: string, elementBytesMax = DEVICE_BYTES_MAX): ElementList {
  const cutter = createArrayCutter({ list: name, elementBytesMax, fault: ({ what }) => fault(what) })
  const { buffer, element } = cutter

  function fault(what: CutFault['what'] | typeof TOO_LARGE, cause?: unknown): CollectorError {
    let [code, is]: [Code, string] = ['api_not_json', `is not JSON with a list "${name}"`]
    if (what === TOO_LARGE) [code, is] = ['api_too_large', `has a part of more than ${elementBytesMax} bytes`]
    if (what === 'ended') [code, is] = ['api_truncated', 'ended before its JSON did']
    const text = `The answer with the ${name} ${is}; look for a proxy or portal in between, and check TAILSCALE_API_URL.`
    return new CollectorError(text, { stage: 'source', code, reaction: 'retry', cause })
  }

  function parse(text: string): unknown {
    try {
      return JSON.parse(text)
    } catch (cause) {
      throw fault('damaged', cause)
    }
  }

  return {
    *push(chunk) {
      cutter.push(chunk)
      for (let found = cutter.next(); found !== NOTHING; found = cutter.next()) {
        if (found === TOO_LARGE) throw fault(TOO_LARGE)
        yield parse(textOf(buffer.bytes, element.start, element.stop))
      }
    },
    end: cutter.end,
  }
}
