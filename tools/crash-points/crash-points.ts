/** Crash points, one by one: one run of the service over a few windows is watched with strace, and then the same run is made again and
 * again, killed at the first, the second, the third ... system call that changes its state file. Before the n-th call takes effect the
 * process is gone, so every state that a kill can leave behind is seen. Afterwards a run without strace must find a good state file and
 * bring the database to the truth.
 *
 *   npm run crash-points [-- --every 1 --from 1] */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { exportLines } from '../../src/sink/sqlite/embedded-store.ts'
import { linesOf } from '../../test/helpers/lines.ts'
import { temporaryFolder } from '../../test/helpers/temporary-folder.ts'
import { assertTruth, MEASUREMENTS, type StoredPoint } from '../../test/line/truth-in.ts'
import { freePort, type Scope } from '../../test/services/server-process.ts'
import { ensure } from '../../test/services/servers.ts'
import { createSimulatedApi } from '../../test/simulator/api.ts'
import { createTailnet } from '../../test/simulator/tailnet.ts'
import { parseLine } from '../../test/sink/line-protocol/parse-lines.ts'
import { CANARY } from '../chaos/chaos-world.ts'
import { readOptions } from '../options.ts'

/** What SQLite does to change a file, its journal and their folder. */
export const CALLS = ['openat', 'pwrite64', 'write', 'fsync', 'fdatasync', 'ftruncate', 'unlink', 'rename'] as const

export interface CrashPointsPlan {
  /** Only every n-th call, for a short run. */
  readonly every: number
  readonly from: number
  readonly log: (text: string) => void
}

export interface CrashPointsReport {
  /** Calls of one undisturbed run, by name. */
  readonly calls: ReadonlyMap<string, number>
  /** Runs that were killed at a call, and all of which ended with the truth. */
  readonly killed: number
  readonly points: number
}

const ROOT = join(import.meta.dirname, '../..')
const LAG_NS = 60_000_000_000n

