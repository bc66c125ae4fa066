/** The command line: which commands there are, and how their failures end the process. Each command is a file beside this one. */
import { flushCompileCache } from 'node:module'
import { Command, CommanderError } from 'commander'
import { CollectorError } from '../base/errors.ts'
import { VERSION } from '../base/version.ts'
import { alertsCommand } from './alerts.ts'
import { backfillCommand } from './backfill.ts'
import { checkCommand } from './check.ts'
import { controlCommands } from './control.ts'
import { demoCommand } from './demo.ts'
import { EXIT, exitCodeOf } from './exit.ts'
import { exportCommand } from './export.ts'
import { flowsCommand } from './flows.ts'
import { grafanaCommand } from './grafana.ts'
import { healthcheckCommand } from './healthcheck.ts'
import { initCommand } from './init.ts'
import { ledgerCommand } from './ledger.ts'
import { fileError, withoutPromises } from './one-shot.ts'
import { guardOutput } from './output.ts'
import { printConfigCommand } from './print-config.ts'
import { replayCommand } from './replay.ts'
import { runCommand } from './run.ts'
import { statusCommand } from './status.ts'

const program = new Command('tailflux')
  .description('Tailscale network flow logs into InfluxDB: every entry once, acknowledged.')
  .version(VERSION, '-V, --version', 'print the version')
  .helpOption('-h, --help', 'print this help')
  .option('-c, --config <file>', 'settings file (YAML); default: TAILFLUX_CONFIG, else the environment only')
  .showHelpAfterError('(see tailflux --help)')
  .configureHelp({ showGlobalOptions: true })
  .addHelpText(
    'after',
    `
Settings come from a YAML file and from the environment, which wins; \`tailflux print-config\` shows those in force.

Exit codes: ${EXIT.ok} success, ${EXIT.failed} failure, ${EXIT.usage} wrong usage or settings, ${EXIT.locked} another tailflux uses the state file.`,
  )
  .exitOverride()

for (const command of [
  runCommand(),
  demoCommand(),
  checkCommand(),
  initCommand(),
  statusCommand(),
  flowsCommand(),
  backfillCommand(),
  replayCommand(),
  printConfigCommand(),
  exportCommand(),
  alertsCommand(),
  grafanaCommand(),
  ledgerCommand(),
  ...controlCommands(),
  healthcheckCommand(),
])
  program.addCommand(inheriting(command, program))

/** Subcommands too, so that their help shows `--config` as well. */
function inheriting(command: Command, parent: Command): Command {
  command.copyInheritedSettings(parent)
  for (const child of command.commands) inheriting(child, command)
  return command
}

// The compile cache is written now and not at exit, because a killed process never gets there.
flushCompileCache()
const isOfOutput = guardOutput()
try {
  await program.parseAsync()
} catch (error) {
  const known = error instanceof CollectorError ? error : fileError(error)
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? EXIT.ok : EXIT.usage
  else if (known !== undefined) {
    process.stderr.write(`tailflux: ${withoutPromises(known.message)}\n`)
    process.exitCode = exitCodeOf(known)
  } else if (!isOfOutput(error)) throw error
}
