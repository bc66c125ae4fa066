import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Budget, type BudgetLimits, createBudget } from '../../src/rollup/make/budget.ts'
import { createTextIds } from '../../src/rollup/points/text-ids.ts'
import type { Endpoint } from '../../src/rollup/rows/endpoints.ts'
import { rowsOf } from '../../src/rollup/rows/minute-columns.ts'
import type { EdgeRow } from '../../src/rollup/rows/row.ts'
import { edgeSeries, rowHashes } from '../../src/rollup/rows/row-series.ts'
import { edgeTable } from '../../src/rollup/rows/row-table.ts'
import { columnsOf } from './columns-of.ts'

function node(id: string): Endpoint {
  return { id, name: `name of ${id}`, owner: 'none', isNode: true }
}

function edge(src: string, dst: string, bytes: bigint, more: Partial<EdgeRow> = {}): EdgeRow {
  const counters = { txBytes: bytes, txPkts: 1n, rxBytes: 0n, rxPkts: 0n, flows: 1n, reporters: 1 }
  return {
    kind: 'virtual',
    proto: 'tcp',
    port: '443',
    path: 'none',
    src: node(src),
    dst: node(dst),
    ...counters,
    ...more,
  }
}

const shown = (rows: readonly EdgeRow[]) =>
  rows.map(({ src, dst, port, txBytes }) => `${src.id} > ${dst.id} ${port} ${txBytes}`).toSorted()
const bytesOf = (rows: readonly EdgeRow[]) => rows.reduce((sum, row) => sum + row.txBytes, 0n)

function apply(budget: Budget, rows: readonly EdgeRow[], limits: BudgetLimits): readonly EdgeRow[] {
  const minute = columnsOf(rows)
  const series = edgeSeries(minute, 't', createTextIds())
  return rowsOf(budget.apply(minute, series, rowHashes(series), limits)).edges
}

test('beyond the edges of one endpoint the far end is other, largest edges first, and sums stay', () => {
  const limits = { edgesPerEndpoint: 2, edgesPerDay: 100 }
  const budget = createBudget()
  const rows = [edge('a', 'b', 1n), edge('a', 'c', 5n), edge('d', 'a', 9n), edge('e', 'a', 2n), edge('a', 'f', 3n)]
  const kept = apply(budget, rows, limits)
  assert.deepEqual(shown(kept), ['a > c 443 5', 'a > other none 4', 'd > a 443 9', 'other > a none 2'])
  assert.equal(bytesOf(kept), bytesOf(rows))
  assert.deepEqual(budget.largestCause, { name: 'name of a', refused: 3 })
})

test('an edge with a row of that day stays named, also beyond the limits, and in whatever order', () => {
  const limits = { edgesPerEndpoint: 1, edgesPerDay: 100 }
  const budget = createBudget()
  budget.admit(edgeTable('t', [edge('a', 'b', 1n), edge('a', 'c', 1n)]).keys())
  assert.deepEqual(shown(apply(budget, [edge('a', 'd', 100n), edge('a', 'c', 1n), edge('a', 'b', 1n)], limits)), [
    'a > b 443 1',
    'a > c 443 1',
    'a > other none 100',
  ])
})

test('beyond the edges of a tailnet both ends are other; `none` and `other` have no limit of their own', () => {
  const limits = { edgesPerEndpoint: 2, edgesPerDay: 3 }
  const budget = createBudget()
  const none: Endpoint = { id: 'none', name: 'none', owner: 'none', isNode: false }
  const rows = ['a', 'b', 'c'].map((id) => edge(id, '', 10n, { dst: none }))
  assert.equal(apply(budget, rows, limits).length, 3)
  assert.deepEqual(shown(apply(budget, [edge('x', 'y', 1n), edge('y', 'z', 2n)], limits)), ['other > other none 3'])
  assert.equal(budget.edges, 3)
})

test('edges that were read back are known, whatever their names are', () => {
  const limits = { edgesPerEndpoint: 1, edgesPerDay: 1 }
  const odd = { id: 'a,src=b', name: 'x,kind=y z', owner: 'back\\slash', isNode: false }
  const row = edge('a', 'b', 7n, { src: odd, dst: { ...odd, id: 'é,kind=' }, proto: 'a b' })
  const budget = createBudget()
  budget.admit(edgeTable('t', [row]).keys())
  assert.deepEqual(apply(budget, [edge('c', 'd', 9n), row], limits)[1], row)
  assert.equal(budget.edges, 1)
})

test('sums of folded edges beyond 2^53 are exact, and end at 2^63-1', () => {
  const limits = { edgesPerEndpoint: 1, edgesPerDay: 0 }
  const huge = 2n ** 53n - 1n
  const fold = (...bytes: readonly bigint[]) =>
    apply(
      createBudget(),
      bytes.map((one, i) => edge('a', `b${i}`, one)),
      limits,
    ).map(({ txBytes }) => txBytes)
  assert.deepEqual(fold(huge, huge, 1n), [2n * huge + 1n])
  assert.deepEqual(fold(2n ** 63n - 1n, 5n), [2n ** 63n - 1n])
})
