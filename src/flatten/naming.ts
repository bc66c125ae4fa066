/** Names of the devices in a message: which name each address and the reporting node had at the message's time. The name from the message itself
 * comes first, then the one from the name history. */
import type { NameRecord, Names } from '../directory/names.ts'
import { type Message, NODE_ADDRESS_CELLS, NODE_CELLS } from '../source/parse/message.ts'
import { StringInterner, textIn } from '../source/parse/text.ts'
import type { FlatPoints } from './flat-points.ts'
import type { NameCache } from './name-cache.ts'
import { TAG_BYTES_MAX } from './points.ts'
import { shortName, tagValue } from './tag-value.ts'

export type NameSource = Pick<Names, 'nameOf' | 'version' | 'mayKnow' | 'recordOf'>

/** Reporting nodes whose names are remembered. */
const REPORTERS_MAX = 20_000

interface Reporter {
  /** Tag values. */
  readonly node: string
  readonly name: string
  /** It has this name from `fromNs` until `toNs` (exclusive), in this version of the name history. */
  readonly fromNs: bigint
  readonly toNs: bigint
  readonly version: number
}

const NAMELESS: NameRecord = { name: '', fromNs: 0n, toNs: 0n }
const DOT = 0x2e

export interface Naming {
  /** Sets the names of the points, after all entries of the message were added. */
  name(message: Message): void
}

export function createNaming(points: FlatPoints, names: NameSource, cache: NameCache): Naming {
  const { table } = points
  const texts = new StringInterner()
  const reporters = new Map<string, Reporter>()
  let message: Message
  /** The time whose names count. */
  let asOfNs = 0n

  function name(next: Message): void {
    message = next
    asOfNs = message.loggedNs < message.startNs ? message.loggedNs : message.startNs
    cache.useVersion(names.version())
    nameReporter()
    // srcNode before dstNodes, then in the order of the message.
    if (message.srcNode >= 0) nameFromMessage(true)
    nameFromMessage(false)
    for (let index = 0; index < table.count; index++) if (table.lacksName(index)) nameFromHistory(index)
  }

  function nameFromHistory(index: number): void {
    if (names.mayKnow?.(table.hash(index)) === false) return table.name(index, undefined)
    const place = table.findCached(cache, index, asOfNs)
    if (place >= 0) {
      table.putCached(cache, place)
      return table.nameAsPut(index)
    }
    const record = recordOf(table.text(index))
    if (record === undefined || record.name === '') return table.name(index, undefined)
    table.name(index, record.name)
    table.cachePut(cache, index, record)
  }

  /** The record of the name history. Without `recordOf` it is valid for no range of time, so it is never remembered. */
  function recordOf(addressOrId: string): NameRecord | undefined {
    if (names.recordOf) return names.recordOf(addressOrId, asOfNs)
    const found = names.nameOf(addressOrId, asOfNs)
    return found === undefined ? undefined : { name: found, fromNs: 0n, toNs: 0n }
  }

  /** Names addresses by the devices in the message: only srcNode, or all others. */
  function nameFromMessage(onlySrcNode: boolean): void {
    const cells = message.nodeAddressCells
    /** The node whose name was put last. */
    let current = -1
    let hasName = true
    for (let i = 0; i < message.nodeAddressCount; i++) {
      const cell = i * NODE_ADDRESS_CELLS
      const node = cells[cell]!
      if ((node === message.srcNode) !== onlySrcNode) continue
      if (node === current && !hasName) continue
      const start = cells[cell + 1]!
      const end = cells[cell + 2]!
      if (start === end) continue
      const address = message.plain
        ? table.find(message.view, message.textStart + start, message.textStart + end, cells[cell + 3]!)
        : table.internText(textIn(message, start, end))
      if (address < 0 || !table.lacksName(address)) continue
      if (node !== current) {
        current = node
        hasName = putName(node)
      }
      if (hasName) table.nameAsPut(address)
    }
  }

  /** Puts the short name of a node into the table; false when it has none. */
  function putName(node: number): boolean {
    if (!message.plain) {
      const found = nameOfNode(node)
      if (found !== undefined) table.putText(found)
      return found !== undefined
    }
    const start = nameStart(node)
    const end = shortNameEnd(node, start)
    if (end > start) table.put(message.view, start, end)
    return end > start
  }

  function nameReporter(): void {
    const own = message.srcNodeIsReporter ? ownNameOfReporter() : undefined
    if (own === undefined) {
      const reporter = reporterOf(message.nodeId)
      points.node = reporter.node
      points.nodeName = reporter.name
    } else {
      points.node = tagValue(message.nodeId)
      points.nodeName = tagValue(own)
    }
  }

  /** The reporting node with its name in the name history. */
  function reporterOf(nodeId: string): Reporter {
    const version = names.version()
    const found = reporters.get(nodeId)
    if (found?.version === version && found.fromNs <= asOfNs && asOfNs < found.toNs) return found
    const { fromNs, toNs, ...record } = recordOf(nodeId) ?? NAMELESS
    const made = { node: tagValue(nodeId), name: tagValue(record.name || nodeId), fromNs, toNs, version }
    if (reporters.size >= REPORTERS_MAX) reporters.clear()
    reporters.set(nodeId, made)
    return made
  }

  /** The name of the reporting node in the message itself. */
  function ownNameOfReporter(): string | undefined {
    if (!message.plain) return nameOfNode(message.srcNode)
    const start = nameStart(message.srcNode)
    const end = shortNameEnd(message.srcNode, start)
    return end > start ? texts.of(message.text, message.view, start, end) : undefined
  }

  function nameOfNode(node: number): string | undefined {
    const cell = node * NODE_CELLS
    return shortName(textIn(message, message.nodeCells[cell]!, message.nodeCells[cell + 1]!))
  }

  /** Where the name of a node begins in the text of a plain message. */
  function nameStart(node: number): number {
    return message.textStart + message.nodeCells[node * NODE_CELLS]!
  }

  /** Where the short name of a node ends that begins at `start`. */
  function shortNameEnd(node: number, start: number): number {
    const last = Math.min(message.textStart + message.nodeCells[node * NODE_CELLS + 1]!, start + TAG_BYTES_MAX)
    let end = start
    while (end < last && message.text[end] !== DOT) end += 1
    return end
  }

  return { name }
}
