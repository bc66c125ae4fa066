/** The points of the messages of one window that belong to one minute, until the window is done. It runs for each message of the line, so nothing is made
 * of a text that was seen before in this minute. */
import { highOf, lowOf } from '../../base/int64.ts'
import { PROTO_TAGS } from '../../base/protocol.ts'
import { doubled } from '../../base/typed-array.ts'
import {
  ADDRESS_CELLS,
  ADDRESS_END,
  ADDRESS_HASH,
  ADDRESS_START,
  FLOW_CELLS,
  FLOW_COUNT,
  FLOW_DST,
  FLOW_DST_PORT,
  FLOW_KIND,
  FLOW_PATH,
  FLOW_PROTO,
  FLOW_SRC,
  FLOW_SRC_PORT,
  PATH_NONE,
  type Points,
  pathTag,
} from '../../flatten/points.ts'
import { CELLS, COUNTERS, DST, DST_PORT, LABEL, NODE, type RawPoints, SRC, SRC_PORT } from './raw-points.ts'
import type { TextIds } from './text-ids.ts'
import { createTuples } from './tuples.ts'

/** Points that wait: one after the other, in columns. */
export interface Waiting {
  /** WAITING per point: those of a series, and its flows. */
  cells: Int32Array
  counters: Float64Array
  count: number
  /** MESSAGE per message. */
  messages: Int32Array
  messageCount: number
  /** By point, where doubles are rounded. */
  readonly exact: Map<number, BigInt64Array>
}

const WAITING = CELLS + 1
const FLOWS = CELLS

/** Cells of a message: its node, its time, its digest, and where its points end. */
const MESSAGE = 6
const SECOND = 1
const NS = 2
const DIGEST = 3
const END = 5

export interface Intake {
  /** The points of a message of this minute, `offset` ns after its begin. */
  add(into: Waiting, points: Points, offset: number): void
  /** Adds the points of messages that were not added yet. False: a message was there with other points. The database keeps both, of equal tags the later
   * one, so only it knows what the minute has. */
  addAll(into: RawPoints, waiting: Waiting): boolean
  /** Messages that were added. */
  readonly count: number
  readonly bytes: number
}

export function createWaiting(): Waiting {
  const [cells, counters, messages] = [
    new Int32Array(64 * WAITING),
    new Float64Array(64 * COUNTERS),
    new Int32Array(16 * MESSAGE),
  ]
  return { cells, counters, messages, count: 0, messageCount: 0, exact: new Map() }
}

/** Memory of points that no longer wait, for others. */
export function clearWaiting(waiting: Waiting): void {
  waiting.count = 0
  waiting.messageCount = 0
  waiting.exact.clear()
}

