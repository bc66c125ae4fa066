/** A message becomes points: entries with equal tags are summed, every address gets its name as of the message's time, and the books
 * are checked. The same message always gives the same points, whenever it is read. */
import { CollectorError } from '../base/errors.ts'
import { hashBytes } from '../base/hash.ts'
import type { NameRecord, Names } from '../directory/names.ts'
import {
  COUNTERS,
  DST,
  END_ADDRESS_END,
  END_ADDRESS_START,
  END_TEXT_END,
  END_TEXT_START,
  ENTRY_CELLS,
  KIND,
  KINDS,
  type Message,
  NODE_ADDRESS_CELLS,
  NODE_CELLS,
  PROTO,
  SRC,
} from '../source/parse/message.ts'
import { PROTO_TAGS } from '../source/parse/protocol.ts'
import { StringInterner } from '../source/parse/string-interner.ts'
import { textOf } from '../source/parse/text.ts'
import { NONE } from './address-table.ts'
import { type Aggregation, aggregateEntries } from './aggregate.ts'
import { createDigest } from './digest.ts'
import { ExactSums } from './exact-sums.ts'
import { FlatPoints } from './flat-points.ts'
import { NameCache } from './name-cache.ts'
import { type Points, TAG_BYTES_MAX } from './points.ts'
import type { Ports } from './ports.ts'
import { shortName, tagValue } from './tag-value.ts'

export interface FlattenOptions {
  /** Value of the tag `tailnet`; `-` (the token's own tailnet) becomes `default`. */
  readonly tailnet: string
  readonly ports: Ports
}

export interface Flattener {
  /** The returned points are valid until the next call. Throws a CollectorError `imbalance` (reject) when the counters of the
   * points are not those of the entries: a bug, so none of this message may be written. */
  flatten(message: Message): Points
}

/** Reporting nodes that are remembered. */
const REPORTERS_MAX = 20_000

interface Reporter {
  /** Tag values. */
  readonly node: string
  readonly name: string
  /** It has this name from then on, and until then, as long as the names are in this version. */
  readonly fromNs: bigint
  readonly toNs: bigint
  readonly version: number
}

const NAMELESS: NameRecord = { name: '', fromNs: 0n, toNs: 0n }

