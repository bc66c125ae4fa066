/** The rows of one minute, from its raw points: `tailnet_edge` and `tailnet_node`.
 *
 *   raw points -> what each node reported (tailnet_node) -> who reports -> edges with one word for each direction (tailnet_edge)
 *
 * A pure function of the points, of the directory as of the minute, and of what the hour before says (who reports, who used an address). Where
 * the points come from does not matter. */
import type { DirectoryView } from '../../directory/view.ts'
import type { RawPoints } from '../points/raw-points.ts'
import type { TextIds } from '../points/text-ids.ts'
import { NONE } from '../rows/endpoints.ts'
import { type MinuteColumns, NODE_CELLS, rowsOf } from '../rows/minute-columns.ts'
import type { HourBefore, MinuteRows } from '../rows/row.ts'
import { createBigSums, createSums, type Sums } from '../rows/sums.ts'
import { edgeColumns } from './edge-rows.ts'
import { nodeColumns } from './node-rows.ts'
import { createParties } from './parties.ts'

export function columnsOfMinute(
  points: RawPoints,
  texts: TextIds,
  directory: DirectoryView,
  before: HourBefore,
): MinuteColumns {
  const parties = createParties(points, texts, directory, before)
  const { endpoints } = parties
  const make = (create: (length: number) => Sums): MinuteColumns | undefined => {
    const nodes = nodeColumns(points, texts, parties, create)
    if (nodes === undefined) return undefined
    /** By endpoint: 1 if it is a node that reports, 2 if it does not. */
    const known = new Uint8Array(endpoints.length)
    for (let row = 0; row < nodes.count; row++) known[nodes.cells[row * NODE_CELLS]!] = 1
    const reports = (endpoint: number) => {
      const { id, isNode } = endpoints[endpoint]!
      if (known[endpoint] === 0) known[endpoint] = isNode && before.hasReported(id) ? 1 : 2
      return known[endpoint] === 1
    }
    const edges = edgeColumns(points, texts, parties, create, reports)
    return edges && { texts, endpoints, nodes, edges, osOf: (node) => directory.device(node)?.os || NONE }
  }
  const columns = (points.counters instanceof Float64Array ? make(createSums) : undefined) ?? make(createBigSums)
  if (columns === undefined) throw new Error('sums of whole numbers are exact')
  return columns
}

/** The same as objects. */
export function rowsOfMinute(...given: Parameters<typeof columnsOfMinute>): MinuteRows {
  return rowsOf(columnsOfMinute(...given))
}
