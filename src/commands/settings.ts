/** What every command needs first: the settings, and a log that redacts their secrets. */
import type { Command } from 'commander'
import type { Logger } from 'pino'
import { type Loaded, loadSettings } from '../config/load.ts'
import { createLog, type LogLevel } from '../observe/log.ts'
import { createLogOutput, type LogOutput } from '../observe/log-output.ts'
import { createSecretRegistry, type SecretRegistry } from '../secrets/redactor.ts'

/** `options`: see `loadSettings`. Throws a CollectorError (`config_invalid`). */
export function load(
  command: Command,
  options: Pick<NonNullable<Parameters<typeof loadSettings>[0]>, 'changes' | 'withoutCredentials'> = {},
): Loaded {
  return loadSettings({ path: (command.optsWithGlobals() as { config?: string }).config, ...options })
}

/** A log for the settings, and the secrets that it keeps out. `level` when it is not the one of the settings. `output`: where lines go. */
export function logFor(
  loaded: Loaded,
  options: { readonly level?: LogLevel; readonly output: LogOutput },
): { log: Logger; secrets: SecretRegistry } {
  const secrets = createSecretRegistry(loaded.secrets)
  const level = options.level ?? loaded.settings.log.level
  return { log: createLog({ level, secrets, destination: options.output }), secrets }
}

/** For commands that only inspect: errors are in their results. */
export function silentLogFor(loaded: Loaded): { log: Logger; secrets: SecretRegistry } {
  return logFor(loaded, { level: 'silent', output: createLogOutput({ fd: 2 }) })
}

/** For commands whose results go to standard output: warnings to standard error. */
export function warningsFor(loaded: Loaded): { log: Logger; secrets: SecretRegistry } {
  const output = createLogOutput({ fd: 2 })
  process.once('exit', output.flushAtExit)
  return logFor(loaded, { level: 'warn', output })
}