export function createFlattener(
  options: FlattenOptions,
  deps: { names: Pick<Names, 'nameOf' | 'version' | 'mayKnow' | 'recordOf'>; known?: NameCache },
): Flattener {
  const { names, known = new NameCache() } = deps
  const tailnet = tagValue(options.tailnet === '-' ? 'default' : options.tailnet)
  const full = options.ports === 'full'
  const keepsPort = options.ports !== 'none'
  const points = new FlatPoints(tailnet)
  const texts = new StringInterner()
  const reporters = new Map<string, Reporter>()
  const table = points.table
  const digest = createDigest()
  const encoder = new TextEncoder()
  const scratch = new Uint8Array(TAG_BYTES_MAX + 16)
  const scratchView = new DataView(scratch.buffer)
  const folding: Aggregation = { full, keepsPort, protoCells: [], endOfAny }
  let message: Message
  let asOfNs = 0n

  function flatten(next: Message): Points {
    message = next
    asOfNs = message.loggedNs < message.startNs ? message.loggedNs : message.startNs
    const addressesMax = message.entryCount * (full ? 4 : 2) + message.nodeAddressCount + 1
    points.begin(message, addressesMax)
    digest.begin()
    if (message.protoNames.length > 0) folding.protoCells = message.protoNames.map(protoCell)
    known.keepUp(names.version())
    nameReporter()
    if (message.exact) aggregateExactly(message.exact)
    else aggregateEntries(message, 0, message.entryCount, points, digest, folding)
    nameAll()
    points.finish(digest.of(message.nodeId, message.startNs))
    checkBooks()
    return points
  }

  /** Counters so large that a sum may leave int64: an entry whose counters do not fit any more is set aside before it is added. */
  function aggregateExactly(exact: BigInt64Array): void {
    const sums = new ExactSums(message.entryCount)
    points.exact = sums
    for (let i = 0; i < message.entryCount; i++) {
      const kind = message.cells[i * ENTRY_CELLS + KIND]!
      const counters = exact.subarray(i * 4, i * 4 + 4)
      if (sums.hasRoomFor(kind, counters)) {
        const point = aggregateEntries(message, i, i + 1, points, digest, folding)
        sums.add(points.flowCells, point, counters)
        digest.addExact(counters)
      } else {
        points.quarantined.push({ reason: 'bad_counter', text: entryText(message, i, counters), kind: KINDS[kind]! })
      }
    }
  }

  /** Index of one end of an entry whose text is not fit to be a tag value as it is. */
  function endOfAny(cells: Int32Array, at: number): number {
    if (cells[at + END_TEXT_START] === cells[at + END_TEXT_END]) return NONE
    const address = internAny(cells[at + END_ADDRESS_START]!, cells[at + END_ADDRESS_END]!)
    if (!full) return address
    const whole = internAny(cells[at + END_TEXT_START]!, cells[at + END_TEXT_END]!)
    table.setBare(whole, address)
    return whole
  }

  function internAny(start: number, end: number): number {
    const { written } = encoder.encodeInto(tagValue(textIn(message, start, end)), scratch)
    return table.intern(scratchView, 0, written, hashBytes(scratch, 0, written))
  }

  /** Names come last: a message tells about more addresses than its entries have, and each is named once. What the message itself tells
   * about devices goes before all else; srcNode before dstNodes, then the order of the wire. */
  function nameAll(): void {
    if (message.srcNode >= 0) nameNodesFrom(true)
    nameNodesFrom(false)
    for (let index = 0; index < table.count; index++) if (table.wantsName(index)) nameFromHistory(index)
    if (full) table.shareNames()
  }

  function nameFromHistory(index: number): void {
    if (names.mayKnow?.(table.hash(index)) === false) return table.name(index, undefined)
    const place = table.findKnown(known, index, asOfNs)
    if (place >= 0) {
      table.putKnown(known, place)
      return table.nameAsPut(index)
    }
    const record = recordOf(table.text(index))
    if (record === undefined || record.name === '') return table.name(index, undefined)
    table.name(index, record.name)
    table.keepPut(known, index, record)
  }

  /** What the history of names says. Names that tell no range of time say it for this one question only. */
  function recordOf(addressOrId: string): NameRecord | undefined {
    if (names.recordOf) return names.recordOf(addressOrId, asOfNs)
    const name = names.nameOf(addressOrId, asOfNs)
    return name === undefined ? undefined : { name, fromNs: 0n, toNs: 0n }
  }

  function nameNodesFrom(srcNodeOnly: boolean): void {
    const cells = message.nodeAddressCells
    let present = -1
    let hasName = true
    for (let i = 0; i < message.nodeAddressCount; i++) {
      const cell = i * NODE_ADDRESS_CELLS
      const node = cells[cell]!
      if ((node === message.srcNode) !== srcNodeOnly) continue
      if (node === present && !hasName) continue
      const start = cells[cell + 1]!
      const end = cells[cell + 2]!
      if (start === end) continue
      const address = message.plain
        ? table.find(message.view, message.textStart + start, message.textStart + end, cells[cell + 3]!)
        : internAny(start, end)
      if (address < 0 || !table.wantsName(address)) continue
      if (node !== present) {
        present = node
        hasName = putName(node)
      }
      if (hasName) table.nameAsPut(address)
    }
  }

  /** Puts the short name of a node into the table; false when it has none. */
  function putName(node: number): boolean {
    if (!message.plain) {
      const name = nameOfNode(node)
      if (name !== undefined) table.putText(name)
      return name !== undefined
    }
    const start = message.textStart + message.nodeCells[node * NODE_CELLS]!
    const end = shortNameEnd(node, start)
    if (end > start) table.put(message.view, start, end)
    return end > start
  }

  function nameOfNode(node: number): string | undefined {
    const cell = node * NODE_CELLS
    return shortName(textIn(message, message.nodeCells[cell]!, message.nodeCells[cell + 1]!))
  }

  function nameReporter(): void {
    const own = message.srcNodeIsReporter ? nameOfReporter() : undefined
    if (own === undefined) {
      const { node, name } = reporterOf(message.nodeId)
      points.node = node
      points.nodeName = name
    } else {
      points.node = tagValue(message.nodeId)
      points.nodeName = own
    }
  }

  /** The node that reports, as the history of names knows it. */
  function reporterOf(nodeId: string): Reporter {
    const found = reporters.get(nodeId)
    if (found?.version === names.version() && found.fromNs <= asOfNs && asOfNs < found.toNs) return found
    const { name, fromNs, toNs } = recordOf(nodeId) ?? NAMELESS
    const node = tagValue(nodeId)
    const made = { node, name: tagValue(name || nodeId), fromNs, toNs, version: names.version() }
    if (reporters.size >= REPORTERS_MAX) reporters.clear()
    reporters.set(nodeId, made)
    return made
  }

  /** What the message itself calls it, as a tag value. */
  function nameOfReporter(): string | undefined {
    if (!message.plain) return tagOf(nameOfNode(message.srcNode))
    const start = message.textStart + message.nodeCells[message.srcNode * NODE_CELLS]!
    const end = shortNameEnd(message.srcNode, start)
    return end > start ? tagOf(texts.of(message.text, message.view, start, end)) : undefined
  }

  /** Where the short name of a node ends that begins at `start`. */
  function shortNameEnd(node: number, start: number): number {
    const last = Math.min(message.textStart + message.nodeCells[node * NODE_CELLS + 1]!, start + TAG_BYTES_MAX)
    let end = start
    while (end < last && message.text[end] !== 0x2e) end += 1
    return end
  }

  /** A name that is no number. Two that come out as the same tag value are the same protocol. */
  function protoCell(name: string): number {
    const tag = tagValue(name)
    const known = PROTO_TAGS.indexOf(tag)
    if (known >= 0) return known
    return 256 + points.protoTag(tag)
  }

  /** Double entry: what went in, by kind, must be what the points hold. */
  function checkBooks(): void {
    const kind = points.firstImbalance()
    if (kind === undefined) return
    throw new CollectorError(
      `The ${kind} counters of a message of node ${points.node} at ${points.startNs} do not add up; this is a bug: keep the answer and report it.`,
      { stage: 'flatten', code: 'imbalance', reaction: 'reject' },
    )
  }

  return { flatten }
}

function tagOf(name: string | undefined): string | undefined {
  return name === undefined ? undefined : tagValue(name)
}

function textIn(message: Message, start: number, end: number): string {
  return textOf(message.text, message.textStart + start, message.textStart + end)
}

/** The entry as JSON again. */
function entryText(message: Message, index: number, counters: BigInt64Array): string {
  const cell = index * ENTRY_CELLS
  const proto = message.cells[cell + PROTO]!
  const parts = [`"proto":${proto < 256 ? proto : JSON.stringify(message.protoNames[proto - 256])}`]
  for (const [name, at] of [['src', cell + SRC] as const, ['dst', cell + DST] as const]) {
    const text = textIn(message, message.cells[at + END_TEXT_START]!, message.cells[at + END_TEXT_END]!)
    if (text !== '') parts.push(`"${name}":${JSON.stringify(text)}`)
  }
  counters.forEach((value, k) => {
    parts.push(`"${COUNTERS[k]}":${value}`)
  })
  return `{${parts.join()}}`
}
