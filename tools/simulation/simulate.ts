/** Plays random histories, outside of the test runner, whose watch on every promise makes them several times slower.
 *
 *   node tools/simulation/simulate.ts [--runs 5000] [--seed 1] [--path 0:1:2] [--files] [--threads 2] [--quick]
 *
 * `--quick`: a failure is not shrunken. `--files`: the state file is a real file, which can be damaged. A failure prints seed and path (play it again with both) and the shrunken
 * history as JSON, to be kept in regressions.ts. */
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import fc from 'fast-check'
import { readOptions } from '../options.ts'
import { createFileState, createMemoryState } from './sim-state.ts'
import { stepsArbitrary } from './sim-steps.ts'
import { type Bites, type History, playHistory, VISIBLE_MAX_MS } from './simulation.ts'

export interface SimulationPlan {
  readonly runs: number
  readonly seed: number
  /** Of fast-check: plays one history, or continues shrinking from it. */
  readonly path?: string | undefined
  readonly files?: boolean
  /** Ends at the first failure instead of shrinking it. */
  readonly isQuick?: boolean
}

export interface SimulationReport {
  readonly runs: number
  readonly seconds: number
  readonly bites: Bites
  readonly failure?: { seed: number; path: string; history: History; error: string }
}

/** Every transaction is synced; a disk in memory makes that free. */
const MEMORY_DISK = existsSync('/dev/shm') ? '/dev/shm' : tmpdir()

const historyArbitrary: fc.Arbitrary<History> = fc.record({
  steps: stepsArbitrary(VISIBLE_MAX_MS),
  latencyMaxMs: fc.constantFrom(0, 0, 400, 5_000),
})

export async function simulate(plan: SimulationPlan): Promise<SimulationReport> {
  const bites: Bites = new Map()
  const beganMs = performance.now()
  const folder = plan.files ? mkdtempSync(join(MEMORY_DISK, 'tailflux-simulation-')) : undefined
  let files = 0
  const createState = () =>
    folder === undefined ? createMemoryState() : createFileState(folder, `state-${(files += 1)}`)
  try {
    const details = await fc.check(
      fc.asyncProperty(historyArbitrary, (history) => playHistory(history, createState, bites)),
      {
        numRuns: plan.runs,
        seed: plan.seed,
        endOnFailure: plan.isQuick ?? false,
        ...(plan.path === undefined ? {} : { path: plan.path }),
      },
    )
    const report = { runs: details.numRuns, seconds: (performance.now() - beganMs) / 1000, bites }
    if (!details.failed) return report
    const error = details.errorInstance instanceof Error ? details.errorInstance : new Error('no error')
    return {
      ...report,
      failure: {
        seed: details.seed,
        path: details.counterexamplePath ?? '',
        history: details.counterexample?.[0] as History,
        error: error.stack ?? error.message,
      },
    }
  } finally {
    if (folder) rmSync(folder, { recursive: true, force: true })
  }
}

/** The same on several threads, each with a seed of its own (`seed`, `seed + 1`, ...). */
export async function simulateOnThreads(plan: SimulationPlan, threads: number): Promise<SimulationReport> {
  const runs = Math.ceil(plan.runs / threads)
  const reports = await Promise.all(
    Array.from({ length: threads }, (_, index) => onThread({ ...plan, runs, seed: plan.seed + index })),
  )
  const bites: Bites = new Map()
  for (const report of reports)
    for (const [name, count] of report.bites) bites.set(name, (bites.get(name) ?? 0) + count)
  const failure = reports.find((report) => report.failure)?.failure
  return {
    runs: reports.reduce((sum, report) => sum + report.runs, 0),
    seconds: Math.max(...reports.map((report) => report.seconds)),
    bites,
    ...(failure ? { failure } : {}),
  }
}

function onThread(plan: SimulationPlan): Promise<SimulationReport> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL(import.meta.url), { workerData: { plan } })
    worker.once('message', resolve)
    worker.once('error', reject)
  })
}

export function reportText({ runs, seconds, bites, failure }: SimulationReport): string {
  const lines = [
    `${runs} histories in ${seconds.toFixed(1)} s, ${Math.round((runs / seconds) * 60)} per minute`,
    `what happened: ${[...bites]
      .sort(([one], [other]) => (one < other ? -1 : 1))
      .map(([name, count]) => `${name} ${count}`)
      .join(', ')}`,
  ]
  if (failure) {
    lines.push(
      `FAILED: ${failure.error}`,
      `play again: npm run simulate -- --seed ${failure.seed} --path ${failure.path}`,
      JSON.stringify(failure.history),
    )
  }
  return lines.join('\n')
}

const asked = workerData as { plan?: SimulationPlan } | undefined
if (!isMainThread && asked?.plan !== undefined) parentPort?.postMessage(await simulate(asked.plan))
else if (isMainThread && process.argv[1] === import.meta.filename) {
  const values = readOptions('npm run simulate', {
    runs: { type: 'string', default: '2000' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000_000) },
    path: { type: 'string' },
    files: { type: 'boolean', default: false },
    quick: { type: 'boolean', default: false },
    threads: { type: 'string', default: '2' },
  })
  const plan = {
    runs: Number(values.runs),
    seed: Number(values.seed),
    path: values.path,
    files: values.files,
    isQuick: values.quick,
  }
  console.log(`seed ${plan.seed}`)
  const report = plan.path === undefined ? await simulateOnThreads(plan, Number(values.threads)) : await simulate(plan)
  console.log(reportText(report))
  if (report.failure) process.exitCode = 1
}
