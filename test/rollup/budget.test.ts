import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createBudget } from '../../src/rollup/budget.ts'
import type { Endpoint } from '../../src/rollup/endpoints.ts'
import type { EdgeRow } from '../../src/rollup/row.ts'
import { edgeSeries } from '../../src/rollup/row-table.ts'

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

const shown = (rows: ReadonlyMap<string, EdgeRow>) =>
  [...rows.values()].map(({ src, dst, port, txBytes }) => `${src.id} > ${dst.id} ${port} ${txBytes}`).toSorted()
const bytesOf = (rows: Iterable<EdgeRow>) => [...rows].reduce((sum, row) => sum + row.txBytes, 0n)

test('beyond the edges of one endpoint the far end is other, largest edges first, and sums stay', () => {
  const limits = { edgesPerEndpoint: 2, edgesPerDay: 100 }
  const budget = createBudget()
  const rows = [edge('a', 'b', 1n), edge('a', 'c', 5n), edge('d', 'a', 9n), edge('e', 'a', 2n), edge('a', 'f', 3n)]
  const kept = budget.apply(rows, limits, 't')
  assert.deepEqual(shown(kept), ['a > c 443 5', 'a > other none 4', 'd > a 443 9', 'other > a none 2'])
  assert.equal(bytesOf(kept.values()), bytesOf(rows))
  assert.deepEqual(budget.largestCause, { name: 'name of a', refused: 3 })
})

test('an edge with a row of that day stays named, also beyond the limits, and in whatever order', () => {
  const limits = { edgesPerEndpoint: 1, edgesPerDay: 100 }
  const budget = createBudget()
  budget.admit([edge('a', 'b', 1n), edge('a', 'c', 1n)].map((row) => edgeSeries('t', row)))
  assert.deepEqual(shown(budget.apply([edge('a', 'd', 100n), edge('a', 'c', 1n), edge('a', 'b', 1n)], limits, 't')), [
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
  assert.equal(budget.apply(rows, limits, 't').size, 3)
  assert.deepEqual(shown(budget.apply([edge('x', 'y', 1n), edge('y', 'z', 2n)], limits, 't')), ['other > other none 3'])
  assert.equal(budget.edges, 3)
})
