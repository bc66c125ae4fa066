/** The rows of one minute, from its raw points: `tailnet_edge` and `tailnet_node`.
 *
 *   raw points -> what each node reported (tailnet_node) -> who reports -> edges with one word for each direction (tailnet_edge)
 *
 * A pure function of the points, of the directory as of the minute, and of what the hour before says (who reports, who used an address). Where
 * the points come from does not matter. */
import type { DirectoryView } from '../directory/view.ts'
import type { Kind } from '../source/parse/message.ts'
import { sumByEdge } from './edge-rows.ts'
import type { Endpoint } from './endpoints.ts'
import { sumByNode } from './node-rows.ts'
import { createParties } from './parties.ts'
import type { RawPoints } from './raw-points.ts'
import { createBigSums, createSums, type RowCounters, type Sums } from './sums.ts'
import type { TextIds } from './text-ids.ts'

/** Who talked to whom. `tx` is what `src` sent to `dst`, `rx` what `dst` sent to `src`; each byte once. */
export interface EdgeRow extends RowCounters {
  readonly kind: Kind
  readonly proto: string
  /** The service port, `none` without. */
  readonly port: string
  readonly path: string
  readonly src: Endpoint
  readonly dst: Endpoint
  readonly flows: bigint
  /** Sides that were heard in this minute: 1 or 2. */
  readonly reporters: number
}

export const ROLES = ['peer', 'client', 'router', 'exit'] as const
export type Role = (typeof ROLES)[number]

/** What a node itself reported. */
export interface NodeRow extends RowCounters {
  readonly node: Endpoint
  readonly os: string
  readonly kind: Kind
  readonly role: Role
  readonly flows: bigint
  /** Distinct endpoints at the far end. */
  readonly peers: number
  /** Physical traffic through DERP. */
  readonly derpTxBytes: bigint
  readonly derpRxBytes: bigint
}

export interface MinuteRows {
  readonly edges: readonly EdgeRow[]
  readonly nodes: readonly NodeRow[]
}

export interface HourBefore {
  /** The node had a row of `tailnet_node` that counts anything in one of the 60 minutes before. */
  hasReported(node: string): boolean
  /** Another node than `node` had `address` as `src` of a virtual point in one of the 60 minutes before. */
  wasUsedByOther(address: string, node: string): boolean
}

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
    if (!nodeTable.sums.isExact || !edgeTable.sums.isExact) return undefined
    const nodes = nodeTable.rows(directory)
    const reporting = new Set(nodes.map(({ node }) => node.id))
    const reports = ({ id, isNode }: Endpoint) => isNode && (reporting.has(id) || before.hasReported(id))
    return { nodes, edges: edgeTable.rows(reports) }
  }
  const rows = make(createSums) ?? make(createBigSums)
  if (rows === undefined) throw new Error('sums of whole numbers are exact')
  return rows
}
