/** What commands print, when it cannot be written. (The service's log has its own way out: see observe/log-output.) */
import { EXIT } from './exit.ts'

/** From now on a standard output that cannot be written ends no command in the middle: who reads may have seen enough (`| head`), which is no
 * fault; anything else, such as a full disk, is told on standard error and is exit code 1. Returns what tells
 * whether an error is one that was dealt with here. */
export function guardOutput(): (error: unknown) => boolean {
  const seen = new Set<unknown>()
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    seen.add(error)
    if (error.code === 'EPIPE') return
    process.stderr.write(
      `tailflux: The output cannot be written (${error.code}); free space, or send it somewhere else.\n`,
    )
    // At the end, whatever the command has to say about itself.
    process.once('exit', () => {
      process.exitCode = EXIT.failed
    })
  })
  // There is nobody left to tell.
  process.stderr.on('error', () => undefined)
  return (error) => seen.has(error)
}