/** For one minute: `texts` is that of its points; `sizeHint`: so many messages are expected. */
export function createIntake(texts: TextIds, sizeHint = 64): Intake {
  const nodes = new Map<string, number>()
  /** Labels by kind, protocol and path, as the line numbers them. */
  const labels = new Map<number, number>()
  let [lastKey, lastLabel] = [-1, -1]
  /** By address of the message: its text and one. The cells of a message before are not read. */
  let known = new Int32Array(256)
  let used = 0
  /** Messages that were added: node and time, and their digests. */
  const added = createTuples(3, sizeHint)
  let digests = new Int32Array(2 * sizeHint)

  function labelOf(kind: number, proto: number, path: number, points: Points): number {
    // Protocols beyond the numbers are called otherwise in each message.
    const key = proto < PROTO_TAGS.length ? ((path - PATH_NONE) * PROTO_TAGS.length + proto) * 4 + kind : -1
    if (key === lastKey && key >= 0) return lastLabel
    let label = labels.get(key)
    if (label === undefined) {
      const name = proto < PROTO_TAGS.length ? PROTO_TAGS[proto] : points.protoTags[proto - PROTO_TAGS.length]
      label = texts.labelOf(kind, texts.idOf(name!), texts.idOf(pathTag(path)))
      if (key >= 0) labels.set(key, label)
    }
    lastKey = key
    lastLabel = label
    return label
  }

  function textOf({ addressCells, textsView }: Points, address: number): number {
    while (address >= known.length) known = doubled(known, Int32Array)
    const found = known[address]!
    if (found > 0) return found - 1
    if (address >= used) used = address + 1
    const cell = address * ADDRESS_CELLS
    const [start, end] = [addressCells[cell + ADDRESS_START]!, addressCells[cell + ADDRESS_END]!]
    const text = texts.idOfBytes(textsView, start, end, addressCells[cell + ADDRESS_HASH]!)
    known[address] = text + 1
    return text
  }

  return {
    add(into, points, offset) {
      const { flowCells, flowCounters, exact, node, count, digest } = points
      let nodeId = nodes.get(node)
      if (nodeId === undefined) nodes.set(node, (nodeId = texts.idOf(node)))
      makeRoom(into, count)
      const { cells, counters, messages } = into
      known.fill(0, 0, used)
      used = 0
      let at = into.count * WAITING
      for (let cell = 0; cell < count * FLOW_CELLS; cell += FLOW_CELLS) {
        const [kind, proto, path] = [
          flowCells[cell + FLOW_KIND]!,
          flowCells[cell + FLOW_PROTO]!,
          flowCells[cell + FLOW_PATH]!,
        ]
        cells[at + NODE] = nodeId
        cells[at + LABEL] = labelOf(kind, proto, path, points)
        cells[at + SRC] = textOf(points, flowCells[cell + FLOW_SRC]!)
        cells[at + DST] = textOf(points, flowCells[cell + FLOW_DST]!)
        cells[at + SRC_PORT] = flowCells[cell + FLOW_SRC_PORT]!
        cells[at + DST_PORT] = flowCells[cell + FLOW_DST_PORT]!
        cells[at + FLOWS] = flowCells[cell + FLOW_COUNT]!
        at += WAITING
      }
      for (let from = 0, to = into.count * COUNTERS; from < count * COUNTERS; from++, to++)
        counters[to] = flowCounters[from]!
      if (exact !== undefined)
        for (let i = 0; i < count; i++)
          into.exact.set(into.count + i, exact.flows.slice(i * COUNTERS, (i + 1) * COUNTERS))
      into.count += count
      const message = into.messageCount++ * MESSAGE
      messages[message] = nodeId
      messages[message + SECOND] = Math.floor(offset / 1e9)
      messages[message + NS] = offset % 1e9
      messages[message + DIGEST] = lowOf(digest)
      messages[message + DIGEST + 1] = highOf(digest)
      messages[message + END] = into.count
    },
    addAll(into, { cells, counters, messages, messageCount, exact }) {
      let isSame = true
      let point = 0
      for (let message = 0; message < messageCount * MESSAGE; message += MESSAGE) {
        const end = messages[message + END]!
        const before = added.count
        const at = added.indexOf(messages, message) * 2
        if (at === before * 2) {
          if (at + 2 > digests.length) digests = doubled(digests, Int32Array)
          digests[at] = messages[message + DIGEST]!
          digests[at + 1] = messages[message + DIGEST + 1]!
          into.begin(messages[message + SECOND]!, messages[message + NS]!)
          for (; point < end; point++) {
            const cell = point * WAITING
            const wide = exact.size === 0 ? undefined : exact.get(point)
            if (wide === undefined) into.add(cells, cell, counters, point * COUNTERS, undefined, cells[cell + FLOWS]!)
            else into.add(cells, cell, NO_COUNTERS, 0, wide, cells[cell + FLOWS]!)
          }
        } else if (digests[at] !== messages[message + DIGEST] || digests[at + 1] !== messages[message + DIGEST + 1])
          isSame = false
        point = end
      }
      return isSame
    },
    get count() {
      return added.count
    },
    get bytes() {
      return added.bytes + digests.byteLength
    },
  }
}

const NO_COUNTERS = new Float64Array(COUNTERS)

function makeRoom(into: Waiting, count: number): void {
  while ((into.count + count) * WAITING > into.cells.length) {
    into.cells = doubled(into.cells, Int32Array)
    into.counters = doubled(into.counters, Float64Array)
  }
  if ((into.messageCount + 1) * MESSAGE > into.messages.length) into.messages = doubled(into.messages, Int32Array)
}
