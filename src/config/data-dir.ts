/** Where things are in the data directory. */
import { join } from 'node:path'
import { CollectorError } from '../base/errors.ts'
import { makePrivateFolder } from '../base/private-file.ts'

export function pathsIn(dataDir: string) {
  return {
    state: join(dataDir, 'state.db'),
    store: join(dataDir, 'store.db'),
    deadLetters: join(dataDir, 'dead-letters'),
  }
}

/** Creates the data directory if need be, for this user only. Throws a CollectorError (`config_invalid`). */
export function makeDataDir(dataDir: string): void {
  try {
    makePrivateFolder(dataDir)
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? ` (${cause.code})` : ''
    throw new CollectorError(
      `The data directory ${dataDir} cannot be created${code}; create it, give tailflux write access to it, or set TAILFLUX_DATA_DIR to another one.`,
      { stage: 'config', code: 'config_invalid', reaction: 'hold', cause },
    )
  }
}
