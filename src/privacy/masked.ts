/** Applies the masks: to the addresses of messages before they are flattened, to devices before their names are kept, to names when they are looked up. */

import { CollectorError } from '../base/errors.ts'
import type { Flattener } from '../flatten/flatten.ts'
import type { Entries } from '../flatten/points.ts'
import { splitAddress } from '../source/parse/address.ts'
import {
  DST,
  END_ADDRESS_END,
  END_ADDRESS_START,
  END_PORT,
  END_TEXT_END,
  END_TEXT_START,
  ENTRY_CELLS,
  SRC,
} from '../source/parse/message.ts'
import { textIn } from '../source/parse/text.ts'
import type { Device } from '../source/source.ts'
import type { AddressMask, Mask } from './mask.ts'

/** Bytes after a text that may be read with it. */
const SPARE = 64

/** A flattener that gets messages with masked addresses. `maskAt`: the mask for a message with this `start`, ns; `keep` when addresses stay,
 * `no_key` when it needs a key that is not in the settings: then `flatten` throws a CollectorError `privacy_key_missing` (hold). */
export function maskedFlattener(
  flattener: Flattener,
  maskAt: (startNs: bigint) => AddressMask | 'keep' | 'no_key',
): Flattener {
  const masked = createMasked()
  return {
    flatten(message) {
      const mask = maskAt(message.startNs)
      if (mask === 'keep') return flattener.flatten(message)
      if (mask !== 'no_key') return flattener.flatten(masked(message, mask))
      throw new CollectorError(
        'Addresses of this time were hashed with a key that is not in the settings any more: set privacy.formerKey (TAILFLUX_PRIVACY_FORMER_KEY) to it, and read that time again with tailflux backfill --again.',
        { stage: 'flatten', code: 'privacy_key_missing', reaction: 'hold' },
      )
    },
  }
}

/** Devices with masked names and owners; the name is empty when it is dropped. */
export function maskedDevices(devices: readonly Device[], mask: Mask): readonly Device[] {
  if (mask.config.names === 'keep') return devices
  return devices.map(({ owner, ...device }) => {
    const shown = owner === undefined ? undefined : mask.owner(owner)
    return { ...device, name: mask.name(device.name) ?? '', ...(shown === undefined ? {} : { owner: shown }) }
  })
}

function withPort(address: string, port: number): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
}

/** Copies the texts of entries, masked, into new memory, because the memory of the reader also holds the messages that come next. */
function createMasked(): (message: Entries, mask: AddressMask) => Entries {
  const encoder = new TextEncoder()
  let memory = new Uint8Array(16 * 1024)
  let view = new DataView(memory.buffer)
  let used = 0
  let cells = new Int32Array(0)

  function reserve(bytes: number): void {
    if (used + bytes + SPARE <= memory.length) return
    const grown = new Uint8Array(2 * (used + bytes + SPARE))
    grown.set(memory.subarray(0, used))
    memory = grown
    view = new DataView(memory.buffer)
  }

  /** Returns where the bytes are in the new memory. */
  function copy({ text, textStart }: Entries, start: number, end: number): number {
    reserve(end - start)
    const at = used
    memory.set(text.subarray(textStart + start, textStart + end), at)
    used += end - start
    return at
  }

  function put(text: string): number {
    reserve(3 * text.length)
    const at = used
    used += encoder.encodeInto(text, memory.subarray(at)).written
    return at
  }

  function maskEndpoint(message: Entries, mask: AddressMask, at: number): void {
    const [start, end] = [cells[at + END_TEXT_START]!, cells[at + END_TEXT_END]!]
    const address = textIn(message, cells[at + END_ADDRESS_START]!, cells[at + END_ADDRESS_END]!)
    const masked = start === end ? address : mask(address)
    const port = cells[at + END_PORT]!
    const textAt = masked === address ? copy(message, start, end) : put(port < 0 ? masked : withPort(masked, port))
    splitAddress(memory, textAt, used, 0, cells, at)
  }

  return (message, mask) => {
    used = 0
    cells = message.cells.slice(0, message.entryCount * ENTRY_CELLS)
    for (let entry = 0; entry < message.entryCount; entry += 1) {
      maskEndpoint(message, mask, entry * ENTRY_CELLS + SRC)
      maskEndpoint(message, mask, entry * ENTRY_CELLS + DST)
    }
    return { ...message, text: memory, textStart: 0, view, cells }
  }
}
