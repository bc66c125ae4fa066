/** The service as a process: signals, a crash in order, the last lines of the log. */
import type { Loaded } from '../config/load.ts'
import { createLogOutput, type LogOutput } from '../observe/log-output.ts'
import { EXIT, endProcess, onStopSignal } from './exit.ts'
import { createSupervisor, type Supervisor } from './supervisor.ts'

/** For the whole stop: work in progress is finished within 8 s, and docker kills after 10. */
const STOP_MS_MAX = 9_000
/** For the last lines of the log. */
const FLUSH_MS_MAX = 300
/** What a library may have left open. */
const LINGER_MS_MAX = 1_000

/** Runs the service until a signal comes, then stops it: work in progress is finished within some seconds, and the exit code is 0. A second
 * signal ends the process at once. SIGHUP applies new settings. A programmer's error anywhere ends the process in the same way, with exit
 * code 1. `loadAgain` is called now and at each reload. */
export async function runService(
  loadAgain: () => Loaded,
  options: { readonly isDemo?: boolean; readonly onStart?: (url: string) => void },
): Promise<void> {
  const output = createLogOutput({ fd: 1 })
  process.once('exit', output.flushAtExit)
  const stopped = Promise.withResolvers<void>()

  function broken(error: unknown): void {
    process.exitCode = EXIT.failed
    stopped.resolve()
    lastWords(() => supervisor.log.fatal({ err: error }, 'programmer error, the process ends'), output)
  }

  const supervisor = createSupervisor(loadAgain, { onBroken: broken, isDemo: options.isDemo ?? false, output })
  onStopSignal((signal) => {
    supervisor.log.info({ signal }, 'stopping')
    stopped.resolve()
  })
  // What is wrong with new settings is in the log, and the old ones stay.
  process.on('SIGHUP', () => void supervisor.reload().catch(() => undefined))
  // Not only once: a second error while the process ends must not change how it ends.
  process.on('uncaughtException', broken)
  process.on('unhandledRejection', broken)
  // Node writes its warnings to standard error, waiting for whoever reads it.
  process.removeAllListeners('warning')
  process.on('warning', (warning) => supervisor.log.warn({ err: warning }, 'warning of Node'))
  try {
    // A separate statement: the arguments of an optional call are not evaluated when there is no function.
    const url = await supervisor.start()
    options.onStart?.(url)
    await stopped.promise
  } finally {
    const isStopped = await stopInTime(supervisor)
    if (!isStopped) process.exitCode = EXIT.failed
    await output.flush(FLUSH_MS_MAX)
    setTimeout(() => endProcess(process.exitCode), isStopped ? LINGER_MS_MAX : 0).unref()
  }
}

/** True when everything ended as it should. */
async function stopInTime(supervisor: Supervisor): Promise<boolean> {
  const late = Promise.withResolvers<'late'>()
  const bound = setTimeout(() => late.resolve('late'), STOP_MS_MAX)
  try {
    if ((await Promise.race([supervisor.stop(), late.promise])) !== 'late') return true
    supervisor.log.error({ limitMs: STOP_MS_MAX }, 'stop timed out; work in progress is read again later')
  } catch (error) {
    supervisor.log.error({ err: error }, 'stop failed; work in progress is read again later')
  } finally {
    clearTimeout(bound)
  }
  return false
}

/** Logs the last line, even when the error cannot be printed. Never throws. */
function lastWords(say: () => void, output: LogOutput): void {
  try {
    say()
  } catch {
    output.write('{"level":"fatal","msg":"programmer error, the process ends; the error itself cannot be printed"}\n')
  }
}
