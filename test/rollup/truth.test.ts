/** The rows of the demo's traffic are true: each byte once, although both ends report it, in records of their own and by clocks of their own. */
import assert from 'node:assert/strict'
import { before, test } from 'node:test'
import { HOUR, NOON } from '../simulator/ranges.ts'
import { createTailnet } from '../simulator/tailnet.ts'
import type { TruthPoint } from '../simulator/truth.ts'
import { judge, pointsByMinute } from './judge.ts'

const HOURS = 2n
const tailnet = createTailnet({ nodes: 50, seed: 3 })
const toNs = NOON + HOURS * HOUR
let minutes: ReadonlyMap<number, readonly TruthPoint[]>

before(() => {
  minutes = pointsByMinute(tailnet, NOON - HOUR, toNs)
})

const shareWithin = (edges: readonly { readonly off: number }[]) =>
  edges.filter(({ off }) => off <= 0.01).length / edges.length

test('total bytes of each kind are within 0.5 %, and 95 % of the edge-hours above 10 kB within 1 %', () => {
  const { totals, edges, invented } = judge(tailnet, minutes, NOON, toNs)
  assert.deepEqual([...totals.keys()].toSorted(), ['exit', 'exit, neither end', 'physical', 'subnet', 'virtual'])
  for (const [kind, { truth, rows }] of totals) {
    const off = Math.abs(Number(rows - truth)) / Number(truth)
    assert.ok(off <= 0.005, `${kind}: ${rows} bytes for ${truth}, ${(off * 100).toFixed(2)} % off`)
  }
  assert.ok(edges.length > 600, `${edges.length} edge-hours`)
  assert.ok(shareWithin(edges) >= 0.95, `${(shareWithin(edges) * 100).toFixed(1)} % within 1 %`)
  assert.ok(invented < 1_000_000n, `${invented} bytes of edges that are none`)
})

test('without the hour before, bytes at the borders of minutes count twice: the judge sees it', () => {
  const [none, whole] = [0, 60].map((lookBack) =>
    judge(tailnet, minutes, NOON, toNs, { lookBackMinutes: lookBack }),
  ) as [ReturnType<typeof judge>, ReturnType<typeof judge>]
  assert.ok(shareWithin(none.edges) < shareWithin(whole.edges))
  const rowsOf = ({ totals }: typeof none) => totals.get('virtual')!.rows
  assert.ok(rowsOf(none) > rowsOf(whole))
})
