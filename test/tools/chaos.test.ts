/** The short form of `npm run chaos`: real processes, real database, random instants. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runChaos } from '../../tools/chaos/chaos-run.ts'
import { missing } from '../services/servers.ts'

const SEED = Number(process.env['TAILFLUX_CHAOS_SEED'] ?? 20_261_125)

test('killed again and again, between network, API, disk and clock that misbehave, it ends with the truth', {
  skip: await missing('influxd', 'libfaketime'),
}, async (t) => {
  t.diagnostic(`seed ${SEED} (TAILFLUX_CHAOS_SEED)`)
  const report = await runChaos(t, {
    seed: SEED,
    serviceKills: 8,
    databaseKills: 2,
    hours: 1,
    nodes: 5,
    activity: 0.2,
    log: () => undefined,
  })
  t.diagnostic(`${report.points} points; ${[...report.bites].map(([name, count]) => `${name} ${count}`).join(', ')}`)
  assert.ok(report.points > 1_000, `${report.points} points`)
  // I10: the faults bit.
  const count = (begin: string) =>
    [...report.bites].reduce((sum, [name, times]) => sum + (name.startsWith(begin) ? times : 0), 0)
  for (const begin of ['service SIG', 'database SIGKILL', 'reported: window done (late)', 'reported: tailflux starts'])
    assert.ok(count(begin) > 0, `${begin} never happened`)
})
