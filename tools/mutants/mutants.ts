/** Proof that the tests are not blind: mistakes that such a service can make are built into a copy of the sources, one at a time, and the
 * suite must catch each.
 *
 *   npm run mutants [-- --only NAME] [-- --sample COUNT] [-- --list]
 *
 * First the test files that are named with a mutant are run on it, then the simulation (with the seed of this file). Exit code 1 when a
 * mutant lives. The copy needs no installation: it borrows node_modules. `--list` only checks that all of them fit the sources. */
import { execFile } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readOptions } from '../options.ts'
import { DELIVERY_MUTANTS } from './list/delivery.ts'
import { LEDGER_MUTANTS } from './list/ledger.ts'
import { OBSERVERS_MUTANTS } from './list/observers.ts'
import { PIPELINE_MUTANTS } from './list/pipeline.ts'
import { QUERY_MUTANTS } from './list/query.ts'
import { RECOVERY_MUTANTS } from './list/recovery.ts'
import { ROLLUP_MUTANTS } from './list/rollup.ts'
import { SERVICE_MUTANTS } from './list/service.ts'
import { SINK_MUTANTS } from './list/sink.ts'
import { SOURCE_MUTANTS } from './list/source.ts'
import { type Mutant, mutate } from './mutate.ts'

export const MUTANTS: readonly Mutant[] = [
  ...SOURCE_MUTANTS,
  ...DELIVERY_MUTANTS,
  ...PIPELINE_MUTANTS,
  ...RECOVERY_MUTANTS,
  ...LEDGER_MUTANTS,
  ...SINK_MUTANTS,
  ...QUERY_MUTANTS,
  ...ROLLUP_MUTANTS,
  ...OBSERVERS_MUTANTS,
  ...SERVICE_MUTANTS,
]

const ROOT = new URL('../..', import.meta.url).pathname
const SEED = 7
const RUNS = 1_200
const TIMEOUT_MS = 240_000
const SIMULATED = [
  'tools/simulation/simulate.ts',
  '--quick',
  '--threads',
  '2',
  '--seed',
  `${SEED}`,
  '--runs',
  `${RUNS}`,
]

interface MutantResult {
  readonly name: string
  readonly caughtBy: string | undefined
}

async function tryMutant(mutant: Mutant): Promise<MutantResult> {
  const folder = mkdtempSync(join(tmpdir(), 'tailflux-mutant-'))
  try {
    for (const name of ['src', 'test', 'tools', 'bench', 'config', 'package.json'])
      cpSync(join(ROOT, name), join(folder, name), { recursive: true })
    symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'))
    const path = join(folder, mutant.file)
    writeFileSync(path, mutate(readFileSync(path, 'utf8'), mutant))
    // The tests that name it are done in seconds; the simulation takes a minute.
    for (const file of mutant.tests ?? []) {
      const tested = await run(folder, ['--test', file])
      const failed = /✖ (.*?)(?: \(|$)/m.exec(tested.output)?.[1]
      if (tested.failed) return { name: mutant.name, caughtBy: `${file}: ${failed ?? 'failed'}` }
    }
    await simulatesUnchanged()
    const simulation = await run(folder, SIMULATED)
    if (simulation.failed) {
      const said = /FAILED: (.*)/.exec(simulation.output)?.[1] ?? 'it does not end'
      const again = /--seed \S+ --path \S+/.exec(simulation.output)?.[0] ?? `--seed ${SEED}`
      return { name: mutant.name, caughtBy: `simulation ${again}: ${said.slice(0, 90)}` }
    }
    return { name: mutant.name, caughtBy: undefined }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

let unchanged: ReturnType<typeof run> | undefined
/** A simulation that fails by itself would catch everything. Rejects then. */
async function simulatesUnchanged(): Promise<void> {
  unchanged ??= run(ROOT, SIMULATED)
  const { failed, output } = await unchanged
  if (failed) throw new Error(`the simulation fails without a mutant:\n${output}`)
}

function run(cwd: string, args: readonly string[]): Promise<{ failed: boolean; output: string }> {
  const env = { ...process.env }
  // Of the runner that we may be a child of.
  delete env['NODE_TEST_CONTEXT']
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      [...args],
      { cwd, env, timeout: TIMEOUT_MS, maxBuffer: 64 << 20 },
      (error, stdout, stderr) => resolve({ failed: error !== null, output: stdout + stderr }),
    )
  })
}

/** Some of them, spread evenly over the list. */
function sampleOf<T>(all: readonly T[], count: number): readonly T[] {
  const every = Math.max(1, all.length / count)
  return all.filter((_, at) => Math.floor(at / every) !== Math.floor((at - 1) / every))
}

if (process.argv[1] === import.meta.filename) {
  const values = readOptions('npm run mutants', {
    only: { type: 'string' },
    sample: { type: 'string' },
    list: { type: 'boolean' },
  })
  const named = MUTANTS.filter((mutant) => values.only === undefined || mutant.name.includes(values.only))
  const chosen = values.sample === undefined ? named : sampleOf(named, Number(values.sample))
  if (values.list) for (const mutant of chosen) list(mutant)
  else await tryAll(chosen)
}

function list(mutant: Mutant): void {
  mutate(readFileSync(join(ROOT, mutant.file), 'utf8'), mutant)
  console.log(`${mutant.name.padEnd(70)} ${mutant.in} in ${mutant.file}`)
}

async function tryAll(chosen: readonly Mutant[]): Promise<void> {
  let alive = 0
  for (const mutant of chosen) {
    const { name, caughtBy } = await tryMutant(mutant)
    if (caughtBy === undefined) alive += 1
    console.log(`${caughtBy === undefined ? 'LIVES ' : 'caught'}  ${name.padEnd(46)} ${caughtBy ?? ''}`)
  }
  console.log(`${chosen.length - alive} of ${chosen.length} mutants caught`)
  if (alive > 0) process.exitCode = 1
}
