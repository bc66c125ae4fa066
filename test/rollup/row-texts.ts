/** Rows as they stand in a database, in the words of the oracle. */

import { type RowTable, tagOf } from '../../src/rollup/rows/row-table.ts'
import type { OracleRows } from './oracle.ts'

/** One text per row, sorted. Unless `isNode` says otherwise, ids of nodes are an `n` and a capital letter. */
export function rowTexts(edges: RowTable, nodes: RowTable, isNode = (id: string) => /^n[A-Z]/.test(id)): OracleRows {
  return {
    edges: [...edges]
      .map(([key, [txBytes, rxBytes, txPkts, rxPkts, flows, reporters]]) => {
        const of = (tag: string) => tagOf(key, tag)
        const [src, dst] = [of('src'), of('dst')]
        const ends = [isNode(src), src, isNode(dst), dst]
        const tags = [of('kind'), of('proto'), of('port'), of('path'), ...ends].join(' ')
        const names = [of('src_name'), of('dst_name'), of('src_owner'), of('dst_owner')].join(' ')
        return `${tags} | ${names} | ${txBytes} ${txPkts} ${rxBytes} ${rxPkts} ${flows} ${reporters}`
      })
      .toSorted(),
    nodes: [...nodes]
      .map(([key, [txBytes, rxBytes, txPkts, rxPkts, flows, peers, derpTx, derpRx]]) => {
        const tags = ['node', 'node_name', 'owner', 'os', 'kind', 'role'].map((tag) => tagOf(key, tag)).join(' ')
        return `${tags} | ${txBytes} ${txPkts} ${rxBytes} ${rxPkts} ${flows} ${derpTx} ${derpRx} ${peers}`
      })
      .toSorted(),
  }
}
