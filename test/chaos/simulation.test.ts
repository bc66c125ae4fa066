/** Thousands of random histories per minute; each failure prints its seed and path, and can be played again with
 * TAILFLUX_SIMULATION_SEED and TAILFLUX_SIMULATION_PATH. TAILFLUX_SIMULATION_RUNS asks for more of them. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Interval } from '../../src/ledger/ledger.ts'
import { createMemoryLedger } from '../helpers/memory-ledger.ts'
import {
  API_FAULTS,
  type Bites,
  DB_FAULTS,
  playHistory,
  type StateFake,
  type Step,
  VISIBLE_MAX_MS,
} from './simulation.ts'

const RUNS = Number(process.env['TAILFLUX_SIMULATION_RUNS'] ?? 150)
const SEED = Number(process.env['TAILFLUX_SIMULATION_SEED'] ?? 20_261_123)
const PATH = process.env['TAILFLUX_SIMULATION_PATH']

/** A state "file" in memory that outlives its process. */
export function memoryState(): StateFake {
  let ledger: ReturnType<typeof createMemoryLedger> | undefined
  return {
    open() {
      ledger = ledger ? ledger.reopen() : createMemoryLedger()
      return ledger
    },
    lose() {
      ledger = undefined
    },
  }
}

const faultMs = fc.integer({ min: 1_000, max: 1_500_000 })
export const stepArbitrary: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constant('wait' as const), ms: fc.integer({ min: 0, max: 1_200_000 }) }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('records' as const),
      count: fc.integer({ min: 1, max: 30 }),
      delayMs: fc.oneof(
        fc.constant(0),
        fc.integer({ min: 0, max: 50_000 }),
        fc.integer({ min: 60_000, max: VISIBLE_MAX_MS }),
      ),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('again' as const), count: fc.integer({ min: 1, max: 5 }) }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('jump' as const), ms: fc.integer({ min: -7_200_000, max: 7_200_000 }) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('api' as const), fault: fc.constantFrom(...API_FAULTS), ms: faultMs }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('poison' as const),
      agoMs: fc.integer({ min: 0, max: 600_000 }),
      lengthMs: fc.integer({ min: 0, max: 60_000 }),
      ms: faultMs,
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('db' as const), fault: fc.constantFrom(...DB_FAULTS), ms: faultMs }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('kill' as const),
      afterCalls: fc.integer({ min: 1, max: 60 }),
      takesEffect: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('backup' as const) }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('restore' as const), ms: fc.integer({ min: 130_000, max: 900_000 }) }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('state_lost' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('second' as const) }) },
)
export type { Interval }

test('nothing is lost and nothing is invented, whatever happens in whatever order', async (t) => {
  const bites: Bites = new Map()
  const beganMs = performance.now()
  await fc.assert(
    fc.asyncProperty(fc.array(stepArbitrary, { minLength: 3, maxLength: 25 }), (steps) =>
      playHistory(steps, memoryState, bites),
    ),
    { numRuns: RUNS, seed: SEED, ...(PATH ? { path: PATH } : {}), endOnFailure: false },
  )
  const perMinute = Math.round((RUNS / (performance.now() - beganMs)) * 60_000)
  t.diagnostic(`${RUNS} histories, ${perMinute} per minute, seed ${SEED}`)
  t.diagnostic(`bites: ${[...bites].map(([name, count]) => `${name} ${count}`).join(', ')}`)
  if (!PATH && RUNS >= 100) {
    // I10: the faults bit, or the run proved nothing.
    for (const name of [
      'kill',
      'kill at the ledger',
      'restart',
      'late record',
      'restore lost rows',
      'state lost',
      'api poison',
      'clock jump',
      'uploaded again',
      'second process',
      ...API_FAULTS.map((one) => `api ${one}`),
      ...DB_FAULTS.map((one) => `db ${one}`),
    ]) {
      assert.ok((bites.get(name) ?? 0) > 0, `${name} never happened`)
    }
  }
})
