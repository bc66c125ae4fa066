/** Makes the rows of a minute, with what is kept about how they were made. */
import type { DirectoryView } from '../directory/view.ts'
import type { Budget, BudgetLimits } from './budget.ts'
import { reportersOf, unknownUsers } from './claims.ts'
import type { Users } from './minute-facts.ts'
import type { RawPoints } from './raw-points.ts'
import type { HourBefore, MinuteRows } from './row.ts'
import { EDGE, edgeFields, linesOf, NODE, nodeTable, type RowTable } from './row-table.ts'
import { rowsOfMinute } from './rows.ts'
import type { TextIds } from './text-ids.ts'

/** `tailnet_edge` and `tailnet_node` of one time. */
export interface Tables {
  readonly edges: RowTable
  readonly nodes: RowTable
}

export const NO_ROWS: Tables = { edges: new Map(), nodes: new Map() }

export interface MadeMinute extends Tables {
  /** Before the series budget. */
  readonly rows: MinuteRows
  readonly digest: string
  readonly points: number
  /** Ids of nodes with a row of `tailnet_node`. */
  readonly reporters: ReadonlySet<string>
  readonly users: Users
  /** Edges, and those of which both sides were heard. */
  readonly edgeCount: number
  readonly bothCount: number
}

export function makeMinute(
  { points, texts }: { readonly points: RawPoints; readonly texts: TextIds },
  given: {
    readonly tailnet: string
    readonly directory: DirectoryView
    readonly before: HourBefore
    readonly budget: Budget
    readonly limits: BudgetLimits
  },
): MadeMinute {
  const rows = rowsOfMinute(points, texts, given.directory, given.before)
  return {
    rows,
    edges: new Map(
      [...given.budget.apply(rows.edges, given.limits, given.tailnet)].map(([key, row]) => [key, edgeFields(row)]),
    ),
    nodes: nodeTable(given.tailnet, rows.nodes),
    digest: points.digest(),
    points: points.count,
    reporters: reportersOf(points, texts),
    users: unknownUsers(points, texts, given.directory),
    edgeCount: rows.edges.length,
    bothCount: rows.edges.filter(({ reporters }) => reporters === 2).length,
  }
}

/** Lines of both measurements of a tier; `suffix` is empty, `_1h` or `_1d`. */
export function tableLines({ edges, nodes }: Tables, suffix: string, timeNs: bigint): string {
  return linesOf(`tailnet_edge${suffix}`, edges, EDGE, timeNs) + linesOf(`tailnet_node${suffix}`, nodes, NODE, timeNs)
}
