/** What the numbers were measured on. */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { availableParallelism, cpus, loadavg, release, totalmem } from 'node:os'

export interface Machine {
  readonly cpu: string
  readonly cores: number
  readonly memoryGb: number
  readonly system: string
  readonly node: string
  readonly v8: string
  /** Load average of the last minute at the start: other work on the machine makes all numbers worse, ratios less so. */
  readonly load: number
  readonly commit: string
}

export function describeMachine(): Machine {
  return {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: availableParallelism(),
    memoryGb: Math.round(totalmem() / 2 ** 30),
    system: `${systemName()}, Linux ${release()}`,
    node: process.version,
    v8: process.versions.v8,
    load: loadavg()[0]!,
    commit: commit(),
  }
}

export function machineText(machine: Machine): string {
  const { cpu, cores, memoryGb, system, node, v8, load, commit } = machine
  return `${cores} cores of ${cpu}, ${memoryGb} GB, ${system}, Node ${node} (V8 ${v8}), commit ${commit}, load ${load.toFixed(1)} at the start`
}

function systemName(): string {
  try {
    const release = readFileSync('/etc/os-release', 'utf8')
    return /^PRETTY_NAME="?([^"\n]*)/m.exec(release)?.[1] ?? 'unknown'
  } catch {
    return process.platform
  }
}

function commit(): string {
  try {
    const run = (...args: string[]) =>
      execFileSync('git', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
    const isChanged = run('status', '--porcelain', '--untracked-files=no', '--', 'src').trim() !== ''
    return run('rev-parse', '--short', 'HEAD').trim() + (isChanged ? ' with changes' : '')
  } catch {
    return 'unknown'
  }
}
