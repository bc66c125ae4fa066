/** `tailflux pause`, `resume` and `reload`: orders to the running service. */
import { Command } from 'commander'
import { createServiceClient } from './service-client.ts'
import { load } from './settings.ts'

export function controlCommands(): readonly Command[] {
  return [
    orderCommand(
      'pause',
      'Let the running service read nothing more until `tailflux resume`, or until it is started again.',
      () => 'Paused: nothing is read until `tailflux resume`.',
    ),
    orderCommand('resume', 'Let a paused service go on; what it missed is read now.', () => 'Reading goes on.'),
    orderCommand(
      'reload',
      'Let the running service take over changed settings and secrets. Wrong ones are refused, with all faults, and the old ones stay. SIGHUP does the same.',
      ({ changed }) => {
        const names = Array.isArray(changed) ? changed.map(String) : []
        return names.length === 0 ? 'The settings are as they were.' : `Taken over: ${names.join(', ')}.`
      },
    ),
  ]
}

function orderCommand(name: string, description: string, told: (answer: Record<string, unknown>) => string): Command {
  return new Command(name)
    .description(description)
    .option('--url <url>', 'where the service listens, if not where the settings say')
    .action(async (options: { url?: string }, command: Command) => {
      const client = createServiceClient(load(command).settings, options.url)
      process.stdout.write(`${told(await client.order(`/api/${name}`))}\n`)
    })
}
