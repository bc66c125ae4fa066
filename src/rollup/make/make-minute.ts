/** Makes the rows of a minute, with what is kept about how they were made. */
import type { DirectoryView } from '../../directory/view.ts'
import type { RawPoints } from '../points/raw-points.ts'
import type { TextIds } from '../points/text-ids.ts'
import type { MinuteColumns } from '../rows/minute-columns.ts'
import type { HourBefore } from '../rows/row.ts'
import { edgeSeries, nodeSeries, rowHashes, type TierRows } from '../rows/row-series.ts'
import { EDGE } from '../rows/row-table.ts'
import type { Users } from '../settle/minute-facts.ts'
import type { Budget, BudgetLimits } from './budget.ts'
import { reportersOf, unknownUsers } from './claims.ts'
import { columnsOfMinute } from './rows.ts'

/** Its rows are valid until the next minute is made. */
export interface MadeMinute extends TierRows {
  /** Before the series budget. */
  readonly columns: MinuteColumns
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
  const edges = edgeSeries(columns, tailnet, tags)
  const admitted = budget.apply(columns, edges, rowHashes(edges), limits)
  return {
    columns,
    edges: admitted === columns ? edges : edgeSeries(admitted, tailnet, tags),
    nodes: nodeSeries(columns, tailnet, tags),
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
