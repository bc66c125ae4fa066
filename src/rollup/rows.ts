/** The rows of one minute, from its raw points: `tailnet_edge` and `tailnet_node`.
 *
 *   raw points -> what each node reported (tailnet_node) -> who reports -> edges with one word for each direction (tailnet_edge)
 *
 * A pure function of the points, of the directory as of the minute, and of what the hour before says (who reports, who used an address). Where
 * the points come from does not matter. */
import type { DirectoryView } from '../directory/view.ts'
import { sumByEdge } from './edge-rows.ts'
import type { Endpoint } from './endpoints.ts'
import { sumByNode } from './node-rows.ts'
import { createParties } from './parties.ts'
import type { RawPoints } from './raw-points.ts'
import type { HourBefore, MinuteRows } from './row.ts'
import { createBigSums, createSums, type Sums } from './sums.ts'
import type { TextIds } from './text-ids.ts'

export function rowsOfMinute(
  points: RawPoints,
  texts: TextIds,
  directory: DirectoryView,
  before: HourBefore,
): MinuteRows {
  const parties = createParties(points, texts, directory, before)
  const make = (create: () => Sums): MinuteRows | undefined => {
    const nodeTable = sumByNode(points, texts, parties, create())
    const edgeTable = sumByEdge(points, texts, parties, create())
    if (!nodeTable.sums.isExact() || !edgeTable.sums.isExact()) return undefined
    const nodes = nodeTable.rows(directory)
    const reporting = new Set(nodes.map(({ node }) => node.id))
    const reports = ({ id, isNode }: Endpoint) => isNode && (reporting.has(id) || before.hasReported(id))
    return { nodes, edges: edgeTable.rows(reports) }
  }
  const rows = make(createSums) ?? make(createBigSums)
  if (rows === undefined) throw new Error('sums of whole numbers are exact')
  return rows
}
