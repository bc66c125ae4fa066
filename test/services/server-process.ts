/** A real server as a child process: started on a port of its own in a folder of its own, killed and started again as a test likes. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

/** What a test, a hook or `import { after } from 'node:test'` gives: what is started for it is stopped after it. */
export interface Scope {
  after(stop: () => Promise<void>): void
}

export interface ServerProcess extends AsyncDisposable {
  /** `http://127.0.0.1:<port>`, the same after each start. */
  readonly url: string
  readonly port: number
  /** Data and settings; removed by `stop`. */
  readonly dir: string
  /** Undefined while it does not run. */
  readonly pid: number | undefined
  /** The last 64 KiB of what it printed. */
  output(): string
  /** Sends the signal and resolves when the process is gone. Default SIGKILL. */
  kill(signal?: NodeJS.Signals): Promise<void>
  /** Starts it again on the same data and port; resolves when it answers. */
  start(): Promise<void>
  /** Ends it and removes its data. Twice is harmless. */
  stop(): Promise<void>
}

export interface ServerPlan {
  readonly name: string
  readonly program: string
  /** Called once, before the first start: writes settings into `dir`, returns the arguments. */
  readonly args: (place: { dir: string; port: number }) => readonly string[]
  /** Path that answers 2xx as soon as the server is ready. */
  readonly readyPath: string
  readonly env?: Readonly<Record<string, string>>
}

const READY_MS_MAX = 60_000
const STOP_MS_MAX = 10_000
const OUTPUT_MAX = 64 << 10
const PORT_ATTEMPTS = 5

const running = new Set<ChildProcess>()
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})
// The test runner ends a file that takes too long by SIGTERM; its servers must not outlive it.
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.once(signal, () => process.exit(1))

export async function startServer(scope: Scope | undefined, plan: ServerPlan): Promise<ServerProcess> {
  for (let attempt = 1; ; attempt += 1) {
    const server = createServerProcess(plan, await freePort())
    scope?.after(() => server.stop())
    try {
      await server.start()
      return server
    } catch (error) {
      await server.stop()
      // Another process took the port in between.
      if (attempt < PORT_ATTEMPTS && /address already in use/.test(server.output())) continue
      throw error
    }
  }
}

function createServerProcess(plan: ServerPlan, port: number): ServerProcess {
  const dir = mkdtempSync(join(tmpdir(), `tailflux-${plan.name}-`))
  const args = plan.args({ dir, port })
  const url = `http://127.0.0.1:${port}`
  let child: ChildProcess | undefined
  let output = ''

  function keep(chunk: string): void {
    output = (output + chunk).slice(-OUTPUT_MAX)
  }

  async function kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const victim = child
    if (victim === undefined || victim.exitCode !== null || victim.signalCode !== null) return
    const gone = once(victim, 'exit')
    victim.kill(signal)
    await gone
  }

  async function start(): Promise<void> {
    if (child !== undefined) throw new Error(`${plan.name} runs already`)
    const made = spawn(plan.program, args, {
      cwd: dir,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...plan.env },
    })
    child = made
    running.add(made)
    made.once('exit', () => {
      running.delete(made)
      if (child === made) child = undefined
    })
    made.once('error', (error) => keep(`${error.message}\n`))
    for (const stream of [made.stdout, made.stderr]) stream.setEncoding('utf8').on('data', keep)
    await ready(made)
  }

  async function ready(made: ChildProcess): Promise<void> {
    const deadlineMs = Date.now() + READY_MS_MAX
    while (Date.now() < deadlineMs) {
      if (made.exitCode !== null || made.signalCode !== null || made.pid === undefined) {
        throw new Error(`${plan.name} ended while it started:\n${output}`)
      }
      try {
        const answer = await fetch(`${url}${plan.readyPath}`, { signal: AbortSignal.timeout(5_000) })
        await answer.arrayBuffer()
        if (answer.ok) return
      } catch {
        // Not yet.
      }
      await sleep(25)
    }
    throw new Error(`${plan.name} is not ready after ${READY_MS_MAX / 1000} s:\n${output}`)
  }

  async function stop(): Promise<void> {
    const over = setTimeout(() => void kill('SIGKILL'), STOP_MS_MAX)
    await kill('SIGTERM').finally(() => clearTimeout(over))
    rmSync(dir, { recursive: true, force: true })
  }

  return {
    url,
    port,
    dir,
    get pid() {
      return child?.pid
    },
    output: () => output,
    kill,
    start,
    stop,
    [Symbol.asyncDispose]: stop,
  }
}

/** A port of 127.0.0.1 that nothing listens on, from below the range that outgoing connections take: so that a server which is killed
 * finds its port free when it starts again. */
export async function freePort(): Promise<number> {
  while (true) {
    const port = 20_000 + Math.floor(Math.random() * 12_000)
    const probe = createServer()
    const isFree = await new Promise<boolean>((resolve) => {
      probe.once('error', () => resolve(false))
      probe.listen(port, '127.0.0.1', () => resolve(true))
    })
    if (!isFree) continue
    probe.close()
    await once(probe, 'close')
    return port
  }
}
