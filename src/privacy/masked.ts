/** Puts masks in front of the flattener and the names. */

import { hashBytes } from '../base/hash.ts'
import type { Names } from '../directory/names.ts'
import type { Flattener } from '../flatten/flatten.ts'
import { shortName } from '../flatten/tag-value.ts'
import {
  DST,
  END_ADDRESS_END,
  END_ADDRESS_START,
  END_HASH,
  END_PORT,
  END_TEXT_END,
  END_TEXT_START,
  ENTRY_CELLS,
  type Message,
  NODE_ADDRESS_CELLS,
  NODE_CELLS,
  SRC,
} from '../source/parse/message.ts'
import { textOf } from '../source/parse/text.ts'
import type { Device } from '../source/source.ts'
import type { Mask } from './mask.ts'

/** Readers of words look that far behind a text. */
const SPARE = 64

/** The same flattener, which sees masked messages only. */
export function maskedFlattener(flattener: Flattener, mask: Mask): Flattener {
  const { names, externalAddresses } = mask.config
  if (names === 'keep' && externalAddresses === 'keep') return flattener
  const masked = createMasked(mask)
  return { flatten: (message) => flattener.flatten(masked(message)) }
}

/** The same names, told and kept behind the mask only. */
export function maskedNames<T extends Names>(names: T, mask: Mask): T {
  if (mask.config.names === 'keep') return names
  return {
    ...names,
    recordOf(addressOrId, atNs) {
      const record = names.recordOf?.(addressOrId, atNs)
      const name = record && mask.name(record.name)
      return record && name !== undefined ? { ...record, name } : undefined
    },
    nameOf(addressOrId, atNs) {
      const name = names.nameOf(addressOrId, atNs)
      return name === undefined ? undefined : mask.name(name)
    },
    observe(devices, atNs) {
      const named = maskedDevices(devices, mask).filter(({ name }) => name !== '')
      names.observe(named, atNs)
    },
  }
}

/** Devices with masked names and owners; the name is empty when nothing stands for it. */
export function maskedDevices(devices: readonly Device[], mask: Mask): readonly Device[] {
  if (mask.config.names === 'keep') return devices
  return devices.map(({ owner, ...device }) => {
    const shown = owner === undefined ? undefined : mask.owner(owner)
    return { ...device, name: mask.name(device.name) ?? '', ...(shown === undefined ? {} : { owner: shown }) }
  })
}

/** Copies the texts of a message, masked, into memory of its own: that of the reader holds the messages that are still to come. */
function createMasked(mask: Mask): (message: Message) => Message {
  const encoder = new TextEncoder()
  let memory = new Uint8Array(16 * 1024)
  let view = new DataView(memory.buffer)
  let used = 0
  let cells = new Int32Array(0)
  let nodeCells = new Int32Array(0)
  let nodeAddressCells = new Int32Array(0)

  function reserve(bytes: number): void {
    if (used + bytes + SPARE <= memory.length) return
    const grown = new Uint8Array(2 * (used + bytes + SPARE))
    grown.set(memory.subarray(0, used))
    memory = grown
    view = new DataView(memory.buffer)
  }

  /** Where the bytes lie now. */
  function copy({ text, textStart }: Message, start: number, end: number): number {
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

  function maskEnd(message: Message, at: number): void {
    const [start, end] = [cells[at + END_TEXT_START]!, cells[at + END_TEXT_END]!]
    if (start === end) {
      for (const cell of [END_TEXT_START, END_TEXT_END, END_ADDRESS_START, END_ADDRESS_END]) cells[at + cell] = 0
      return
    }
    const addressStart = cells[at + END_ADDRESS_START]!
    const address = textOf(
      message.text,
      message.textStart + addressStart,
      message.textStart + cells[at + END_ADDRESS_END]!,
    )
    const masked = mask.address(address)
    if (masked === address) {
      const textAt = copy(message, start, end)
      cells[at + END_TEXT_START] = textAt
      cells[at + END_TEXT_END] = used
      cells[at + END_ADDRESS_END] = textAt + cells[at + END_ADDRESS_END]! - start
      cells[at + END_ADDRESS_START] = textAt + addressStart - start
      return
    }
    const port = cells[at + END_PORT]!
    const isV6 = masked.includes(':')
    const textAt = put(port < 0 ? masked : isV6 ? `[${masked}]:${port}` : `${masked}:${port}`)
    const from = textAt + (port >= 0 && isV6 ? 1 : 0)
    // Masks are ASCII: as many bytes as characters.
    const to = from + masked.length
    cells[at + END_TEXT_START] = textAt
    cells[at + END_TEXT_END] = used
    cells[at + END_ADDRESS_START] = from
    cells[at + END_ADDRESS_END] = to
    cells[at + END_HASH] = hashBytes(memory, from, to)
  }

  function maskNodes(message: Message): void {
    for (let node = 0; node < message.nodeCount; node += 1) {
      const at = node * NODE_CELLS
      const [start, end] = [nodeCells[at]!, nodeCells[at + 1]!]
      const name = shortName(textOf(message.text, message.textStart + start, message.textStart + end))
      nodeCells[at] =
        mask.config.names === 'keep'
          ? copy(message, start, end)
          : put(name === undefined ? '' : (mask.name(name) ?? ''))
      nodeCells[at + 1] = used
    }
    for (let index = 0; index < message.nodeAddressCount; index += 1) {
      const at = index * NODE_ADDRESS_CELLS
      nodeAddressCells[at + 1] = copy(message, nodeAddressCells[at + 1]!, nodeAddressCells[at + 2]!)
      nodeAddressCells[at + 2] = used
    }
  }

  return (message) => {
    used = 0
    cells = message.cells.slice(0, message.entryCount * ENTRY_CELLS)
    for (let entry = 0; entry < message.entryCount; entry += 1) {
      maskEnd(message, entry * ENTRY_CELLS + SRC)
      maskEnd(message, entry * ENTRY_CELLS + DST)
    }
    const hasNodes = mask.config.names !== 'drop'
    if (hasNodes) {
      nodeCells = message.nodeCells.slice(0, message.nodeCount * NODE_CELLS)
      nodeAddressCells = message.nodeAddressCells.slice(0, message.nodeAddressCount * NODE_ADDRESS_CELLS)
      maskNodes(message)
    }
    return {
      ...message,
      text: memory,
      textStart: 0,
      view,
      cells,
      nodeCount: hasNodes ? message.nodeCount : 0,
      nodeCells,
      nodeAddressCount: hasNodes ? message.nodeAddressCount : 0,
      nodeAddressCells,
      srcNode: hasNodes ? message.srcNode : -1,
      srcNodeIsReporter: hasNodes && message.srcNodeIsReporter,
    }
  }
}
