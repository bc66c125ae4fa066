/** Random histories under virtual time, thousands per minute. A failure prints its seed and path; `npm run simulate` plays it again, and more
 * of them. TAILFLUX_SIMULATION_RUNS and TAILFLUX_SIMULATION_SEED change how many and which. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { REGRESSIONS } from '../../tools/simulation/regressions.ts'
import { API_FAULTS } from '../../tools/simulation/sim-api.ts'
import { DB_FAULTS } from '../../tools/simulation/sim-db.ts'
import { createMemoryState } from '../../tools/simulation/sim-state.ts'
import { reportText, simulateOnThreads } from '../../tools/simulation/simulate.ts'
import { playHistory } from '../../tools/simulation/simulation.ts'

const RUNS = Number(process.env['TAILFLUX_SIMULATION_RUNS'] ?? 300)
const FILE_RUNS = Math.ceil(RUNS / 10)
const SEED = Number(process.env['TAILFLUX_SIMULATION_SEED'] ?? 20_261_123)
/** With fewer histories chance may leave something out. */
const RUNS_FOR_ALL = 300

for (const { was, history } of REGRESSIONS) {
  test(`once: ${was}`, () => playHistory(history, createMemoryState, new Map()))
}

test('nothing is lost and nothing is invented, whatever happens in whatever order', async (t) => {
  const report = await simulateOnThreads({ runs: RUNS, seed: SEED }, 2)
  t.diagnostic(reportText(report))
  assert.equal(report.failure, undefined, reportText(report))
  // I10: the faults bit, or the run proved nothing.
  const wanted = [
    ...API_FAULTS.map((fault) => `api ${fault}`),
    ...DB_FAULTS.map((fault) => `db ${fault} in mid-write`),
    ...['api poison', 'gap opened', 'window split', 'write retried', 'quarantined', 'rejected', 'clock jump', 'stall'],
    ...['kill', 'kill at the state file', 'restart', 'stop', 'second process', 'uploaded again', 'late record'],
    ...[
      'late in pass 2',
      'late in pass 3',
      'crash lost rows',
      'restore lost rows',
      'db away',
      'lost rows unseen',
      'db away for a moment',
    ],
    ...['state lost', 'state damaged', 'state restored', 'state disk full', 'start failed'],
  ]
  if (RUNS >= RUNS_FOR_ALL) {
    assert.deepEqual(
      wanted.filter((name) => !report.bites.has(name)),
      [],
      'never happened',
    )
  }
})

test('the same with state files on a disk, which are damaged in every way', async (t) => {
  const report = await simulateOnThreads({ runs: FILE_RUNS, seed: SEED, files: true }, 2)
  t.diagnostic(reportText(report))
  assert.equal(report.failure, undefined, reportText(report))
})
