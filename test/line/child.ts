/** The service as people run it: `node src/cli.js run` in a process of its own, with settings in its environment. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import type { StatusAnswer } from '../../src/observe/status.ts'
import { eventually } from '../helpers/eventually.ts'
import { freePort } from '../services/server-process.ts'

export interface Child {
  readonly url: string
  /** Everything that it printed, both streams. */
  output(): string
  readonly process: ChildProcess
  /** Resolves with its exit code, or the signal that ended it. */
  readonly ended: Promise<number | NodeJS.Signals>
  kill(signal: NodeJS.Signals): Promise<number | NodeJS.Signals>
  get(path: string, headers?: Record<string, string>): Promise<{ status: number; body: string }>
  /** Asks `/api/status` until the answer is true. */
  until(
    isReached: (status: StatusAnswer & { watermarkNs: string | null }) => boolean | Promise<boolean>,
    headers?: Record<string, string>,
  ): Promise<void>
}

const ROOT = join(import.meta.dirname, '../..')

/** Killed with the test. `env` is all of its environment. `wrap`: a program and its arguments that start it, and leave it the process id. */
export async function startChild(
  t: TestContext,
  env: Readonly<Record<string, string>>,
  args: readonly string[] = ['run'],
  wrap: readonly string[] = [],
): Promise<Child> {
  const port = await freePort()
  const [program = process.execPath, ...rest] = [...wrap, process.execPath, join(ROOT, 'src/cli.js'), ...args]
  const child = spawn(program, rest, {
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env['PATH'] ?? '', TAILFLUX_HTTP_PORT: String(port), ...env },
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (piece: string) => {
      output += piece
    })
  const ended = once(child, 'close').then(([code, signal]) => (code ?? signal) as number | NodeJS.Signals)
  const url = `http://127.0.0.1:${env['TAILFLUX_HTTP_PORT'] ?? port}`

  async function kill(signal: NodeJS.Signals): Promise<number | NodeJS.Signals> {
    child.kill(signal)
    return await ended
  }
  async function get(path: string, headers: Record<string, string> = {}) {
    const answer = await fetch(url + path, { headers })
    return { status: answer.status, body: await answer.text() }
  }
  t.after(() => kill('SIGKILL'))
  return {
    url,
    output: () => output,
    process: child,
    ended,
    kill,
    get,
    async until(isReached, headers = {}) {
      let last = 'no answer yet'
      await eventually(
        () => `the status; it was ${last}, and the output ${output.slice(-4000)}`,
        async () => {
          if (child.exitCode !== null || child.signalCode !== null) throw new Error(`it ended:\n${output.slice(-4000)}`)
          try {
            last = (await get('/api/status', headers)).body
          } catch {
            // It does not listen yet.
            return false
          }
          return await isReached(JSON.parse(last))
        },
      )
    },
  }
}
