/** `tailflux run`: the service, until it is stopped; with `--once` one catch-up. */
import { Command } from 'commander'
import { hasCredentials } from '../config/settings.ts'
import { startDemo } from './demo.ts'
import { EXIT } from './exit.ts'
import { runOnce } from './run-once.ts'
import { runService } from './run-service.ts'
import { load } from './settings.ts'

export function runCommand(): Command {
  return new Command('run')
    .description('Read flow logs and write them to InfluxDB or the embedded store, until SIGTERM or SIGINT.')
    .option('--once', 'read everything up to now, make the rows, and end; for cron. Nothing listens on the HTTP port')
    .addHelpText(
      'after',
      `
Exit codes: ${EXIT.ok} stopped, with --once everything up to now (less poll.lag) is in the database; ${EXIT.failed} failed, with --once something is missing: the text
says what and why, and the next run continues; ${EXIT.usage} wrong usage or settings; ${EXIT.locked} another tailflux uses the state file.`,
    )
    .action(async (options: { once?: boolean }, command: Command) => {
      const loaded = load(command)
      if (options.once) {
        process.exitCode = await runOnce(loaded)
        return
      }
      if (loaded.settings.demo === 'auto' && !hasCredentials(loaded.settings)) return await startDemo(command, {})
      await runService(() => load(command), {})
    })
}