export async function runCrashPoints(scope: Scope, plan: CrashPointsPlan): Promise<CrashPointsReport> {
  const { path: strace } = await ensure('strace')
  const endNs = (BigInt(Date.now()) / 1000n) * 1_000_000_000n
  const epochNs = endNs - 240_000_000_000n
  const tailnet = createTailnet({ nodes: 12, oldClients: 0, epochNs })
  const api = createSimulatedApi(tailnet, { nowNs: () => endNs })
  await api.start()
  scope.after(() => api.stop())
  const truth = [...tailnet.truth(0n, endNs - LAG_NS, { nowNs: endNs })]
  const home = temporaryFolder(scope)
  let runs = 0

  /** Starts the service in `dir`; it ends when everything is read, or when strace kills it. */
  async function run(dir: string, wrap: readonly string[]): Promise<{ isDone: boolean; output: string }> {
    const port = await freePort()
    const [program = process.execPath, ...args] = [...wrap, process.execPath, join(ROOT, 'src/cli.js'), 'run']
    const child = spawn(program, args, {
      cwd: ROOT,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        PATH: process.env['PATH'] ?? '',
        TAILSCALE_API_URL: api.url,
        TAILSCALE_API_KEY: CANARY,
        TAILFLUX_DATA_DIR: dir,
        TAILFLUX_HTTP_PORT: String(port),
        TAILFLUX_POLL_LOOKBACK: '10m',
        TAILFLUX_POLL_INTERVAL: '5s',
        TAILFLUX_POLL_WINDOW_MAX: '2m',
        TAILFLUX_POLL_PARALLEL: '1',
        TAILFLUX_POLL_LATE_PASSES: '[2m]',
      },
    })
    let output = ''
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (piece: string) => {
        output += piece
      })
    const ended = once(child, 'close')
    let isEnded = false
    void ended.then(() => {
      isEnded = true
    })
    const deadlineMs = performance.now() + 60_000
    let isDone = false
    while (!isEnded && !isDone) {
      assert.ok(performance.now() < deadlineMs, `it neither ends nor gets there:\n${output.slice(-2000)}`)
      await sleep(30)
      isDone = await isCaughtUp(port)
    }
    // With `-D` strace watches from the side: the child is the service itself.
    if (isDone) child.kill('SIGTERM')
    await ended
    return { isDone, output }
  }

  async function isCaughtUp(port: number): Promise<boolean> {
    try {
      const answer = await fetch(`http://127.0.0.1:${port}/api/status`, { signal: AbortSignal.timeout(1_000) })
      const status = (await answer.json()) as { watermarkNs?: string; lastTick?: { result: string } | null }
      return status.watermarkNs === String(endNs - LAG_NS) && status.lastTick?.result === 'caught_up'
    } catch {
      // Not listening yet, or dead.
      return false
    }
  }

  function folder(): string {
    const dir = join(home, `run-${(runs += 1)}`)
    mkdirSync(dir)
    return dir
  }
  const paths = (dir: string) =>
    ['', '-journal'].flatMap((end) => ['-P', join(dir, `state.db${end}`)]).concat('-P', dir)

  // Once undisturbed, to count.
  const first = folder()
  const log = join(home, 'trace')
  const watched = await run(first, [
    strace,
    '-D',
    '-f',
    '-qq',
    '-o',
    log,
    '-e',
    `trace=${CALLS.join(',')}`,
    ...paths(first),
  ])
  assert.ok(watched.isDone, watched.output)
  const calls = new Map<string, number>()
  for (const line of linesOf(readFileSync(log))) {
    const name = /^\d+\s+([a-z0-9]+)\(/.exec(line)?.[1]
    if (name) calls.set(name, (calls.get(name) ?? 0) + 1)
  }
  plan.log(`one run: ${[...calls].map(([name, count]) => `${name} ${count}`).join(', ')}`)

  let killed = 0
  let turn = 0
  for (const [name, count] of calls) {
    for (let at = plan.from; at <= count; at += 1) {
      turn += 1
      if (turn % plan.every !== 0) continue
      const dir = folder()
      const inject = `inject=${name}:signal=SIGKILL:when=${at}`
      const dead = await run(dir, [
        strace,
        '-D',
        '-f',
        '-qq',
        '-o',
        '/dev/null',
        '-e',
        `trace=${name}`,
        '-e',
        inject,
        ...paths(dir),
      ])
      // A run has a few calls more or less than the one that was counted; the last ones may not come.
      if (dead.isDone) continue
      killed += 1
      const after = await run(dir, [])
      const where = `killed at ${name} number ${at}`
      assert.ok(after.isDone, `${where}: ${after.output.slice(-2000)}`)
      // A kill leaves no damage that a start would have to move away; what died while it was made is empty.
      const aside = readdirSync(dir).filter((file) => file.includes('.corrupt-') && !file.endsWith('-journal'))
      const mayBeEmpty = aside.every((file) => readFileSync(join(dir, file)).length === 0)
      assert.ok(mayBeEmpty, `${where}: the state file was damaged`)
      await assertTruth(stored(join(dir, 'store.db')), truth).catch((error) => {
        throw new Error(where, { cause: error })
      })
      rmSync(dir, { recursive: true, force: true })
      if (killed % 25 === 0) plan.log(`${killed} crash points passed`)
    }
  }
  return { calls, killed, points: truth.length }
}

function* stored(path: string): Generator<StoredPoint> {
  for (const measurement of MEASUREMENTS)
    for (const line of exportLines(path, { measurement })) yield parseLine(line.trimEnd())
}

if (process.argv[1] === import.meta.filename) {
  const values = readOptions('npm run crash-points', {
    every: { type: 'string', default: '1' },
    from: { type: 'string', default: '1' },
  })
  const stops: (() => Promise<void>)[] = []
  try {
    const report = await runCrashPoints(
      { after: (stop) => void stops.push(stop) },
      { every: Number(values.every), from: Number(values.from), log: (text) => console.log(text) },
    )
    console.log(`${report.killed} runs killed, each then with all ${report.points} points and no other`)
  } catch (error) {
    console.error(error)
    process.exitCode = 1
  } finally {
    for (const stop of stops.reverse()) await stop()
  }
}
