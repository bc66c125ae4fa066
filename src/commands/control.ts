/** `tailflux pause`, `resume` and `reload`: commands for the running service. */
import { Command } from 'commander'
import { urlArgument } from './healthcheck.ts'
import { createServiceClient } from './service-client.ts'
import { load } from './settings.ts'

export function controlCommands(): readonly Command[] {
  return [
    controlCommand(
      'pause',
      'Pause reading until `tailflux resume`, or until the service restarts.',
      () => 'Paused; run `tailflux resume` to continue.',
    ),
    controlCommand('resume', 'Resume reading; what was missed is read now.', () => 'Resumed.'),
    controlCommand(
      'reload',
      'Apply changed settings and secrets. Invalid settings are rejected with all errors, and the old ones stay in force. SIGHUP does the same.',
      ({ changed }) => {
        const names = Array.isArray(changed) ? changed.map(String) : []
        return names.length === 0 ? 'Settings unchanged.' : `Applied: ${names.join(', ')}.`
      },
    ),
  ]
}

function controlCommand(
  name: string,
  description: string,
  message: (answer: Record<string, unknown>) => string,
): Command {
  return new Command(name)
    .description(description)
    .option('--url <url>', 'address of the service, if not the configured one', urlArgument)
    .action(async (options: { url?: string }, command: Command) => {
      const client = createServiceClient(load(command, { withoutCredentials: true }).settings, options.url)
      process.stdout.write(`${message(await client.post(`/api/${name}`))}\n`)
    })
}
