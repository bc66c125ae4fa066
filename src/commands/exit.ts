/** Exit codes, and how the process ends. */
import type { CollectorError } from '../base/errors.ts'
import { watchNpm } from './npm-parent.ts'

export const EXIT = {
  ok: 0,
  failed: 1,
  /** Wrong usage or settings. */
  usage: 2,
  /** EX_TEMPFAIL of sysexits.h: another tailflux uses the state file. */
  locked: 75,
} as const

export function exitCodeOf(error: CollectorError): number {
  if (error.code === 'config_invalid') return EXIT.usage
  if (error.code === 'state_locked') return EXIT.locked
  return EXIT.failed
}

/** ctrl-C and systemd signal npm and this process, and npm passes the signal on: what comes within this time is the same signal once more. */
const PASSED_ON_MS = 500

/** From now on the first SIGTERM, SIGINT or end of the npm that started this process calls `listener`, and a later signal ends the process at once. What
 * listened before does not any more. A signal that came while the program was loaded counts too: it is delivered later, unless for a moment nothing listens. */
export function onStopSignal(listener: (signal: 'SIGTERM' | 'SIGINT' | 'npm ended') => void): void {
  let firstMs: number | undefined

  function stop(signal: 'SIGTERM' | 'SIGINT' | 'npm ended'): void {
    if (firstMs === undefined) {
      firstMs = performance.now()
      listener(signal)
    } else if (signal !== 'npm ended' && performance.now() - firstMs > PASSED_ON_MS)
      endProcess(128 + (signal === 'SIGINT' ? 2 : 15))
  }
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    const before = process.listeners(signal)
    process.on(signal, stop)
    for (const one of before) process.removeListener(signal, one)
  }
  watchNpm(() => stop('npm ended'))
}

/** Ends the process now. `process.exit` waits for name look-ups in progress, which cannot be cancelled: without an answer from DNS that takes up
 * to a minute, and container runtimes kill the process before that. Then the process becomes one that only has the exit code (execve keeps none of its
 * threads). */
export function endProcess(code: number | string | null | undefined): never {
  if (process.execve === undefined || !process.getActiveResourcesInfo().includes('GetAddrInfoReqWrap'))
    process.exit(code)
  process.emit('exit', Number(code ?? 0))
  return process.execve(process.execPath, [process.execPath, '--eval', `process.exitCode = ${Number(code ?? 0)}`], {})
}
