import assert from 'node:assert/strict'
import { test } from 'node:test'
import { pathsIn } from '../../src/config/data-dir.ts'
import { exportLines } from '../../src/sink/sqlite/embedded-store.ts'
import { NOON } from '../simulator/ranges.ts'
import { parseLine } from '../sink/line-protocol/parse-lines.ts'
import { assertTruth, MEASUREMENTS } from './truth-in.ts'
import { HOUR_NS, LAG_NS, startWorld } from './world.ts'

test('without a database the embedded store holds the truth, and its export is line protocol of it', async (t) => {
  const { tailnet, service } = await startWorld(t, { tailnet: { nodes: 20, hostile: true, bigCounters: true } })
  const { service: running, dataDir, catchUp } = service({})
  await catchUp()
  await running.stop()
  const points = [...MEASUREMENTS].flatMap((measurement) =>
    [...exportLines(pathsIn(dataDir).store, { measurement })].map((line) => parseLine(line.trimEnd())),
  )
  const count = await assertTruth(points, tailnet.truth(NOON, NOON + HOUR_NS - LAG_NS))
  assert.ok(count > 10_000)
  t.diagnostic(`${count} points`)
})
