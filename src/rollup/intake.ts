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
  type Points,
  pathTag,
} from '../flatten/points.ts'
import {
  CELLS,
  COUNTERS,
  DST,
  DST_PORT,
  KIND,
  NODE,
  PATH,
  PROTO,
  putOffset,
  type RawPoints,
  SRC,
  SRC_PORT,
} from './raw-points.ts'
import type { TextIds } from './text-ids.ts'

export type Intake = (into: RawPoints, points: Points) => void

/** For one minute: `texts` is that of the tables. */
export function createIntake(minuteNs: bigint, texts: TextIds): Intake {
  const tuple = new Int32Array(CELLS)
  const nodes = new Map<string, number>()
  const protos = new Map<number, number>()
  const paths = new Map<number, number>()

  function protoId(proto: number, points: Points): number {
    if (proto >= PROTO_TAGS.length) return texts.idOf(points.protoTags[proto - PROTO_TAGS.length]!)
    let id = protos.get(proto)
    if (id === undefined) protos.set(proto, (id = texts.idOf(PROTO_TAGS[proto]!)))
    return id
  }

  function pathId(path: number): number {
    let id = paths.get(path)
    if (id === undefined) paths.set(path, (id = texts.idOf(pathTag(path))))
    return id
  }

  function addressId({ addressCells, textsView }: Points, address: number): number {
    const cell = address * ADDRESS_CELLS
    return texts.idOfBytes(
      textsView,
      addressCells[cell + ADDRESS_START]!,
      addressCells[cell + ADDRESS_END]!,
      addressCells[cell + ADDRESS_HASH]!,
    )
  }

  return (into, points) => {
    const { flowCells, flowCounters, exact, node, count } = points
    let nodeId = nodes.get(node)
    if (nodeId === undefined) nodes.set(node, (nodeId = texts.idOf(node)))
    tuple[NODE] = nodeId
    putOffset(tuple, Number(points.startNs - minuteNs))
    let src = -1
    let dst = -1
    for (let i = 0; i < count; i++) {
      const cell = i * FLOW_CELLS
      tuple[KIND] = flowCells[cell + FLOW_KIND]!
      tuple[PROTO] = protoId(flowCells[cell + FLOW_PROTO]!, points)
      // Neighbours often share an address.
      if (flowCells[cell + FLOW_SRC] !== src) tuple[SRC] = addressId(points, (src = flowCells[cell + FLOW_SRC]!))
      if (flowCells[cell + FLOW_DST] !== dst) tuple[DST] = addressId(points, (dst = flowCells[cell + FLOW_DST]!))
      tuple[SRC_PORT] = flowCells[cell + FLOW_SRC_PORT]!
      tuple[DST_PORT] = flowCells[cell + FLOW_DST_PORT]!
      tuple[PATH] = pathId(flowCells[cell + FLOW_PATH]!)
      into.putCells(tuple, flowCounters, i * COUNTERS, exact?.flows, flowCells[cell + FLOW_COUNT]!)
    }
  }
}
