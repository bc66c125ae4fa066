/** Handles standard output that cannot be written. (The log of the service has its own output: see observe/log-output.) */
import { EXIT } from './exit.ts'

/** From now on a write error on standard output does not stop a command. A reader that closed the pipe (`| head`) is no error; anything else, such
 * as a full disk, is reported on standard error and gives exit code 1. Returns a function that says whether an error was handled here. */
export function guardOutput(): (error: unknown) => boolean {
  const seen = new Set<unknown>()
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    seen.add(error)
    if (error.code === 'EPIPE') return
    process.stderr.write(
      `tailflux: The output cannot be written (${error.code}); free disk space, or redirect the output.\n`,
    )
    // At exit, because the command may set its own exit code.
    process.once('exit', () => {
      process.exitCode = EXIT.failed
    })
  })
  // There is no output left to report on.
  process.stderr.on('error', () => undefined)
  return (error) => seen.has(error)
}
