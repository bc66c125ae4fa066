/** The rows of the demo's traffic are true: each byte once, although both ends report it, in records of their own and by clocks of their own. */
import assert from 'node:assert/strict'
import { before, test } from 'node:test'
import { HOUR, NOON } from '../simulator/ranges.ts'
import { createTailnet } from '../simulator/tailnet.ts'
import type { TruthPoint } from '../simulator/truth.ts'
import { type Judgement, judge, pointsByMinute } from './judge.ts'

const HOURS = 2n
const tailnet = createTailnet({ nodes: 50, seed: 3 })
const toNs = NOON + HOURS * HOUR
let minutes: ReadonlyMap<number, readonly TruthPoint[]>

before(() => {
  minutes = pointsByMinute(tailnet, NOON - HOUR, toNs)
})

const shareWithin = ({ edges }: Judgement) => edges.filter(({ off }) => off <= 0.01).length / edges.length

function assertTotals({ totals }: Judgement, shareMax: number): void {
  assert.deepEqual([...totals.keys()].toSorted(), ['exit', 'exit, neither end', 'physical', 'subnet', 'virtual'])
  for (const [kind, { truth, rows }] of totals) {
    const off = Math.abs(Number(rows - truth)) / Number(truth)
    assert.ok(off <= shareMax, `${kind}: ${rows} bytes for ${truth}, ${(off * 100).toFixed(2)} % off`)
  }
}

test('each byte once: where a record stands at its start, no edge-hour is off by 1 %, and no kind by 0.1 %', () => {
  const judgement = judge(tailnet, minutes, NOON, toNs, { clocks: 'record' })
  assertTotals(judgement, 0.001)
  assert.ok(judgement.edges.length > 600, `${judgement.edges.length} edge-hours`)
  assert.equal(shareWithin(judgement), 1)
  assert.equal(judgement.invented, 0n)
})

test('bytes that a record moves over the border of an hour are all that is wrong beside: kinds within 0.5 %', () => {
  const judgement = judge(tailnet, minutes, NOON, toNs)
  assertTotals(judgement, 0.005)
  assert.ok(shareWithin(judgement) > 0.94, `${(shareWithin(judgement) * 100).toFixed(1)} % of the edge-hours`)
})

test('without the hour before, bytes at the borders of minutes count twice: the judge sees it', () => {
  const [none, whole] = [0, 60].map((lookBackMinutes) =>
    judge(tailnet, minutes, NOON, toNs, { lookBackMinutes, clocks: 'record' }),
  ) as [Judgement, Judgement]
  assert.ok(shareWithin(none) < shareWithin(whole))
  const rowsOf = ({ totals }: Judgement) => totals.get('virtual')!.rows
  assert.ok(rowsOf(none) > rowsOf(whole))
})
