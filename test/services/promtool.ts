/** Prometheus' own checker of metrics and rules. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { ensure } from './servers.ts'

export interface PromtoolResult {
  readonly code: number
  /** What it printed, both streams. */
  readonly output: string
}

/** Runs `promtool …args`, with `input` on its standard input: `promtool(['check', 'metrics'], exposition)`. */
export async function promtool(args: readonly string[], input = ''): Promise<PromtoolResult> {
  const { path } = await ensure('promtool')
  const child = spawn(path, args, { stdio: ['pipe', 'pipe', 'pipe'] })
  // It may end before it has read everything.
  child.stdin.on('error', () => undefined)
  child.stdin.end(input)
  const [out, err, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')])
  return { code: code as number, output: out + err }
}
