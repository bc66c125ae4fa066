/** `tailflux run`: the service, until it is stopped. */
import { Command } from 'commander'
import { hasCredentials } from '../config/settings.ts'
import { startDemo } from './demo.ts'
import { runService } from './run-service.ts'
import { load } from './settings.ts'

export function runCommand(): Command {
  return new Command('run')
    .description('Read flow logs and write them to InfluxDB or the embedded store, until SIGTERM or SIGINT.')
    .action(async (_options: object, command: Command) => {
      const loaded = load(command)
      if (loaded.settings.demo === 'auto' && !hasCredentials(loaded.settings)) return await startDemo(command, {})
      await runService(() => load(command), {})
    })
}
