/** Takes the points of a message into the table of their minute. It runs for each message of the line, so nothing is made of a text that was seen before
 * in this minute. */
import { PROTO_TAGS } from '../base/protocol.ts'
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
} from '../flatten/points.ts'
import { CELLS, COUNTERS, DST, DST_PORT, LABEL, type RawPoints, SRC, SRC_PORT } from './raw-points.ts'
import type { TextIds } from './text-ids.ts'

export type Intake = (into: RawPoints, points: Points) => void

/** For one minute: `texts` is that of the tables. */
export function createIntake(minuteNs: bigint, texts: TextIds): Intake {
  const tuple = new Int32Array(CELLS)
  const nodes = new Map<string, number>()
  /** Labels by kind, protocol and path, as the line numbers them. */
  const labels = new Map<number, number>()
  /** By address of the message: its text. The cells of a message before are not read. */
  let known = new Int32Array(256)
  let used = 0

  function labelOf(kind: number, proto: number, path: number, points: Points): number {
    // Protocols beyond the numbers are called otherwise in each message.
    const key = proto < PROTO_TAGS.length ? ((path - PATH_NONE) * PROTO_TAGS.length + proto) * 4 + kind : -1
    let label = labels.get(key)
    if (label === undefined) {
      const name = proto < PROTO_TAGS.length ? PROTO_TAGS[proto] : points.protoTags[proto - PROTO_TAGS.length]
      label = texts.labelOf(kind, texts.idOf(name!), texts.idOf(pathTag(path)))
      if (key >= 0) labels.set(key, label)
    }
    return label
  }

  function textOf({ addressCells, textsView }: Points, address: number): number {
    if (address >= known.length) {
      const grown = new Int32Array(2 * address)
      grown.set(known)
      known = grown
    }
    const found = known[address]!
    if (found > 0) return found - 1
    if (address >= used) used = address + 1
    const cell = address * ADDRESS_CELLS
    const [start, end] = [addressCells[cell + ADDRESS_START]!, addressCells[cell + ADDRESS_END]!]
    const text = texts.idOfBytes(textsView, start, end, addressCells[cell + ADDRESS_HASH]!)
    known[address] = text + 1
    return text
  }

  return (into, points) => {
    const { flowCells, flowCounters, exact, node, count } = points
    let nodeId = nodes.get(node)
    if (nodeId === undefined) nodes.set(node, (nodeId = texts.idOf(node)))
    into.begin(nodeId, Number(points.startNs - minuteNs))
    known.fill(0, 0, used)
    used = 0
    for (let i = 0; i < count; i++) {
      const cell = i * FLOW_CELLS
      const [kind, proto, path] = [
        flowCells[cell + FLOW_KIND]!,
        flowCells[cell + FLOW_PROTO]!,
        flowCells[cell + FLOW_PATH]!,
      ]
      tuple[LABEL] = labelOf(kind, proto, path, points)
      tuple[SRC] = textOf(points, flowCells[cell + FLOW_SRC]!)
      tuple[DST] = textOf(points, flowCells[cell + FLOW_DST]!)
      tuple[SRC_PORT] = flowCells[cell + FLOW_SRC_PORT]!
      tuple[DST_PORT] = flowCells[cell + FLOW_DST_PORT]!
      into.add(tuple, flowCounters, i * COUNTERS, exact?.flows, flowCells[cell + FLOW_COUNT]!)
    }
  }
}
