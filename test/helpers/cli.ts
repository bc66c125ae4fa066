/** The command line as a process of its own, as people run it. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'

const CLI = fileURLToPath(new URL('../../src/cli.js', import.meta.url))

export interface CliProcess {
  readonly child: ChildProcess
  readonly stdout: () => string
  readonly stderr: () => string
  /** Resolves when the output so far matches; rejects when the process ends before. */
  until(pattern: RegExp, of?: 'stdout' | 'stderr'): Promise<RegExpExecArray>
  /** Resolves with the exit code (128 + n for a signal's end without one) when the process has ended. */
  readonly ended: Promise<number>
}

/** Nothing of our own environment gets in but what a program needs. Killed at the end of the test. */
export function startCli(
  t: TestContext,
  args: readonly string[],
  env: Record<string, string> = {},
  cwd?: string,
): CliProcess {
  const child = spawn(process.execPath, [CLI, ...args], {
    env: { PATH: process.env['PATH'] ?? '', HOME: process.env['HOME'] ?? '', NO_COLOR: '1', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(cwd === undefined ? {} : { cwd }),
  })
  const text = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const)
    child[name].setEncoding('utf8').on('data', (piece: string) => {
      text[name] += piece
      child.emit('heard')
    })
  const ended = once(child, 'close').then(([code, signal]) => (signal === null ? Number(code) : 128))
  t.after(async () => {
    child.kill('SIGKILL')
    await ended
  })
  return {
    child,
    stdout: () => text.stdout,
    stderr: () => text.stderr,
    ended,
    async until(pattern, of = 'stdout') {
      for (;;) {
        const found = pattern.exec(text[of])
        if (found) return found
        if (child.exitCode !== null || child.signalCode !== null) {
          throw new Error(
            `it ended (${child.exitCode ?? child.signalCode}) before ${pattern}:\n${text.stdout}\n${text.stderr}`,
          )
        }
        await Promise.race([once(child, 'heard'), ended])
      }
    },
  }
}

export async function runCli(
  t: TestContext,
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<{ code: number; stdout: string; stderr: string }> {
  const cli = startCli(t, args, env)
  const code = await cli.ended
  return { code, stdout: cli.stdout(), stderr: cli.stderr() }
}
