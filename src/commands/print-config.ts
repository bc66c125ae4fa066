/** `tailflux print-config`: the settings in force. */
import { Command } from 'commander'
import { settingsJsonSchema } from '../config/json-schema.ts'
import { printSettings, sampleSettings } from '../config/print.ts'
import { load } from './settings.ts'

export function printConfigCommand(): Command {
  return new Command('print-config')
    .description('Check the settings and print those in force as YAML, without secrets, each with its source.')
    .option('--sample', 'print a settings file with every key at its default value instead')
    .option('--schema', 'print the JSON schema of the settings file instead, for editors')
    .action((options: { sample?: boolean; schema?: boolean }, command: Command) => {
      if (options.schema) process.stdout.write(settingsJsonSchema())
      else process.stdout.write(options.sample ? sampleSettings() : printSettings(load(command)))
    })
}
