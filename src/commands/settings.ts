/** What every command begins with: the settings, and a log that knows their secrets. */
import type { Command } from 'commander'
import type { Logger } from 'pino'
import { type Loaded, loadSettings } from '../config/load.ts'
import { createLog, type LogLevel } from '../observe/log.ts'
import { createSecretRegistry, type SecretRegistry } from '../secret-registry.ts'

/** `changes`: see `loadSettings`. Throws a CollectorError (`config_invalid`). */
export function load(command: Command, changes: Readonly<Record<string, unknown>> = {}): Loaded {
  return loadSettings({ path: (command.optsWithGlobals() as { config?: string }).config, changes })
}

/** A log for the settings, and the secrets that it keeps out. `level` when it is not the one of the settings. */
export function logFor(loaded: Loaded, level?: LogLevel): { log: Logger; secrets: SecretRegistry } {
  const secrets = createSecretRegistry(loaded.secrets)
  return { log: createLog({ level: level ?? loaded.settings.log.level, secrets }), secrets }
}
