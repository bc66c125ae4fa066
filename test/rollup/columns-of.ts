/** Edges as a minute has them: in columns. */
import { NO_PORT } from '../../src/flatten/ports.ts'
import { createTextIds } from '../../src/rollup/points/text-ids.ts'
import { NO_ENDPOINT } from '../../src/rollup/rows/endpoints.ts'
import { EDGE_CELLS, type MinuteColumns, NODE_CELLS } from '../../src/rollup/rows/minute-columns.ts'
import type { EdgeRow } from '../../src/rollup/rows/row.ts'
import { KINDS } from '../../src/source/parse/message.ts'

export function columnsOf(rows: readonly EdgeRow[]): MinuteColumns {
  const texts = createTextIds()
  const endpoints = new Map([[NO_ENDPOINT.id, NO_ENDPOINT]])
  for (const { src, dst } of rows) for (const one of [src, dst]) endpoints.set(one.id, one)
  const ids = [...endpoints.keys()]
  const cells = new Int32Array(rows.length * EDGE_CELLS)
  const values = rows.flatMap((row) => [
    ...[row.txBytes, row.rxBytes, row.txPkts, row.rxPkts, row.flows, BigInt(row.reporters)],
  ])
  for (const [at, { kind, proto, port, path, src, dst }] of rows.entries()) {
    const label = texts.labelOf(KINDS.indexOf(kind), texts.idOf(proto), texts.idOf(path))
    cells.set(
      [label, port === 'none' ? NO_PORT : Number(port), ids.indexOf(src.id), ids.indexOf(dst.id)],
      at * EDGE_CELLS,
    )
  }
  return {
    ...{ texts, endpoints: [...endpoints.values()], osOf: () => 'none' },
    edges: { count: rows.length, cells, values: BigInt64Array.from(values) },
    nodes: { count: 0, cells: new Int32Array(NODE_CELLS), values: new Float64Array(0) },
  }
}
