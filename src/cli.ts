#!/usr/bin/env node
/** The command line: which commands there are, and how their failures end the process. Each command is a file in commands/. */
import { Command, CommanderError } from 'commander'
import { demoCommand } from './commands/demo.ts'
import { EXIT, exitCodeOf } from './commands/exit.ts'
import { exportCommand } from './commands/export.ts'
import { healthcheckCommand } from './commands/healthcheck.ts'
import { ledgerCommand } from './commands/ledger.ts'
import { printConfigCommand } from './commands/print-config.ts'
import { runCommand } from './commands/run.ts'
import { CollectorError } from './errors.ts'
import { VERSION } from './version.ts'

const program = new Command('tailflux')
  .description('Tailscale network flow logs into InfluxDB: every entry once, acknowledged.')
  .version(VERSION, '-V, --version', 'print the version')
  .helpOption('-h, --help', 'print this help')
  .option('-c, --config <file>', 'settings file (YAML); without it TAILFLUX_CONFIG, without that only the environment')
  .showHelpAfterError('(tailflux --help tells more)')
  .configureHelp({ showGlobalOptions: true })
  .addHelpText(
    'after',
    `
Settings come from a YAML file and from the environment, which wins; \`tailflux print-config\` shows those in force.

Exit codes: ${EXIT.ok} well, ${EXIT.failed} failed, ${EXIT.usage} wrong usage or settings, ${EXIT.locked} another tailflux holds the state file.`,
  )
  .exitOverride()

for (const command of [
  runCommand(),
  demoCommand(),
  printConfigCommand(),
  exportCommand(),
  ledgerCommand(),
  healthcheckCommand(),
])
  program.addCommand(command.copyInheritedSettings(program))

try {
  await program.parseAsync()
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? EXIT.ok : EXIT.usage
  else if (error instanceof CollectorError) {
    process.stderr.write(`tailflux: ${error.message}\n`)
    process.exitCode = exitCodeOf(error)
  } else throw error
}
