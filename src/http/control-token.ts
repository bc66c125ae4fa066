/** How commands on this machine may give orders to the running service without any setting: a token in a file of the data directory, which only
 * the service's own user can read. Made anew at each start. */
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

/** The state file's lock must be held: whoever has it owns this file too. Throws a CollectorError (`state_failed`) when the file cannot be
 * written: the disk is read-only or full. */
export function createControlToken(dataDir: string): ControlToken {
  const path = join(dataDir, FILE)
  const value = randomBytes(24).toString('hex')
  // Removed first, as the mode counts only for a file that is made.
  try {
    rmSync(path, { force: true })
    writeFileSync(path, `${value}\n`, { mode: 0o600 })
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? ` (${cause.code})` : ''
    throw new CollectorError(
      `The file ${path} cannot be written${code}; free space, let tailflux write there, or set TAILFLUX_DATA_DIR to another disk.`,
      { stage: 'ledger', code: 'state_failed', reaction: 'hold', cause },
    )
  }
  return { value, remove }

  function remove(): void {
    try {
      rmSync(path, { force: true })
    } catch {
      // On a disk that has become read-only it stays; nobody accepts it any more.
    }
  }
}

/** Undefined when there is none, or not for this user. */
export function readControlToken(dataDir: string): string | undefined {
  try {
    return readFileSync(join(dataDir, FILE), 'utf8').trim() || undefined
  } catch {
    return undefined
  }
}
