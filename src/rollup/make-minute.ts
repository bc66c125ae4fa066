/** Makes the rows of a minute, with what is kept about how they were made. */
import type { DirectoryView } from '../directory/view.ts'
import type { Budget, BudgetLimits } from './budget.ts'
import { reportersOf, unknownUsers } from './claims.ts'
import type { MinuteColumns } from './minute-columns.ts'
import type { Users } from './minute-facts.ts'
import type { RawPoints } from './raw-points.ts'
import type { HourBefore } from './row.ts'
import { edgeSeries, nodeSeries, rowHashes, type SeriesRows, tableOf } from './row-series.ts'
import { EDGE, linesOf, NODE, type RowTable } from './row-table.ts'
import { columnsOfMinute } from './rows.ts'
import type { TextIds } from './text-ids.ts'

/** `tailnet_edge` and `tailnet_node` of one time. */
export interface Tables {
  readonly edges: RowTable
  readonly nodes: RowTable
}

const encoder = new TextEncoder()

/** Its rows are valid until the next minute is made. */
export interface MadeMinute {
  /** Before the series budget. */
  readonly columns: MinuteColumns
  readonly edges: SeriesRows
  readonly nodes: SeriesRows
  /** Of the rows of both, in their order. */
  readonly edgeHashes: Int32Array
  readonly nodeHashes: Int32Array
  readonly digest: string
  readonly points: number
  /** Ids of nodes with a row of `tailnet_node`. */
  readonly reporters: ReadonlySet<string>
  readonly users: Users
  /** Edges before the series budget, and those of them of which both sides were heard. */
  readonly edgeCount: number
  readonly bothCount: number
}

/** `tags`: texts of tags, which may be those of other minutes too. */
export function makeMinute(
  { points, texts }: { readonly points: RawPoints; readonly texts: TextIds },
  given: {
    readonly tailnet: string
    readonly directory: DirectoryView
    readonly before: HourBefore
    readonly budget: Budget
    readonly limits: BudgetLimits
    readonly tags: TextIds
  },
): MadeMinute {
  const { tailnet, tags, budget, limits } = given
  const columns = columnsOfMinute(points, texts, given.directory, given.before)
  let edges = edgeSeries(columns, tailnet, tags)
  let edgeHashes = rowHashes(edges)
  const admitted = budget.apply(columns, edges, edgeHashes, limits)
  if (admitted !== columns) {
    edges = edgeSeries(admitted, tailnet, tags)
    edgeHashes = rowHashes(edges)
  }
  const nodes = nodeSeries(columns, tailnet, tags)
  return {
    columns,
    ...{ edges, edgeHashes, nodes, nodeHashes: rowHashes(nodes) },
    digest: points.digest(),
    points: points.count,
    reporters: reportersOf(points, texts),
    users: unknownUsers(points, texts, given.directory),
    edgeCount: columns.edges.count,
    bothCount: bothCountOf(columns),
  }
}

function bothCountOf({ edges }: MinuteColumns): number {
  const [width, reporters] = [EDGE.fields.length, EDGE.fields.indexOf('reporters')]
  let count = 0
  for (let row = 0; row < edges.count; row++) if (Number(edges.values[row * width + reporters]!) === 2) count += 1
  return count
}

export function tablesOf({ edges, nodes }: MadeMinute): Tables {
  return { edges: tableOf(edges), nodes: tableOf(nodes) }
}

/** Lines of both measurements of a tier; `suffix` is empty, `_1h` or `_1d`. */
export function tableLines({ edges, nodes }: Tables, suffix: string, timeNs: bigint): Uint8Array {
  return encoder.encode(
    linesOf(`tailnet_edge${suffix}`, edges, EDGE, timeNs) + linesOf(`tailnet_node${suffix}`, nodes, NODE, timeNs),
  )
}
