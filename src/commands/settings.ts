/** What every command begins with: the settings, and a log that knows their secrets. */
import type { Command } from 'commander'
import { destination, type Logger } from 'pino'
import { type Loaded, loadSettings } from '../config/load.ts'
import { createLog, type LogLevel } from '../observe/log.ts'
import { createSecretRegistry, type SecretRegistry } from '../secret-registry.ts'

/** `changes`: see `loadSettings`. Throws a CollectorError (`config_invalid`). */
export function load(command: Command, changes: Readonly<Record<string, unknown>> = {}): Loaded {
  return loadSettings({ path: (command.optsWithGlobals() as { config?: string }).config, changes })
}

/** A log for the settings, and the secrets that it keeps out. `level` when it is not the one of the settings. `fd`: 2 for commands whose
 * results go to standard output. */
export function logFor(loaded: Loaded, level?: LogLevel, fd: 1 | 2 = 1): { log: Logger; secrets: SecretRegistry } {
  const secrets = createSecretRegistry(loaded.secrets)
  const to = fd === 1 ? {} : { destination: destination({ fd, sync: true }) }
  return { log: createLog({ level: level ?? loaded.settings.log.level, secrets, ...to }), secrets }
}
