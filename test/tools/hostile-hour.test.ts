/** The short form of `npm run hostile-hour`: eight minutes of demo time, all attacks together, smaller. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ATTACKS } from '../../tools/hostile-hour/hostile-node.ts'
import { faultsOf, runHostileHour } from '../../tools/hostile-hour/hostile-run.ts'
import { missing } from '../services/servers.ts'

test('one node that attacks in every way costs the others no point, and what it sent is stored or accounted for', {
  skip: await missing('influxd'),
}, async (t) => {
  const minutes = 8
  const report = await runHostileHour(t, {
    attacks: ATTACKS,
    nodes: 12,
    minutes,
    speed: 30,
    sampleMinutes: 4,
    tagValuesMax: 1_000,
    raiseMinutes: 4,
    scanAddresses: 1_500,
    manyEntries: 2_000,
    largeBytes: 200_000,
    descriptorsMax: 1_024,
    log: (text) => t.diagnostic(text),
  })
  assert.deepEqual(faultsOf(report), [])
  assert.ok(report.account.bad > 0 && report.account.refused > 0 && report.final.hostile.due > 1_000)
})
