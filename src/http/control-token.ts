/** Lets commands on this machine control the running service without any setting: a token in a file of the data directory, which only
 * the user of the service can read. Created at each start. */
import { randomBytes } from 'node:crypto'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { CollectorError } from '../base/errors.ts'

const FILE = 'control-token'

export interface ControlToken {
  readonly value: string
  /** Removes the file. Idempotent. */
  remove(): void
}

/** The lock of the state file must be held: its holder owns this file too. Throws a CollectorError (`state_failed`) when the file cannot be
 * written: the disk is read-only or full. */
export function createControlToken(dataDir: string): ControlToken {
  const path = join(dataDir, FILE)
  const value = randomBytes(24).toString('hex')
  // Removed first, because the mode applies only to a new file.
  try {
    rmSync(path, { force: true })
    writeFileSync(path, `${value}\n`, { mode: 0o600 })
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? ` (${cause.code})` : ''
    throw new CollectorError(
      `The file ${path} cannot be written${code}; free disk space, give tailflux write access, or set TAILFLUX_DATA_DIR to another disk.`,
      { stage: 'ledger', code: 'state_failed', reaction: 'hold', cause },
    )
  }
  return { value, remove }

  function remove(): void {
    try {
      rmSync(path, { force: true })
    } catch {
      // On a disk that has become read-only the file stays; the token is no longer accepted.
    }
  }
}

/** Undefined when there is no token, or this user cannot read it. */
export function readControlToken(dataDir: string): string | undefined {
  try {
    return readFileSync(join(dataDir, FILE), 'utf8').trim() || undefined
  } catch {
    return undefined
  }
}
