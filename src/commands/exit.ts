/** Exit codes, and how the process ends. */
import type { CollectorError } from '../base/errors.ts'

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

/** From now on SIGTERM and SIGINT call `listener`, once each, in place of what they did before. A signal that came while the program was loaded
 * counts too: it is delivered later, unless for a moment nobody listens. */
export function onStopSignal(listener: (signal: 'SIGTERM' | 'SIGINT') => void): void {
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    const before = process.listeners(signal)
    process.once(signal, () => listener(signal))
    for (const one of before) process.removeListener(signal, one)
  }
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
