/** Child processes that do one thing each when asked: a measurement has a process of its own, so that its CPU time and its memory are its
 * own as well. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'

export interface Child {
  /** Sends a question and resolves with the answer; rejects with what the child threw. One at a time. */
  ask<T>(question: unknown): Promise<T>
  /** CPU seconds of the whole process so far, all threads. */
  cpuSeconds(): number
  /** Peak of the resident memory, bytes (VmHWM). */
  peakBytes(): number
  rssBytes(): number
  readonly pid: number
  stop(): Promise<void>
}

export interface ChildOptions {
  readonly args?: readonly string[]
  /** Flags of Node. */
  readonly flags?: readonly string[]
  /** Keep it on this core, where the system can. */
  readonly core?: number
  readonly env?: Readonly<Record<string, string>>
}

const RUNNING = new Set<ChildProcess>()
process.once('exit', () => {
  for (const child of RUNNING) child.kill('SIGKILL')
})

type Reply = { value: unknown } | { error: string }

export async function startChild(script: string, options: ChildOptions = {}): Promise<Child> {
  const { args = [], flags = [], core, env = {} } = options
  const command = [process.execPath, ...flags, resolve(import.meta.dirname, script), ...args]
  if (core !== undefined && hasTaskset()) command.unshift('taskset', '-c', String(core))
  const child = spawn(command[0]!, command.slice(1), {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    env: { ...process.env, ...env },
    serialization: 'advanced',
  })
  RUNNING.add(child)
  child.once('exit', () => RUNNING.delete(child))
  await next(child, script)
  const pid = child.pid!
  return {
    pid,
    async ask<T>(question: unknown) {
      const answer = next(child, script)
      child.send(question as object)
      return (await answer) as T
    },
    cpuSeconds: () => cpuSecondsOf(pid),
    peakBytes: () => memoryOf(pid, 'VmHWM'),
    rssBytes: () => memoryOf(pid, 'VmRSS'),
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return
      const gone = once(child, 'exit')
      child.kill('SIGKILL')
      await gone
    },
  }
}

/** The next message of the child; it ends early when the child does. */
async function next(child: ChildProcess, script: string): Promise<unknown> {
  const { promise, resolve: done, reject } = Promise.withResolvers<Reply>()
  const ended = (code: number | null, signal: string | null) =>
    reject(new Error(`${script} ended before it answered (${signal ?? code})`))
  child.once('message', done as (message: unknown) => void)
  child.once('exit', ended)
  child.once('error', reject)
  try {
    const reply = await promise
    if ('error' in reply) throw new Error(`${script}: ${reply.error}`)
    return reply.value
  } finally {
    child.off('message', done as (message: unknown) => void)
    child.off('exit', ended)
    child.off('error', reject)
  }
}

/** The child's side: answers every question, after it said that it is ready. */
export function serve(answer: (question: never) => unknown): void {
  const send = (reply: Reply) => process.send?.(reply)
  process.on('message', async (question) => {
    try {
      send({ value: await answer(question as never) })
    } catch (error) {
      send({ error: error instanceof Error ? (error.stack ?? error.message) : String(error) })
    }
  })
  process.on('disconnect', () => process.exit(0))
  send({ value: undefined })
}

/** `VmHWM` or `VmRSS` of a process, bytes. */
export function memoryOf(pid: number, field: 'VmHWM' | 'VmRSS'): number {
  const kilobytes = new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
  return Number(kilobytes) * 1024
}

/** User and system time of a process and all its threads. */
export function cpuSecondsOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / TICKS
}

const TICKS = Number(run('getconf', 'CLK_TCK') ?? 100)

let taskset: boolean | undefined
function hasTaskset(): boolean {
  taskset ??= run('taskset', '-V') !== undefined
  return taskset
}

function run(program: string, ...args: string[]): string | undefined {
  try {
    return execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim()
  } catch {
    return undefined
  }
}
