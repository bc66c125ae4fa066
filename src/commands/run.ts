/** `tailflux run`: the service, until it is told to stop. */
import { Command } from 'commander'
import type { Loaded } from '../config/load.ts'
import { hasCredentials } from '../config/settings.ts'
import { startDemo } from './demo.ts'
import { EXIT } from './exit.ts'
import { createKeeper } from './keeper.ts'
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

/** Runs the service until a signal comes, then stops it: what is under way is finished within some seconds, and the exit code is 0. A second
 * signal ends the process at once. SIGHUP takes over new settings. `loadAgain` is called now and at each reload. */
export async function runService(
  loadAgain: () => Loaded,
  options: { readonly isDemo?: boolean; readonly onStart?: (url: string) => void },
): Promise<void> {
  const stopped = Promise.withResolvers<string>()
  let exitCode: number = EXIT.ok

  function broken(error: unknown): void {
    keeper.log.fatal({ err: error }, 'programmer error, the process ends')
    exitCode = EXIT.failed
    stopped.resolve('broken')
  }

  const keeper = createKeeper(loadAgain, { onBroken: broken, isDemo: options.isDemo ?? false })
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.once(signal, () => {
      keeper.log.info({ signal }, 'stopping')
      stopped.resolve(signal)
      process.once(signal, () => process.exit(128 + (signal === 'SIGINT' ? 2 : 15)))
    })
  }
  // What is wrong with new settings is in the log, and the old ones stay.
  process.on('SIGHUP', () => void keeper.reload().catch(() => undefined))
  process.once('uncaughtException', broken)
  process.once('unhandledRejection', broken)
  try {
    // By itself: the arguments of an optional call are not even looked at when there is nobody to call.
    const url = await keeper.start()
    options.onStart?.(url)
    await stopped.promise
  } finally {
    await keeper.stop()
  }
  process.exitCode = exitCode
  // What a library may have left open must not keep the process; everything of ours has ended.
  setTimeout(() => process.exit(), 1_000).unref()
}
